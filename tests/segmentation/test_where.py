"""What is found lies where the slide shows it: at every pixel size, whole and field by field."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from scipy import ndimage
from torch import Tensor, nn

from napari_histoaug.annotations import ClassTable, rasterize, read_geojson
from napari_histoaug.models.segmenter_folder import SegmenterIndex
from napari_histoaug.segmentation import PredictionStore, Segmenter, predict_slide
from napari_histoaug.segmentation import prediction_store as stores
from napari_histoaug.segmentation.fields import live_prediction, predict_fields
from napari_histoaug.segmentation.many_slides import write_outlines
from napari_histoaug.segmentation.prediction_store import CLASSES
from napari_histoaug.slides import Slide, open_slide
from napari_histoaug.slides.resampling import area_mean

SHAPE, RADIUS = (801, 1001), 45
CENTRES = ((90.3, 120.7), (402.0, 500.5), (700.6, 860.2))  # pixel 0 spans 0 to 1
MPP = 0.5  # of the network


class Red(nn.Module):
    """Says how red a pixel is, as a logit, and looks at nothing else."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.logit(((x[:, :1].float() + 1) / 2).clamp(1e-6, 1 - 1e-6))


@pytest.fixture(scope="module")
def red() -> Segmenter:
    index = SegmenterIndex(
        name="red", classes=("blood_vessel",), mpp=(MPP, MPP), patch=64, thresholds=(0.5,)
    )
    return Segmenter(Red(), index, "ab" * 32, torch.device("cpu"))  # type: ignore[arg-type]


def discs(path: Path, mpp: float, levels: tuple[tuple[int, int], ...]) -> Path:
    """Write a slide with red discs on black, its coarse levels area means of the finest."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]] + 0.5
    near = np.min([np.hypot(y - cy, x - cx) for cy, cx in CENTRES], axis=0)
    fine = np.zeros((*SHAPE, 3), np.float32)
    fine[..., 0] = 255 * np.clip(RADIUS + 0.5 - near, 0, 1)
    with tifffile.TiffWriter(path) as writer:
        for shape in (SHAPE, *levels):
            step = SHAPE[0] / shape[0], SHAPE[1] / shape[1]
            writer.write(
                np.rint(area_mean(fine, (0, 0), step, (0, 0, *shape))).astype(np.uint8),
                tile=(128, 128), photometric="rgb", metadata=None, subfiletype=int(shape != SHAPE),
                resolution=(1e4 / mpp, 1e4 / mpp), resolutionunit="CENTIMETER",
            )  # fmt: skip
    return path


def assert_in_place(mask: np.ndarray, spacing: tuple[float, float]) -> None:
    numbered, count = ndimage.label(mask)
    assert count == len(CENTRES)
    found = np.array(ndimage.center_of_mass(mask, numbered, range(1, count + 1)))
    np.testing.assert_allclose((found + 0.5) * spacing, CENTRES, atol=0.5)
    areas = ndimage.sum(mask, numbered, range(1, count + 1)) * np.prod(spacing)
    np.testing.assert_allclose(areas, np.pi * RADIUS**2, rtol=0.03)


def assert_found_in_place(red: Segmenter, slide: Slide, folder: Path) -> None:
    store = PredictionStore.open(predict_slide(red, slide, folder / "found.zarr"))
    spacing = tuple(store.facts["level_0_pixels_per_pixel"])
    assert_in_place(store.levels(CLASSES)[0][:] > 0, spacing)
    write_outlines(store, slide, folder / "found.geojson")
    outlines = read_geojson(folder / "found.geojson")
    table = ClassTable.from_names(["blood_vessel"])
    assert_in_place(rasterize(outlines, classes=table, box=(0, 0, *SHAPE)) > 0, (1.0, 1.0))
    live = live_prediction(red, slide)
    predict_fields(red, slide, live, live.fields())
    assert_in_place(live.labels(0, (0, 0, *live.shapes[0])) > 0, live.grid.spacing)
    live.close()


@pytest.mark.parametrize(
    ("mpp", "levels"),
    [
        (0.5, ()),
        (0.25, ()),
        (0.25, ((400, 500),)),  # 2.0025 and 2.002 times as coarse
        (0.2, ()),
        (0.35, ((401, 501),)),
        (0.23, ((401, 501), (200, 250))),
        (0.1, ((401, 501), (201, 251))),
    ],
)
def test_what_is_found_lies_where_the_slide_shows_it(
    red: Segmenter,
    mpp: float,
    levels: tuple[tuple[int, int], ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stores, "BLOCK", 256)
    monkeypatch.setattr(stores, "CHUNK", 128)
    monkeypatch.setattr(stores, "SMALLEST", 256)
    with open_slide(discs(tmp_path / "discs.tif", mpp, levels)) as slide:
        assert_found_in_place(red, slide, tmp_path)
