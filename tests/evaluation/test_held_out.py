"""Holes from outlines, plain answers, and pictures for human eyes."""

import json

import numpy as np
import pytest
import shapely
from PIL import Image
from scipy import ndimage

from napari_histoaug.annotations import Document, Feature, export_for_qupath
from napari_histoaug.evaluation import EvaluationError, HeldOutHole, held_out_holes
from napari_histoaug.evaluation.fills import filled
from napari_histoaug.evaluation.plain_answers import (
    biharmonic,
    navier_stokes,
    pasted_donor,
    telea,
)
from napari_histoaug.evaluation.sheet import blind_sheet, rows_of_fillings
from napari_histoaug.masks import dilate


@pytest.fixture(scope="module")
def tissue(tmp_path_factory: pytest.TempPathFactory):
    """Two cases of one field each, with outlined vessels of known size."""
    folder = tmp_path_factory.mktemp("tissue")
    rng = np.random.default_rng(0)
    places = {"first": [(300, 200, 40), (700, 600, 30), (4, 500, 30)], "second": [(500, 500, 20)]}
    for case, circles in places.items():
        noise = ndimage.gaussian_filter(rng.standard_normal((1024, 1024, 3)), (3, 3, 0))
        image = np.clip(190 + 120 * noise, 0, 255).astype(np.uint8)
        features = [
            Feature.new(shapely.Point(x, y).buffer(r), "blood_vessel", (200, 0, 0))
            for y, x, r in circles
        ]
        features.append(Feature.new(shapely.box(10, 10, 60, 60), "fat", (9, 9, 9)))
        Image.fromarray(image).save(folder / f"{case}_x0_y0.png")
        (folder / "annotations" / case).mkdir(parents=True)
        path = folder / "annotations" / case / f"{case}_x0_y0.geojson"
        export_for_qupath(Document.from_features(features), path)
    return folder


def holes(tissue, **options) -> list[HeldOutHole]:
    return held_out_holes(tissue, tissue / "annotations", ["first", "second"], **options)


def test_a_hole_is_the_outlined_vessel_and_a_little_more(tissue) -> None:
    found = holes(tissue)
    # The one that the field cuts is left out.
    assert [round(item.vessel.sum() / np.pi) for item in found] == pytest.approx(
        [1600, 900, 400], rel=0.02
    )
    for item in found:
        field = np.asarray(Image.open(tissue / f"{item.field}.png"))
        assert any(
            (field[y : y + 256, x : x + 256] == item.image).all()
            for y in (172, 572, 372)
            for x in (72, 472, 372)
        )
        assert (item.hole | ~item.vessel).all()
        grown = np.sqrt(item.hole.sum() / np.pi) - np.sqrt(item.vessel.sum() / np.pi)
        assert grown == pytest.approx(3, abs=0.4)


def test_size_and_number_are_chosen(tissue) -> None:
    drawn = holes(tissue, most=2)
    assert sorted(item.case for item in drawn) == ["first", "second"]
    assert [d.field for d in drawn] == [d.field for d in holes(tissue, most=2)]
    with pytest.raises(EvaluationError, match="outlines no blood_vessel of a usable size"):
        holes(tissue, diameter=(70, 90))


def test_the_picture_compared_is_the_hole_not_the_window(tissue) -> None:
    item = holes(tissue)[0]
    marked = np.zeros_like(item.image)
    marked[item.hole] = 255
    crop = item.crop(marked)
    assert crop.shape == (128, 128, 3)
    assert (crop > 127).mean() == pytest.approx(np.pi / 4, abs=0.02)


@pytest.mark.parametrize("fill", [telea, navier_stokes, biharmonic, "donor"])
def test_plain_answers_change_the_hole_only_and_fill_it_smoothly(tissue, fill) -> None:
    pytest.importorskip("cv2", reason="OpenCV is not installed")
    found = holes(tissue)
    item = found[2]
    fill = pasted_donor(found[:2]) if fill == "donor" else fill
    image = fill(item, 0)
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image[~item.hole], item.image[~item.hole])
    assert (image[item.hole] != item.image[item.hole]).any()
    assert abs(image[item.hole].mean() - item.image[~item.hole].mean()) < 20


def test_what_was_filled_is_not_filled_again(tissue, tmp_path) -> None:
    items = holes(tissue)
    calls = []

    def fill(item: HeldOutHole, seed: int) -> np.ndarray:
        calls.append(seed)
        return np.where(item.hole[..., None], 7, item.image).astype(np.uint8)

    first = filled(items, fill, tmp_path / "seven", seed=2, say=lambda line: None)
    (tmp_path / "seven" / "0001.png").unlink()
    second = filled(items, fill, tmp_path / "seven", seed=2, say=lambda line: None)
    assert calls == [2000, 2001, 2002, 2001]
    np.testing.assert_array_equal(first, second)


def test_a_blind_sheet_shows_every_hole_once_and_half_of_them_real(tissue) -> None:
    items = holes(tissue) * 4
    made = [np.full_like(item.image, 5) for item in items]
    sheet = blind_sheet(items, made, seed=3, columns=4)
    assert sorted(sheet.holes) == list(range(12))
    assert sum(sheet.real) == 6
    assert json.dumps([sheet.real, sheet.holes])
    for index, (hole, real) in enumerate(zip(sheet.holes, sheet.real, strict=True)):
        y, x = 8 + index // 4 * (256 + 26) + 18, 8 + index % 4 * (256 + 8)
        shown = sheet.image[y : y + 256, x : x + 256]
        expected = items[hole].image if real else made[hole]
        changed = (shown != expected).any(-1)
        assert 0 < changed.sum() <= 4 * 2 * 9  # corners, ...
        assert (shown[changed] == 0).all()
        assert not (changed & dilate(items[hole].hole, 11)).any()  # ... beyond what is filled


def test_rows_show_the_hole_the_tissue_and_each_filling(tissue) -> None:
    items = holes(tissue)[:2]
    image = rows_of_fillings(items, {"black": [np.zeros_like(i.image) for i in items]})
    assert image.shape == (2 * 282 + 8, 3 * 264 + 8, 3)
