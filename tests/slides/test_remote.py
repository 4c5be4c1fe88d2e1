"""OME-Zarr images behind an address, served by a real web server in a thread."""

from __future__ import annotations

import functools
import http.server
import pickle
import socket
import sys
import threading

import numpy as np
import pytest
import zarr

from napari_histoaug.slides import SlideError, open_slide
from napari_histoaug.slides.pyramid import open_pyramid
from napari_histoaug.slides.remote import is_remote

pytest.importorskip("aiohttp")


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder, notes what was asked for, and fails where it is told to."""

    def do_GET(self):
        self.server.asked.append(self.path)
        status = self.server.failing(self.path)
        if status:
            self.send_error(status)
        else:
            super().do_GET()

    def log_message(self, *arguments):
        """Say nothing."""


@pytest.fixture
def server(tmp_path):
    handler = functools.partial(Handler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        running.asked, running.failing = [], lambda path: None
        running.address = f"http://127.0.0.1:{running.server_port}"
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def write_ome_zarr(path, version, seed=0):
    """Two levels of an image, as OME-Zarr 0.4 (zarr 2, channels first) or 0.5; returns level 0."""
    image = np.random.default_rng(seed).integers(0, 256, (600, 700, 3), dtype=np.uint8)
    names, order = ("yxc", (0, 1, 2)) if version == "0.5" else ("cyx", (2, 0, 1))
    group = zarr.open_group(str(path), mode="w", zarr_format=3 if version == "0.5" else 2)
    datasets = []
    for index, level in enumerate((image, image[::2, ::2])):
        chunks = [256 if name != "c" else 3 for name in names]
        group.create_array(str(index), data=level.transpose(order).copy(), chunks=chunks)
        scale = [0.25 * 2**index if name != "c" else 1 for name in names]
        transforms = [{"type": "scale", "scale": scale}]
        datasets.append({"path": str(index), "coordinateTransformations": transforms})
    space = {"type": "space", "unit": "micrometer"}
    axes = [{"name": n, **(space if n != "c" else {"type": "channel"})} for n in names]
    images = [{"version": version, "axes": axes, "datasets": datasets}]
    if version == "0.5":
        group.attrs["ome"] = {"version": "0.5", "multiscales": images}
    else:
        group.attrs["multiscales"] = images
    return image


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_pixels_come_over_the_network_as_far_as_they_are_wanted(server, tmp_path, version):
    image = write_ome_zarr(tmp_path / "image.zarr", version)
    with open_slide(f"{server.address}/image.zarr/") as slide:
        assert (slide.name, slide.vendor, slide.mpp) == ("image", "ome-zarr", (0.25, 0.25))
        assert [level.shape for level in slide.levels] == [(600, 700), (300, 350)]
        server.asked.clear()
        assert (slide.read_block(0, 10, 20, 100, 120) == image[10:110, 20:140]).all()
        assert len(server.asked) == 1
        assert (slide.read_block(0, 0, 0, 600, 700) == image).all()
        assert (slide.read_block(1, 0, 0, 300, 350) == image[::2, ::2]).all()
        assert (open_pyramid(slide).arrays[0][:] == image).all()
        assert slide.failures == []


def test_it_travels_by_address(server, tmp_path):
    image = write_ome_zarr(tmp_path / "image.zarr", "0.5")
    with open_slide(f"{server.address}/image.zarr", mpp=0.5) as slide:
        data = pickle.dumps(slide)
        assert len(data) < 500
        with pickle.loads(data) as other:
            assert other.mpp == (0.5, 0.5)
            assert (other.read_block(0, 0, 0, 600, 700) == image).all()
            assert other.fingerprint == slide.fingerprint
            assert open_pyramid(other).store == open_pyramid(slide).store


def test_it_is_known_by_address_and_documents_without_reading_pixels(server, tmp_path):
    write_ome_zarr(tmp_path / "a.zarr", "0.5")
    write_ome_zarr(tmp_path / "b.zarr", "0.5")
    ids = set()
    for name in ("a", "b", "a"):
        with open_slide(f"{server.address}/{name}.zarr") as slide:
            ids.add((slide.sha256(), slide.slide_id(), slide.fingerprint))
    assert len(ids) == 2
    assert not any("/c/" in path for path in server.asked)
    zarr.open_group(str(tmp_path / "a.zarr"), mode="a").attrs["note"] = "changed"
    with open_slide(f"{server.address}/a.zarr") as slide:
        assert (slide.sha256(), slide.slide_id(), slide.fingerprint) not in ids


def test_nothing_is_written_beside_it(server, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_ome_zarr(tmp_path / "image.zarr", "0.5")
    with open_slide(f"{server.address}/image.zarr") as slide:
        with pytest.raises(OSError):
            (slide.path.parent / "image.histoaug").mkdir(parents=True)
        assert not (slide.path.parent / "image.histoaug" / "store.json").is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["image.zarr"]


def test_a_chunk_the_server_refuses_is_hatched_and_in_the_ledger(server, tmp_path):
    image = write_ome_zarr(tmp_path / "image.zarr", "0.5")
    server.failing = lambda path: 500 if path.endswith("/0/c/1/0/0") else None
    with open_slide(f"{server.address}/image.zarr") as slide:
        block = slide.read_block(0, 0, 0, 600, 700)
        assert [failure[:3] for failure in slide.failures] == [(0, 1, 0)]
        assert "500" in slide.failures[0].message
        assert (block[:256] == image[:256]).all()
        assert (block[256:512, 256:] == image[256:512, 256:]).all()
        assert (block[256:512, :256] != image[256:512, :256]).any()


def test_a_hiccup_is_tried_again(server, tmp_path):
    image = write_ome_zarr(tmp_path / "image.zarr", "0.5")
    hiccups = ["/image.zarr/0/c/0/0/0"]

    def failing(path):
        return 503 if path in hiccups and hiccups.remove(path) is None else None

    server.failing = failing
    with open_slide(f"{server.address}/image.zarr") as slide:
        assert (slide.read_block(0, 0, 0, 200, 200) == image[:200, :200]).all()
        assert slide.failures == []
    assert hiccups == []


def sentence(address):
    with pytest.raises(SlideError) as told:
        open_slide(address)
    text = str(told.value)
    assert "\n" not in text
    assert text.endswith(".")
    return text


def test_what_cannot_be_opened_is_a_sentence(server, tmp_path):
    (tmp_path / "empty.zarr").mkdir()
    zarr.open_group(str(tmp_path / "plain.zarr"), mode="w").attrs["x"] = 1
    assert "There is no OME-Zarr image" in sentence(f"{server.address}/empty.zarr")
    assert "There is no OME-Zarr image" in sentence(f"{server.address}/gone.zarr")
    assert "plain.zarr is a folder without" in sentence(f"{server.address}/plain.zarr")
    assert "gs:// address" in sentence("gs://bucket/image.zarr")
    server.failing = lambda path: 403
    text = sentence(f"{server.address.replace('//', '//me:secret@')}/plain.zarr")
    assert "the server answers 403" in text
    assert "secret" not in text
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    assert "cannot be reached" in sentence(f"http://127.0.0.1:{port}/image.zarr")


@pytest.mark.parametrize(
    ("module", "address"), [("aiohttp", "https://x.org/a.zarr"), ("s3fs", "s3://bucket/a.zarr")]
)
def test_without_the_extra_it_says_what_to_install(monkeypatch, module, address):
    monkeypatch.setitem(sys.modules, module, None)
    assert 'pip install "napari-histoaug[remote]"' in sentence(address)


def test_addresses_and_paths():
    assert is_remote("https://x.org/a.zarr")
    assert is_remote("s3://bucket/a.zarr")
    for path in ("/data/a.zarr", "C:\\data\\a.zarr", "C:/data/a.zarr", "a://", "data//a.zarr"):
        assert not is_remote(path)
