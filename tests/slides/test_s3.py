"""OME-Zarr images at s3:// addresses, from a small server that answers as S3 does."""

from __future__ import annotations

import http.server
import threading
from email.utils import formatdate
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest
import zarr

from napari_histoaug.slides import SlideError, open_slide

pytest.importorskip("s3fs", reason="the extra remote is not installed")

ERROR = '<?xml version="1.0"?><Error><Code>{code}</Code><Message>{code}</Message></Error>'
EMPTY = '<?xml version="1.0"?><ListBucketResult><KeyCount>0</KeyCount></ListBucketResult>'


class Bucket(http.server.BaseHTTPRequestHandler):
    """The objects of one bucket, named by their path in a folder, for anybody to get."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        """Answer with an object, a part of it, or the error S3 gives."""
        parts = urlsplit(self.path)
        self.server.asked.append(parts.path)
        path = self.server.folder / unquote(parts.path).removeprefix("/bucket").strip("/")
        if "list-type" in parts.query:
            return self._answer(200, EMPTY.encode(), "application/xml")
        if self.server.denied:
            return self._answer(403, ERROR.format(code="AccessDenied").encode(), "application/xml")
        if not path.is_file():
            return self._answer(404, ERROR.format(code="NoSuchKey").encode(), "application/xml")
        data, wanted = path.read_bytes(), self.headers.get("Range")
        if wanted is None:
            return self._answer(200, data)
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        start = int(first) if first else len(data) - int(last)
        stop = int(last) + 1 if first and last else len(data)
        return self._answer(206, data[start:stop])

    do_HEAD = do_GET

    def _answer(self, status, body, kind="binary/octet-stream"):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Last-Modified", formatdate(0, usegmt=True))
        self.send_header("ETag", '"0"')
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *arguments):
        """Say nothing."""


@pytest.fixture
def bucket(tmp_path, monkeypatch):
    import fsspec
    from s3fs import S3FileSystem

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Bucket) as running:
        running.folder, running.asked, running.denied = tmp_path, [], False
        endpoint = f"http://127.0.0.1:{running.server_port}"
        # As FSSPEC_S3_ANON and FSSPEC_S3_ENDPOINT_URL in the environment do.
        monkeypatch.setitem(fsspec.config.conf, "s3", {"anon": True, "endpoint_url": endpoint})
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield running
        S3FileSystem.clear_instance_cache()
        running.shutdown()
        thread.join()


@pytest.fixture
def image(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (600, 700, 3), dtype=np.uint8)
    group = zarr.open_group(str(tmp_path / "slide.zarr"), mode="w")
    group.create_array("0", data=pixels, chunks=(256, 256, 3))
    axes = [{"name": name} for name in "yxc"]
    group.attrs["ome"] = {
        "version": "0.5", "multiscales": [{"axes": axes, "datasets": [{"path": "0"}]}],
    }  # fmt: skip
    return pixels


def test_pixels_come_from_a_bucket_as_far_as_they_are_wanted(bucket, image):
    with open_slide("s3://bucket/slide.zarr", mpp=0.5) as slide:
        assert slide.levels[0].shape == (600, 700)
        bucket.asked.clear()
        assert (slide.read_block(0, 260, 10, 200, 200) == image[260:460, 10:210]).all()
        assert {path for path in bucket.asked if "/c/" in path} == {"/bucket/slide.zarr/0/c/1/0/0"}
        assert (slide.read_block(0, 0, 0, 600, 700) == image).all()
        assert slide.failures == []


def test_what_is_not_there_or_not_allowed_is_a_sentence(bucket, image):
    with pytest.raises(SlideError, match="There is no OME-Zarr image at the address of none"):
        open_slide("s3://bucket/none.zarr")
    bucket.denied = True
    with pytest.raises(SlideError, match=r"slide\.zarr cannot be reached"):
        open_slide("s3://bucket/slide.zarr")
