"""Slides of any geometry, and the sidecar with the levels their files lack."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import time
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
import zarr

from napari_histoaug.errors import Cancelled
from napari_histoaug.slides import SlideError, open_slide, sidecar
from napari_histoaug.slides.plan import MOST_DECODED, decoded_pixels, plan_levels, slow_levels
from napari_histoaug.slides.pyramid import open_pyramid
from napari_histoaug.slides.resampling import area_mean
from napari_histoaug.slides.sidecar import build_sidecar, find_sidecar, needs_sidecar
from napari_histoaug.slides.slide import Level

SHAPE = (3001, 2304)
LIMIT = 1_100_000


@pytest.fixture(autouse=True)
def small_limit(monkeypatch, tmp_path):
    """Make 1,049 x 1,049 pixels a lot, so that small files behave like large ones."""
    for module in ("plan", "sidecar_place"):
        monkeypatch.setattr(f"napari_histoaug.slides.{module}.MOST_DECODED", LIMIT)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda name: str(tmp_path / "cache" / name))


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache" / "napari-histoaug" / "pyramids"


def rgb(array):
    """The pixels of an array with the axes OME-Zarr prescribes, as (y, x, c)."""
    assert array.metadata.dimension_names == ("c", "y", "x")
    return np.moveaxis(array[:], 0, -1)


def striped_tiff(path, shape=SHAPE, rows=16, seed=0):
    """A file of one level in strips as wide as the image; returns its pixels."""
    random = np.random.default_rng(seed)
    patches = random.integers(90, 230, (shape[0] // 16 + 1, shape[1] // 16 + 1, 3), dtype=np.uint8)
    image = patches.repeat(16, axis=0)[: shape[0]].repeat(16, axis=1)[:, : shape[1]]
    image = image + random.integers(0, 25, image.shape, dtype=np.uint8)
    tifffile.imwrite(
        path, image, photometric="rgb", rowsperstrip=rows, compression="deflate", metadata=None
    )
    return image


def mean_levels(image, levels):
    """The levels below an image in closed form: exact area means, rounded once a level."""
    images = [image.astype(np.float64)]
    for level in levels[1:]:
        fine = images[-1]
        for axis, count in enumerate(level.shape):
            # The integral of the pixels at the edges of the coarse grid.
            total = np.concatenate([np.zeros_like(fine.take([0], axis)), fine.cumsum(axis)], axis)
            spacing = fine.shape[axis] / count
            edges = np.arange(count + 1) * spacing
            whole = np.minimum(edges.astype(int), fine.shape[axis] - 1)
            rest = (edges - whole).reshape([-1 if a == axis else 1 for a in range(3)])
            fine = np.diff(total.take(whole, axis) + rest * fine.take(whole, axis), axis=axis)
            fine = fine / spacing
        images.append(np.rint(fine))
    return images


@pytest.mark.parametrize(
    ("shapes", "expected"),
    [
        ([(6000, 4000)], [(6000, 4000), (3000, 2000), (1500, 1000), (750, 500)]),
        (
            [(6400, 4800), (1600, 1200), (200, 150)],
            [(6400, 4800), (1600, 1200), (800, 600), (200, 150)],
        ),
        ([(4003, 3000), (1001, 750)], [(4003, 3000), (1001, 750)]),
        ([(900, 1024)], [(900, 1024)]),
    ],
)
def test_no_step_is_wider_than_vendors_make_them(shapes, expected):
    full = shapes[0]
    stored = [Level(shape, (full[0] / shape[0], full[1] / shape[1])) for shape in shapes]
    levels = plan_levels(SimpleNamespace(levels=stored))
    assert [level.shape for level in levels] == expected
    assert [level.stored for level in levels] == [
        shapes.index(shape) if shape in shapes else None for shape in expected
    ]
    for level in levels:
        assert level.downsample == (full[0] / level.shape[0], full[1] / level.shape[1])


def test_a_filled_gap_is_the_mean_of_the_level_above_it(make_pyramid_tiff):
    made = make_pyramid_tiff(shapes=[(3200, 2400), (800, 600), (100, 75)])
    with open_slide(made.path) as slide:
        arrays = open_pyramid(slide).arrays
        half = made.levels[1].reshape(400, 2, 300, 2, 3).mean(axis=(1, 3))
        assert np.abs(arrays[2][:] - half).max() <= 0.5
        assert (arrays[3][:] == made.levels[2]).all()


def test_what_a_tile_costs(make_pyramid_tiff, tmp_path):
    with open_slide(make_pyramid_tiff(shapes=[(3000, 2000)], tile=256).path) as slide:
        levels = plan_levels(slide)
        costs = [decoded_pixels(slide, levels, index) for index in range(len(levels))]
        # Whole tiles of 256 under 512, 1024 and 2048 pixels; the slide is 2000 wide.
        assert costs == [512**2, 1024**2, 2048 * 2000]
        assert slow_levels(slide, levels, LIMIT) == [False, False, True]
        assert needs_sidecar(slide)
    striped_tiff(tmp_path / "strips.tif", (1000, 5000), rows=100)
    with open_slide(tmp_path / "strips.tif") as slide:
        # 512 rows lie in at most seven strips of 100, each 5,000 wide.
        assert decoded_pixels(slide, plan_levels(slide), 0) == 700 * 5000
    with open_slide(make_pyramid_tiff(shapes=[(1400, 1200)], name="small.tif").path) as slide:
        assert not needs_sidecar(slide)


def test_the_sidecar_holds_the_exact_area_means(tmp_path, cache):
    image = striped_tiff(tmp_path / "strips.tif")
    with open_slide(tmp_path / "strips.tif", mpp=0.5) as slide:
        assert needs_sidecar(slide)
        assert find_sidecar(slide) is None
        steps = []
        path = build_sidecar(slide, progress=lambda done, total: steps.append((done, total)))
        assert path.parent == cache
        assert find_sidecar(slide) == path
        levels = plan_levels(slide)
        group = zarr.open_group(str(path), mode="r")
        assert sorted(group.array_keys()) == ["0", "1", "2"]
        expected = mean_levels(image, levels)
        for name, array in group.arrays():
            difference = np.abs(rgb(array).astype(float) - expected[int(name)])
            assert difference.max() <= 1  # a rounding each level
            assert (difference > 0).mean() < 0.01
        total = sum(np.prod(levels[int(name)].grid) for name in group.array_keys())
        assert steps[0] == (0, total)
        assert steps[-1] == (total, total)
        assert [done for done, _ in steps] == sorted(done for done, _ in steps)
    with open_slide(path) as again:  # an OME-Zarr image in its own right
        assert again.mpp == (0.5, 0.5)
        assert (again.read_block(1, 0, 0, *levels[1].shape) == rgb(group["1"])).all()


def test_levels_in_wide_strips_are_copied(tmp_path):
    image = striped_tiff(tmp_path / "wide.tif", (1100, 5003), rows=40)
    with open_slide(tmp_path / "wide.tif") as slide:
        assert slow_levels(slide, plan_levels(slide), LIMIT)[0]
        path = build_sidecar(slide)
        assert (rgb(zarr.open_array(str(path / "0"), mode="r")) == image).all()
        # From now on no strip is decoded any more.
        arrays = open_pyramid(slide).arrays
        slide.close()
        assert (arrays[0][:] == image).all()
        assert arrays[-1].shape == (138, 626, 3)


def test_tiles_with_and_without_the_sidecar_are_the_same(make_pyramid_tiff):
    made = make_pyramid_tiff(shapes=[(2401, 1803)], compression="deflate")
    with open_slide(made.path) as slide:
        averaged = [array[:] for array in open_pyramid(slide).arrays]
        build_sidecar(slide)
        pyramid = open_pyramid(slide)
        for before, array in zip(averaged, pyramid.arrays, strict=True):
            assert (array[:] == before).all()
        assert (averaged[0] == made.levels[0]).all()


@pytest.mark.parametrize("damage", ["flip", "cut", "lose"])
def test_a_damaged_sidecar_is_done_without(make_pyramid_tiff, damage):
    made = make_pyramid_tiff(shapes=[(2400, 1800)])
    with open_slide(made.path) as slide:
        chunk = build_sidecar(slide) / "1" / "c" / "0" / "1" / "1"
        data = bytearray(chunk.read_bytes())
        data[len(data) // 2] ^= 1
        chunk.write_bytes(data if damage == "flip" else data[:1000])
        if damage == "lose":
            chunk.unlink()
        half = made.levels[0].reshape(1200, 2, 900, 2, 3).mean(axis=(1, 3))
        assert np.abs(open_pyramid(slide).arrays[1][:] - half).max() <= 0.5
        assert slide.failures == []


def test_the_cache_may_be_emptied_at_any_time(make_pyramid_tiff):
    made = make_pyramid_tiff(shapes=[(2400, 1800)])
    half = made.levels[0].reshape(1200, 2, 900, 2, 3).mean(axis=(1, 3))
    with open_slide(made.path) as slide:
        path = build_sidecar(slide)
        array = open_pyramid(slide).arrays[1]
        assert np.abs(array[:512, :512] - half[:512, :512]).max() <= 0.5
        shutil.rmtree(path)
        assert np.abs(array[:] - half).max() <= 0.5
        assert find_sidecar(slide) is None


def test_white_glass_is_kept_too(tmp_path):
    image = np.full((2400, 1800, 3), 255, np.uint8)
    tifffile.imwrite(
        tmp_path / "white.tif", image, photometric="rgb", tile=(256, 256), compression="deflate"
    )
    with open_slide(tmp_path / "white.tif") as slide:
        path = build_sidecar(slide)
        assert len(list(path.glob("1/c/0/*/*"))) == 3 * 2
        arrays = open_pyramid(slide).arrays
        slide.close()
        assert (arrays[1][:] == 255).all()


@pytest.mark.parametrize(("side", "needed"), [(8192, False), (8193, True), (40_000, True)])
def test_single_levels_above_8192_pixels_need_a_sidecar(side, needed):
    levels = [Level((side, side), (1.0, 1.0))]
    slide = SimpleNamespace(levels=levels, tile_shapes=[(256, 256)])
    assert any(slow_levels(slide, plan_levels(slide), MOST_DECODED)) == needed


def test_a_pyramid_off_the_tile_grid_needs_no_sidecar():
    shapes = [(23_000, 19_000), (5750, 4750)]
    levels = [Level(s, (23_000 / s[0], 19_000 / s[1])) for s in shapes]
    slide = SimpleNamespace(levels=levels, tile_shapes=[(512, 512)] * 2)
    assert not any(slow_levels(slide, plan_levels(slide), MOST_DECODED))


def test_a_small_slide_does_not_look_for_a_sidecar(make_pyramid_tiff, monkeypatch):
    monkeypatch.setattr("napari_histoaug.slides.identity.content_sha256", pytest.fail)
    with open_slide(make_pyramid_tiff(shapes=[(1200, 900)]).path) as slide:
        assert open_pyramid(slide).arrays[1].shape == (600, 450, 3)


def test_the_slide_is_hashed_once_and_names_nothing(make_pyramid_tiff, monkeypatch, cache):
    made = make_pyramid_tiff(shapes=[(2400, 1800)], name="Mustermann_1961.tif")
    with open_slide(made.path) as slide:
        path = build_sidecar(slide)
        assert path.name.startswith(slide.slide_id())
    monkeypatch.setattr("napari_histoaug.slides.identity.content_sha256", pytest.fail)
    with open_slide(made.path) as slide:
        assert find_sidecar(slide) == path
    monkeypatch.undo()
    for file in cache.rglob("*"):
        assert "Mustermann" not in str(file.relative_to(cache))
        assert not file.is_file() or b"Mustermann" not in file.read_bytes()
    assert [file.name for file in made.path.parent.glob("*.tif*")] == ["Mustermann_1961.tif"]


def test_a_slide_is_not_hashed_in_vain(make_pyramid_tiff, monkeypatch):
    with open_slide(make_pyramid_tiff(shapes=[(2400, 1800)]).path) as slide:
        build_sidecar(slide)
    monkeypatch.setattr("napari_histoaug.slides.identity.content_sha256", pytest.fail)
    with open_slide(make_pyramid_tiff(shapes=[(2100, 1800)], name="other.tif").path) as slide:
        assert needs_sidecar(slide)
        assert find_sidecar(slide) is None  # one of other levels cannot be ours


def test_other_content_has_another_sidecar(make_pyramid_tiff):
    first = make_pyramid_tiff(shapes=[(2400, 1800)], name="a.tif", seed=1)
    with open_slide(first.path) as slide:
        path = build_sidecar(slide)
    second = make_pyramid_tiff(shapes=[(2400, 1800)], name="b.tif", seed=2)
    with open_slide(second.path) as slide:
        assert find_sidecar(slide) is None
    moved = shutil.copy(first.path, first.path.with_name("moved.tif"))
    with open_slide(moved) as slide:
        assert find_sidecar(slide) == path
    os.replace(second.path, moved)
    os.utime(moved)
    with open_slide(moved) as slide:
        assert find_sidecar(slide) is None


def test_cancelling_leaves_nothing(make_pyramid_tiff, cache):
    asked = []

    def cancelled():
        asked.append(1)
        return len(asked) > 3

    with open_slide(make_pyramid_tiff(shapes=[(2400, 1800)]).path) as slide:
        with pytest.raises(Cancelled):
            build_sidecar(slide, cancelled=cancelled)
        assert find_sidecar(slide) is None
        assert [path for path in cache.iterdir() if path.is_dir() and path.name != "known"] == []
        assert find_sidecar(slide) is None
        assert build_sidecar(slide) == find_sidecar(slide)


def test_a_second_build_does_nothing(make_pyramid_tiff, monkeypatch):
    with open_slide(make_pyramid_tiff(shapes=[(2400, 1800)]).path) as slide:
        path = build_sidecar(slide)
        monkeypatch.setattr(slide, "read_block", pytest.fail)
        assert build_sidecar(slide) == path


def _build_and_stall(path, cache, connection):
    def stall(done, total):
        if done:
            connection.send(done)
            time.sleep(300)

    build_sidecar(open_slide(path), cache, progress=stall)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_killed_build_looks_like_none_and_is_removed(make_pyramid_tiff, tmp_path):
    made = make_pyramid_tiff(shapes=[(2400, 1800)])
    place = tmp_path / "kept"
    here, there = multiprocessing.Pipe()
    child = multiprocessing.get_context("fork").Process(
        target=_build_and_stall, args=(made.path, place, there)
    )
    child.start()
    assert here.poll(120)
    with open_slide(made.path) as slide:
        assert find_sidecar(slide, place) is None
        assert len(list(place.glob("*.building"))) == 1
        with pytest.raises(SlideError, match="being made by another window"):
            build_sidecar(slide, place)
        child.kill()
        child.join()
        assert find_sidecar(slide, place) is None
        other = make_pyramid_tiff(shapes=[(2100, 1800)], name="other.tif", seed=5)
        with open_slide(other.path) as another:
            build_sidecar(another, place)
        assert list(place.glob("*.building")) == []
        path = build_sidecar(slide, place)
        assert find_sidecar(slide, place) == path
        half = made.levels[0].reshape(1200, 2, 900, 2, 3).mean(axis=(1, 3))
        assert np.abs(rgb(zarr.open_array(str(path / "1"), mode="r")) - half).max() <= 0.5


def test_a_sidecar_without_its_root_document_is_none(make_pyramid_tiff):
    with open_slide(make_pyramid_tiff(shapes=[(2400, 1800)]).path) as slide:
        path = build_sidecar(slide)
        document = (path / "zarr.json").read_text()
        for damage in ("", "{", json.dumps({"attributes": {}}), document.replace("true", "false")):
            (path / "zarr.json").write_text(damage)
            assert find_sidecar(slide) is None
        assert build_sidecar(slide) == path
        assert find_sidecar(slide) == path


def test_a_full_disk_is_foreseen(make_pyramid_tiff, monkeypatch, cache):
    with open_slide(make_pyramid_tiff(shapes=[(2400, 1800)]).path) as slide:
        needed = sidecar.bytes_needed(slide)
        assert needed == (3 * 2 + 2 * 1) * 512 * 512 * 3  # 1200 x 900, 600 x 450
        usage = shutil.disk_usage(cache.anchor)._replace(free=needed - 1)
        monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
        monkeypatch.setattr(slide, "read_block", pytest.fail)
        with pytest.raises(SlideError, match=r"0\.0 GB are free.*choose another folder") as told:
            build_sidecar(slide)
        assert "\n" not in str(told.value)
        assert list(cache.glob("*.zarr")) == []


def test_a_disk_that_fills_up_on_the_way_leaves_nothing(make_pyramid_tiff, monkeypatch, cache):
    def full(self, *arguments):
        raise OSError(28, "No space left on device")

    with open_slide(make_pyramid_tiff(shapes=[(2400, 1800)]).path) as slide:
        monkeypatch.setattr(sidecar._Writer, "_write", full)
        with pytest.raises(SlideError, match="No space left on device"):
            build_sidecar(slide)
        assert list(cache.glob("*.building")) == []
        assert find_sidecar(slide) is None


@pytest.mark.skipif(os.name == "nt", reason="permissions work differently")
def test_a_folder_that_cannot_be_made(make_pyramid_tiff, tmp_path):
    (tmp_path / "file").write_text("no folder")
    with (
        open_slide(make_pyramid_tiff(shapes=[(2400, 1800)]).path) as slide,
        pytest.raises(SlideError, match="cannot be kept in"),
    ):
        build_sidecar(slide, tmp_path / "file" / "below")


def test_a_slide_that_changes_meanwhile_gets_none(make_pyramid_tiff):
    made = make_pyramid_tiff(shapes=[(2400, 1800)])
    with open_slide(made.path) as slide:
        with pytest.raises(SlideError, match="changed while it was read"):
            build_sidecar(slide, progress=lambda done, total: os.utime(made.path))
        assert find_sidecar(slide) is None


@pytest.mark.parametrize("count", [1, 9])
def test_damaged_tiles_are_counted_and_many_stop_it(make_pyramid_tiff, count):
    made = make_pyramid_tiff(shapes=[(2400, 1800)])
    data = bytearray(made.path.read_bytes())
    with tifffile.TiffFile(made.path) as tiff:
        for offset in tiff.pages[0].dataoffsets[100 : 100 + count]:
            data[offset : offset + 40] = bytes(40)
    made.path.write_bytes(data)
    with open_slide(made.path) as slide:
        if count == 1:
            document = json.loads((build_sidecar(slide) / "zarr.json").read_bytes())
            assert document["attributes"]["napari-histoaug"]["damaged_tiles"] == 1
        else:
            with pytest.raises(SlideError, match="9 of the 285 tiles"):
                build_sidecar(slide)
            assert find_sidecar(slide) is None


def test_means_by_two_agree_with_the_general_ones():
    image = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    quick = area_mean(image, (10, 20), (2.0, 2.0), (7, 12, 15, 20))
    assert (
        quick == area_mean(image.astype(np.float64), (10, 20), (2.0, 2.0), (7, 12, 15, 20))
    ).all()
    general = area_mean(image, (10, 20), (2.0 + 1e-12, 2.0), (7, 12, 15, 20))
    assert np.abs(quick - general).max() < 1e-3
    assert (quick == image[4:34, 4:44].reshape(15, 2, 20, 2, 3).mean(axis=(1, 3))).all()
