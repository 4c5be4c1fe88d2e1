"""The zarr pyramid over a slide."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import pickle
import runpy
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dask.array
import numpy as np
import pytest
import zarr
from zarr.abc.store import OffsetByteRequest, RangeByteRequest, SuffixByteRequest
from zarr.core.buffer import default_buffer_prototype

from napari_histoaug.slides import SlideError, open_slide
from napari_histoaug.slides.cache import ArrayCache
from napari_histoaug.slides.pyramid import SlideStore, open_pyramid

SHAPES = [(2301, 1203), (1151, 602)]


@pytest.fixture
def made(make_pyramid_tiff):
    return make_pyramid_tiff(shapes=SHAPES)


@pytest.fixture
def slide(made):
    with open_slide(made.path) as opened:
        yield opened


class Square:
    """An overlay that paints a level-0 square of one colour."""

    def __init__(self, box, colour) -> None:
        self.box, self.colour = box, colour

    def paste(self, block, y, x, downsample):
        top, left, height, width = self.box
        rows = (y + np.arange(block.shape[0]) + 0.5) * downsample[0]
        columns = (x + np.arange(block.shape[1]) + 0.5) * downsample[1]
        inside = np.outer(
            (rows >= top) & (rows < top + height), (columns >= left) & (columns < left + width)
        )
        block[inside] = self.colour


def get(store, key, part=None):
    value = asyncio.run(store.get(key, default_buffer_prototype(), part))
    return None if value is None else value.to_bytes()


def test_plain_zarr_reads_the_group(made, slide):
    group = zarr.open_group(open_pyramid(slide).store, mode="r")
    assert sorted(group.array_keys()) == ["0", "1", "2"]
    for name, shape in zip("012", [*SHAPES, (576, 301)], strict=True):
        array = group[name]
        assert array.shape == (*shape, 3)
        assert array.dtype == np.uint8
        assert array.chunks == (512, 512, 3)
        assert array.fill_value == 255
        assert array.metadata.dimension_names == ("y", "x", "c")
    assert (group["0"][:] == made.levels[0]).all()
    assert (group["1"][:] == made.levels[1]).all()


def test_the_group_is_an_ome_zarr_image(made, slide):
    # The rules of OME-Zarr 0.5: channels before space, levels finest first, one scale each.
    group = zarr.open_group(open_pyramid(slide).store, mode="r")
    assert group.attrs["ome"]["version"] == "0.5"
    (image,) = group.attrs["ome"]["multiscales"]
    assert [axis["type"] for axis in image["axes"]] == ["channel", "space", "space"]
    assert [axis["name"] for axis in image["axes"]] == ["c", "y", "x"]
    assert [axis.get("unit") for axis in image["axes"]] == [None, "micrometer", "micrometer"]
    assert len(image["datasets"]) == 3
    for index, dataset in enumerate(image["datasets"]):
        array = group[dataset["path"]]
        assert array.metadata.dimension_names == ("c", "y", "x")
        assert (np.moveaxis(array[:], 0, -1) == group[str(index)][:]).all()
        (scale,) = dataset["coordinateTransformations"]
        size = np.multiply(scale["scale"], array.shape)
        assert size == pytest.approx([3, *np.multiply(SHAPES[0], 0.5)], rel=1e-6)


def test_without_a_pixel_size_there_is_no_unit(make_pyramid_tiff):
    with open_slide(make_pyramid_tiff(mpp=None).path) as slide:
        image = zarr.open_group(open_pyramid(slide).store, mode="r").attrs["ome"]["multiscales"][0]
    assert all("unit" not in axis for axis in image["axes"])
    assert image["datasets"][0]["coordinateTransformations"][0]["scale"] == [1.0, 1.0, 1.0]


def test_added_levels_are_area_means(made, slide):
    pyramid = open_pyramid(slide)
    assert pyramid.downsamples == [(1.0, 1.0), (2301 / 1151, 1203 / 602), (2301 / 576, 1203 / 301)]
    fine, coarse = made.levels[1].astype(float), pyramid.arrays[2][:]
    for axis, count in ((0, 576), (1, 301)):
        # The integral of the pixels, at the edges of the coarse grid.
        total = np.concatenate([np.zeros_like(fine.take([0], axis)), fine.cumsum(axis)], axis)
        edges = np.arange(count + 1) * (fine.shape[axis] / count)
        whole = np.minimum(edges.astype(int), fine.shape[axis] - 1)
        rest = (edges - whole).reshape([-1 if a == axis else 1 for a in range(3)])
        at = total.take(whole, axis) + rest * fine.take(whole, axis)
        fine = np.diff(at, axis=axis) * count / fine.shape[axis]
    assert np.abs(coarse - fine).max() < 0.502


def test_one_level_gets_levels_down_to_1024(make_pyramid_tiff):
    with open_slide(make_pyramid_tiff(shapes=[(4100, 700)]).path) as slide:
        pyramid = open_pyramid(slide)
        assert [array.shape for array in pyramid.arrays] == [
            (4100, 700, 3), (2050, 350, 3), (1025, 175, 3), (513, 88, 3),
        ]  # fmt: skip
        full = slide.read_block(0, 0, 0, 4100, 700)
        half = full.reshape(2050, 2, 350, 2, 3).mean(axis=(1, 3))
        assert np.abs(pyramid.arrays[1][:] - half).max() <= 0.501
        assert pyramid.arrays[3][:].mean(axis=(0, 1)) == pytest.approx(
            full.mean(axis=(0, 1)), abs=1
        )


def test_edges_are_padded_with_white(slide):
    store = open_pyramid(slide).store
    chunk = np.frombuffer(get(store, "0/c/4/2/0"), np.uint8).reshape(512, 512, 3)
    assert (chunk[2301 - 2048 :] == 255).all()
    assert (chunk[:, 1203 - 1024 :] == 255).all()
    assert (chunk[: 2301 - 2048, : 1203 - 1024] != 255).any()


def test_keys_that_do_not_exist(slide):
    store = open_pyramid(slide).store
    for key in (
        "0/c/5/0/0", "0/c/0/3/0", "3/c/0/0/0", "0/c/0/0/1", "0/c/-1/0/0", "nonsense", "",
        "cyx/0/c/0/5/0", "cyx/0/c/0/0/3", "cyx/0/c/1/0/0", "cyx/cyx/0/c/0/0/0", "cyx",
        "0/c/00/0/0", "0/c/²/0/0", "0/c/" + "9" * 5000 + "/0/0",
    ):  # fmt: skip
        assert get(store, key) is None
        assert not asyncio.run(store.exists(key))
    assert asyncio.run(store.exists("0/c/4/2/0"))
    assert asyncio.run(store.exists("zarr.json"))
    assert get(store, "cyx/0/c/0/4/2") == get(store, "0/c/4/2/0")


def test_a_damaged_chunk_is_served_not_missing(made):
    data = bytearray(made.path.read_bytes())
    import tifffile

    with tifffile.TiffFile(made.path) as tiff:
        offset = tiff.pages[0].dataoffsets[0]
    data[offset : offset + 40] = bytes(40)
    made.path.write_bytes(data)
    with open_slide(made.path) as slide:
        chunk = np.frombuffer(get(open_pyramid(slide).store, "0/c/0/0/0"), np.uint8)
        assert chunk.size == 512 * 512 * 3
        assert slide.failures[0][:3] == (0, 0, 0)
        assert (chunk.reshape(512, 512, 3)[128:] == made.levels[0][128:512, :512]).all()


def test_parts_of_a_chunk(slide):
    store = open_pyramid(slide).store
    whole = get(store, "1/c/0/0/0")
    assert len(whole) == 512 * 512 * 3
    assert get(store, "1/c/0/0/0", RangeByteRequest(10, 99)) == whole[10:99]
    assert get(store, "1/c/0/0/0", OffsetByteRequest(786_000)) == whole[786_000:]
    assert get(store, "1/c/0/0/0", SuffixByteRequest(7)) == whole[-7:]
    wanted = [("1/c/0/0/0", RangeByteRequest(0, 5)), ("nothing", None), ("zarr.json", None)]
    found = asyncio.run(store.get_partial_values(default_buffer_prototype(), wanted))
    assert [value and value.to_bytes() for value in found] == [
        whole[:5], None, get(store, "zarr.json")
    ]  # fmt: skip


def test_a_chunk_is_the_cached_tile_itself_and_nobody_can_spoil_it(slide):
    pyramid = open_pyramid(slide)
    value = asyncio.run(pyramid.store.get("0/c/0/0/0", default_buffer_prototype()))
    tile = pyramid.store.tiles.tile(0, 0, 0)
    assert np.shares_memory(value.as_numpy_array(), tile)
    assert not value.as_numpy_array().flags.writeable
    block = pyramid.arrays[0][:512, :512]
    assert (block == tile).all()
    block[:] = 0
    assert (pyramid.arrays[0][:512, :512] == tile).all()
    assert tile.any()


def test_listing(slide):
    store = open_pyramid(slide).store

    async def names(keys):
        return [key async for key in keys]

    everything = asyncio.run(names(store.list()))
    assert len(everything) == len(set(everything)) == 2 + 2 * (3 + 5 * 3 + 3 * 2 + 2 * 1)
    assert sorted(asyncio.run(names(store.list_dir("")))) == ["0", "1", "2", "cyx", "zarr.json"]
    assert sorted(asyncio.run(names(store.list_dir("1")))) == ["c", "zarr.json"]
    assert len(asyncio.run(names(store.list_prefix("1/c/")))) == 6


def test_writing_is_refused(slide, made):
    pyramid = open_pyramid(slide)
    before = made.path.read_bytes()
    assert pyramid.store.read_only
    with pytest.raises(ValueError, match=r"read.only"):
        pyramid.arrays[0][:10, :10] = 0
    with pytest.raises(ValueError, match=r"read.only"):
        zarr.open_group(pyramid.store, mode="r+").create_array("x", shape=(1,), dtype="u1")
    with pytest.raises(ValueError, match="read only"):
        asyncio.run(pyramid.store.delete("0/c/0/0/0"))
    with pytest.raises(ValueError, match="read only"):
        pyramid.store.with_read_only(False)
    assert made.path.read_bytes() == before


def test_an_overlay_shows_after_it_changed(slide):
    overlay = Square((0, 0, 0, 0), (0, 0, 0))
    pyramid = open_pyramid(slide, overlay)
    plain = [array[:] for array in pyramid.arrays]
    overlay.box, overlay.colour = (600, 300, 900, 800), (1, 2, 3)
    pyramid.invalidate(overlay.box)
    for array, before, (dy, dx) in zip(pyramid.arrays, plain, pyramid.downsamples, strict=True):
        after = array[:]
        painted = (after == (1, 2, 3)).all(axis=-1)
        assert painted.sum() == pytest.approx(900 / dy * 800 / dx, rel=0.02)
        assert (after[~painted] == before[~painted]).all()


def test_every_way_of_opening_it(made, slide):
    store = open_pyramid(slide).store
    assert isinstance(zarr.open(store, mode="r"), zarr.Group)
    assert (zarr.open(store, path="1", mode="r")[:] == made.levels[1]).all()
    assert (zarr.open_array(store, path="0", mode="r")[5:9, :30] == made.levels[0][5:9, :30]).all()
    lazy = dask.array.from_zarr(store, component="0")
    assert lazy.chunks[:2] == ((512, 512, 512, 512, 253), (512, 512, 179))
    assert (lazy[500:1500, 400:].compute() == made.levels[0][500:1500, 400:]).all()
    sizes = {key: asyncio.run(store.getsize(key)) for key in ("zarr.json", "0/c/0/0/0")}
    assert sizes == {"zarr.json": len(get(store, "zarr.json")), "0/c/0/0/0": 512 * 512 * 3}
    with pytest.raises(FileNotFoundError):
        asyncio.run(store.getsize("0/c/9/9/0"))


def test_decoding_is_concurrent_and_never_holds_the_loop(slide, monkeypatch):
    store = open_pyramid(slide).store
    together = threading.Barrier(2, timeout=60)
    read_block = slide.read_block

    def slow(*box):
        together.wait()  # two decoders must be in here at the same moment
        return read_block(*box)

    monkeypatch.setattr(slide, "read_block", slow)

    async def two():
        prototype = default_buffer_prototype()
        one = asyncio.ensure_future(store.get("0/c/0/0/0", prototype))
        await asyncio.sleep(0)
        assert await store.get("zarr.json", prototype) is not None  # while one decodes
        assert not one.done()
        return await asyncio.gather(one, store.get("0/c/0/1/0", prototype))

    first, second = asyncio.run(two())
    assert len(first) == len(second) == 512 * 512 * 3


def test_what_cannot_be_served_raises_and_is_never_missing(slide):
    pyramid = open_pyramid(slide)
    slide.close()
    with pytest.raises(SlideError, match="was closed"):
        get(pyramid.store, "0/c/0/0/0")
    with pytest.raises(SlideError, match="was closed"):
        pyramid.arrays[0][:10, :10]


def test_a_rewritten_file_is_another_store(make_pyramid_tiff):
    before = open_pyramid(open_slide(make_pyramid_tiff(shapes=SHAPES, seed=1).path)).store
    after = open_pyramid(open_slide(make_pyramid_tiff(shapes=SHAPES, seed=7).path)).store
    assert before.slide.path == after.slide.path
    assert before != after
    assert hash(before) != hash(after)


def test_a_pickle_carries_no_pixels_and_keeps_the_options(slide):
    store = open_pyramid(slide, Square((0, 0, 9, 9), (1, 2, 3)), cache_mb=3).store
    get(store, "0/c/0/0/0")
    data = pickle.dumps(store)
    assert len(data) < 1000
    copy = pickle.loads(data)
    assert copy.tiles.cache.limit == 3 * 2**20
    assert copy.overlay.box == (0, 0, 9, 9)
    assert get(copy, "0/c/0/0/0") == get(store, "0/c/0/0/0")


def test_equality_hash_and_pickle(slide, make_pyramid_tiff):
    store = open_pyramid(slide).store
    same = open_pyramid(open_slide(slide.path)).store
    assert store == same
    assert hash(store) == hash(same)
    copy = pickle.loads(pickle.dumps(store))
    assert copy == store
    assert get(copy, "1/c/1/0/0") == get(store, "1/c/1/0/0")
    with open_slide(make_pyramid_tiff(name="other.tif").path) as other:
        assert SlideStore(other) != store
    with open_slide(slide.path, mpp=0.3) as rescaled:
        assert SlideStore(rescaled) != store
    assert store != SlideStore(slide, Square((0, 0, 1, 1), 0))


def test_all_pyramids_share_one_cache(slide, make_pyramid_tiff):
    with open_slide(make_pyramid_tiff(name="other.tif", seed=9).path) as other:
        first, second = open_pyramid(slide), open_pyramid(other)
        cache = first.store.tiles.cache
        assert second.store.tiles.cache is cache
        assert cache.limit == 256 * 2**20
        # One place holds the tiles of both, and neither sees or drops the other's.
        tiles = [pyramid.arrays[0][:100, :100] for pyramid in (first, second)]
        assert (tiles[0] != tiles[1]).any()
        kept = cache.nbytes
        first.invalidate((0, 0, 10, 10))
        assert cache.nbytes == kept - 512 * 512 * 3
        assert open_pyramid(slide, cache_mb=1).store.tiles.cache is not cache


def test_threads_read_through_zarr_at_once(made, slide):
    pyramid = open_pyramid(slide, cache_mb=2)
    random = np.random.default_rng(0)
    places = [(int(y), int(x)) for y, x in random.integers(0, 900, (40, 2))]
    with ThreadPoolExecutor(6) as pool:
        blocks = pool.map(lambda p: pyramid.arrays[0][p[0] : p[0] + 300, p[1] : p[1] + 300], places)
        for (y, x), block in zip(places, blocks, strict=True):
            assert (block == made.levels[0][y : y + 300, x : x + 300]).all()
    assert pyramid.store.tiles.cache.nbytes <= 2 * 2**20


def test_many_chunks_of_an_ome_zarr_slide_at_once(tmp_path):
    # The slide's own chunks are decoded in zarr's threads: ours must not take those.
    image = np.random.default_rng(0).integers(0, 256, (3100, 3100, 3), dtype=np.uint8)
    group = zarr.open_group(str(tmp_path / "a.zarr"), mode="w")
    group.create_array("0", data=image, chunks=(512, 512, 3))
    axes = [{"name": "y", "type": "space"}, {"name": "x", "type": "space"}]
    axes.append({"name": "c", "type": "channel"})
    scale = [{"type": "scale", "scale": [1, 1, 1]}]
    datasets = [{"path": "0", "coordinateTransformations": scale}]
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": datasets}]}
    with open_slide(tmp_path / "a.zarr") as slide, ThreadPoolExecutor(1) as pool:
        array = open_pyramid(slide).arrays[0]
        assert (pool.submit(lambda: array[:]).result(120) == image).all()


def test_the_cache_keeps_the_newest_within_its_limit():
    cache = ArrayCache(1000)
    made = []

    def make(key):
        made.append(key)
        return np.full(300, key, np.uint8)

    for key in (1, 2, 3, 1, 4, 1, 2):
        assert (cache.get(key, lambda key=key: make(key)) == key).all()
    assert made == [1, 2, 3, 4, 2]
    assert len(cache) == 3
    assert cache.nbytes == 900
    cache.drop(lambda key: key == 2)
    assert cache.nbytes == 600
    assert cache.get(9, lambda: np.zeros(2000, np.uint8)).size == 2000
    assert cache.nbytes == 600
    with pytest.raises(ValueError, match="read-only"):
        cache.get(1, lambda: make(1))[0] = 5


def test_the_cache_makes_an_array_once_for_all_threads():
    cache = ArrayCache(10_000)
    made = []
    started = threading.Barrier(8)

    def ask(_):
        started.wait()
        return cache.get("key", lambda: made.append(1) or np.zeros(10))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(8)))
    assert made == [1]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_does_not_wait_for_the_parents_threads():
    cache = ArrayCache(1000)
    cache.get(1, lambda: np.zeros(100, np.uint8))
    here, there = multiprocessing.Pipe()

    def ask():
        there.send((int(cache.get(1, lambda: np.full(100, 7, np.uint8))[0]), cache.nbytes))

    with cache._lock:  # as another thread might hold it at the moment of the fork
        child = multiprocessing.get_context("fork").Process(target=ask)
        child.start()
        answered = here.poll(60)
        if not answered:
            child.kill()
    child.join()
    assert answered
    assert here.recv() == (7, 100)
    assert (cache.get(1, pytest.fail) == 0).all()


def test_a_tile_that_cannot_be_made_can_be_asked_for_again():
    cache = ArrayCache(1000)
    with pytest.raises(OSError, match="gone"):
        cache.get(1, lambda: (_ for _ in ()).throw(OSError("gone")))
    assert cache.get(1, lambda: np.ones(3)).sum() == 3


def test_the_example_runs(made, monkeypatch, capsys):
    script = Path(__file__).parents[2] / "examples" / "open_slide_with_zarr.py"
    monkeypatch.setattr(sys, "argv", [script.name, str(made.path)])
    runpy.run_path(str(script), run_name="__main__")
    said = capsys.readouterr().out
    assert "cyx/1: (3, 1151, 602)" in said
    assert f"mean colour: {made.levels[0].mean(axis=(0, 1)).round(1)}" in said
