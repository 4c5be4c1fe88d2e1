"""Where micrometres per pixel come from."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tifffile

from napari_histoaug.slides import SlideError, open_slide
from napari_histoaug.slides.pixel_size import believable


@pytest.mark.parametrize("value", [0.0, -0.5, math.nan, math.inf, 20.001, 25_400 / 72, None])
def test_absurd_values_are_refused(value):
    assert believable(value, 0.5) is None
    assert believable(0.5, value) is None


def test_both_axes_are_kept():
    assert believable(0.25, 0.5) == (0.25, 0.5)
    assert believable(20.0, 1e-3) == (20.0, 1e-3)


def test_resolution_tags(make_pyramid_tiff):
    with open_slide(make_pyramid_tiff(mpp=0.25).path) as slide:
        assert slide.mpp == pytest.approx((0.25, 0.25), rel=1e-6)


@pytest.mark.parametrize("tile", [None, (128, 128)])
def test_unequal_resolutions_are_y_then_x(tmp_path, tile):
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path,
        np.zeros((300, 300, 3), np.uint8),
        photometric="rgb",
        tile=tile,
        resolution=(20_000, 40_000),  # x, y
        resolutionunit="CENTIMETER",
        metadata=None,
    )
    with open_slide(path) as slide:
        assert slide.mpp == pytest.approx((0.25, 0.5))


@pytest.mark.parametrize("tile", [None, (128, 128)])
@pytest.mark.parametrize(
    ("resolution", "unit"), [((72, 72), "INCH"), ((1, 1), "NONE"), (None, None)]
)
def test_defaults_of_image_editors_are_not_believed(tmp_path, tile, resolution, unit):
    path = tmp_path / "a.tif"
    options = {} if resolution is None else {"resolution": resolution, "resolutionunit": unit}
    tifffile.imwrite(
        path,
        np.zeros((300, 300, 3), np.uint8),
        photometric="rgb",
        tile=tile,
        metadata=None,
        **options,
    )
    with open_slide(path) as slide:
        assert slide.mpp is None


def test_the_argument_wins(make_pyramid_tiff):
    path = make_pyramid_tiff(mpp=0.25).path
    with open_slide(path, mpp=0.75) as slide:
        assert slide.mpp == (0.75, 0.75)
    with open_slide(path, mpp=(0.1, 0.2)) as slide:
        assert slide.mpp == (0.1, 0.2)
    for wrong in (0, -1, math.nan, (1, 2, 3), ()):
        with pytest.raises(SlideError, match="micrometres per pixel"):
            open_slide(path, mpp=wrong)


def test_magnification_is_no_pixel_size(shared_data):
    # This slide states a magnification and no pixel size.
    with open_slide(shared_data / "wsi" / "tcga-cr-7395-01a-01-ts1.svs") as slide:
        assert slide.mpp is None


def test_vendor_values(shared_data):
    with open_slide(shared_data / "wsi" / "CMU-1-Small-Region.svs") as slide:
        assert slide.mpp == (0.499, 0.499)
    with open_slide(shared_data / "wsi" / "OS-1-detail.ome.tif") as slide:
        assert slide.mpp == pytest.approx((0.2271, 0.2271), abs=1e-4)
