"""Where a slide holds no pixels: outside, transparent, left out."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from napari_histoaug.slides import open_slide
from napari_histoaug.slides.openslide_reader import OpenSlideReader, _bounds
from napari_histoaug.slides.resampling import area_mean
from napari_histoaug.slides.tiff_reader import Facts, TiffReader


def speckled(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Colours in patches of 16 pixels with grain, uint8 RGB."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 220, (height // 16 + 1, width // 16 + 1, 3), dtype=np.uint8)
    image = coarse.repeat(16, axis=0)[:height].repeat(16, axis=1)[:, :width]
    return image + random.integers(0, 36, image.shape, dtype=np.uint8)


def leave_out(path, page, tiles):
    """Set the byte counts of some tiles to zero."""
    with tifffile.TiffFile(path, mode="r+b") as tiff:
        tag = tiff.pages[page].tags["TileByteCounts"]
        counts = [0 if i in tiles else c for i, c in enumerate(tag.value)]
        tag.overwrite(counts)


def test_tiles_left_out_are_averaged_from_the_finer_level(make_pyramid_tiff):
    made = make_pyramid_tiff(shapes=[(1024, 1024), (512, 512), (256, 256)])
    leave_out(made.path, 1, {0, 5})
    leave_out(made.path, 2, {0})
    with open_slide(made.path) as slide:
        full = slide.read_block(1, 0, 0, 512, 512)
        for row, column in ((0, 0), (1, 1)):
            y, x = row * 128, column * 128
            fine = made.levels[0][2 * y : 2 * y + 256, 2 * x : 2 * x + 256]
            mean = fine.reshape(128, 2, 128, 2, 3).mean(axis=(1, 3))
            assert np.abs(full[y : y + 128, x : x + 128] - mean).max() <= 0.51
        expected = made.levels[1].copy()
        expected[:128, :128], expected[128:256, 128:256] = full[:128, :128], full[128:256, 128:256]
        assert (full == expected).all()
        # The coarsest tile comes from a level that itself had gaps.
        mean = full[:256, :256].reshape(128, 2, 128, 2, 3).mean(axis=(1, 3))
        assert np.abs(slide.read_block(2, 0, 0, 128, 128) - mean).max() <= 0.51
        assert all(
            slide.read_valid(i, 0, 0, *level.shape).all() for i, level in enumerate(slide.levels)
        )
        assert slide.failures == []


def test_odd_downsamples_are_averaged_by_area(make_pyramid_tiff):
    made = make_pyramid_tiff(shapes=[(1001, 901), (333, 301)])
    leave_out(made.path, 1, {4, 8})
    with open_slide(made.path) as slide:
        spacing = (1001 / 333, 901 / 301)
        mean = area_mean(made.levels[0], (0, 0), spacing, (128, 128, 128, 128))
        block = slide.read_block(1, 128, 128, 128, 128)
        assert np.abs(block - mean).max() <= 0.51
        mean = area_mean(made.levels[0], (0, 0), spacing, (256, 256, 77, 45))
        assert np.abs(slide.read_block(1, 256, 256, 77, 45) - mean).max() <= 0.51


def test_what_no_level_holds_is_background_and_not_valid(make_pyramid_tiff):
    made = make_pyramid_tiff(shapes=[(512, 512), (256, 256)])
    leave_out(made.path, 0, {0, 1, 4, 5})
    leave_out(made.path, 1, {0})
    reader = TiffReader(made.path, facts=Facts(background=(250, 240, 230)))
    for level, side in ((0, 256), (1, 128)):
        assert (reader.read(level, 0, 0, side, side) == (250, 240, 230)).all()
    with open_slide(made.path) as slide:
        for level, side in ((0, 256), (1, 128)):
            assert (slide.read_block(level, 0, 0, side, side) == 255).all()
            valid = slide.read_valid(level, -5, -5, 2 * side + 10, 2 * side + 10)
            expected = np.zeros_like(valid)
            expected[5:-5, 5:-5] = True
            expected[5 : 5 + side, 5 : 5 + side] = False
            assert (valid == expected).all()


@pytest.mark.parametrize("kind", ["unassalpha", "assocalpha"])
def test_transparent_pixels_are_background_and_not_valid(tmp_path, kind):
    rgb = speckled(300, 300)
    alpha = np.full((300, 300, 1), 255, np.uint8)
    alpha[100:200, 50:150] = 0
    rgb[100:200, 50:150] = 0
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path, np.concatenate([rgb, alpha], axis=-1), tile=(128, 128), photometric="rgb",
        extrasamples=[kind], metadata=None, compression="deflate",
    )  # fmt: skip
    with open_slide(path) as slide:
        block = slide.read_block(0, 0, 0, 300, 300)
        assert (block[100:200, 50:150] == 255).all()
        opaque = alpha[..., 0] > 0
        assert (block[opaque] == rgb[opaque]).all()
        assert (slide.read_valid(0, 0, 0, 300, 300) == opaque).all()


def test_openslide_s_transparency_is_a_mask_too(make_pyramid_tiff):
    made = make_pyramid_tiff(shapes=[(512, 512)])
    leave_out(made.path, 0, {5})
    reader = OpenSlideReader(made.path)
    valid = reader.read_valid(0, 0, 0, 512, 512)
    expected = np.ones((512, 512), bool)
    expected[128:256, 128:256] = False
    assert (valid == expected).all()
    assert (reader.read(0, 128, 128, 128, 128) == 255).all()
    reader.close()


def test_bounds_are_y_then_x():
    names = {"y": "20", "x": "10", "height": "300", "width": "400"}
    properties = {f"openslide.bounds-{key}": value for key, value in names.items()}
    assert _bounds(properties) == (20, 10, 300, 400)
    assert _bounds({}) is None
    assert _bounds(properties | {"openslide.bounds-x": "?"}) is None


def test_slides_without_bounds_have_none(make_pyramid_tiff):
    with open_slide(make_pyramid_tiff().path) as slide:
        assert slide.bounds is None
