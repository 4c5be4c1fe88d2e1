"""Truth against prediction: whatever the kind of file and the blocks, the same counts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr
from PIL import Image
from scipy import ndimage

from napari_histoaug.annotations import ClassTable, Document, Feature, write_geojson
from napari_histoaug.errors import Cancelled
from napari_histoaug.metrics import confusion, label_objects, match_objects
from napari_histoaug.segmentation import (
    Outcome,
    PredictionStore,
    SegmentationError,
    compare,
    open_pair,
    outline_labels,
)
from napari_histoaug.segmentation import prediction_store as stores
from napari_histoaug.segmentation.error_map import COLOURS
from napari_histoaug.segmentation.object_counts import ObjectCounter

SHAPE = (150, 190)
CLASSES = ["blood_vessel", "fatty_tissue"]
TABLE = ClassTable.from_names(CLASSES)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("BLOCK", 64), ("CHUNK", 32), ("SMALLEST", 64)):
        monkeypatch.setattr(stores, name, value)


def blobs(seed: int, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal((2, *shape))
    smooth = ndimage.gaussian_filter(noise, (0, 3, 3))
    return np.where(smooth[1] > 0.1, 2, smooth[0] > 0.08).astype(np.uint8)


TRUTH = blobs(0)
FOUND = np.where(np.random.default_rng(1).random(SHAPE) < 0.1, 0, np.roll(TRUTH, 2, 1))
FOUND = FOUND.astype(np.uint8)


def prediction(folder: Path, labels: np.ndarray, valid: np.ndarray | None = None) -> Path:
    path = folder / "found.zarr"
    store = PredictionStore.create(path, labels.shape, CLASSES, (0.5, 0.5), [(9, 9, 9)] * 2)
    valid = np.ones(labels.shape, np.uint8) if valid is None else valid
    for y, x, height, width in stores.blocks(labels.shape):
        part = (slice(y, y + height), slice(x, x + width))
        nothing = np.zeros((2, height, width), np.uint8)
        store.write((y, x, height, width), nothing, labels[part], valid[part])
    store.finish({"classes": CLASSES, "level_0_pixels_per_pixel": [2.0, 2.0]})
    return path


def png(folder: Path, labels: np.ndarray) -> Path:
    Image.fromarray(labels).save(folder / "truth.png")
    return folder / "truth.png"


def geojson(folder: Path, labels: np.ndarray, *regions: tuple[int, int, int, int]) -> Path:
    import shapely

    document = outline_labels(labels, CLASSES, TABLE, (2.0, 2.0))
    features = list(document.features)
    features += [Feature.new(shapely.box(*region), "Region*", (9, 9, 9)) for region in regions]
    write_geojson(Document.from_features(features), folder / "truth.geojson")
    return folder / "truth.geojson"


@pytest.mark.parametrize("kind", ["png", "geojson"])
def test_counts_are_those_of_the_whole_arrays(tmp_path, kind) -> None:
    valid = np.ones(SHAPE, np.uint8)
    valid[:40, :50] = 0
    truth = (png if kind == "png" else geojson)(tmp_path, TRUTH)
    pair = open_pair(truth, prediction(tmp_path, FOUND, valid), complete=True)
    found = compare(pair)
    for value, name in enumerate(CLASSES, 1):
        t, p = (value == TRUTH) & (valid > 0), (value == FOUND) & (valid > 0)
        assert found.pixels[name] == confusion(t, p)
        matching = match_objects(label_objects(t), label_objects(p))
        assert found.objects[name].counts == matching.counts
        ious = sorted(each.iou for each in found.objects[name].matched)
        assert ious == pytest.approx(sorted(iou for *_, iou in matching.pairs))
    assert found.known == valid.sum()


@pytest.mark.parametrize("least", [0.1, 0.5])
@pytest.mark.parametrize("side", [7, 32])
def test_objects_do_not_depend_on_the_blocks(side, least) -> None:
    rng = np.random.default_rng(side)
    # Pixels at random: corners, bridges and seams of every kind.
    truth, found = rng.random((2, 61, 75)) < 0.3
    counter = ObjectCounter()
    for y in range(0, 61, side):
        for x in range(0, 75, side):
            part = (slice(y, y + side), slice(x, x + side))
            counter.add((y, x, *truth[part].shape), truth[part], found[part])
    result = counter.result(least)
    matching = match_objects(label_objects(truth), label_objects(found), least)
    assert result.counts == matching.counts
    assert sum(f.iou for f in result.matched) == pytest.approx(sum(p[2] for p in matching.pairs))
    places = ndimage.find_objects(label_objects(truth))
    boxes = {(s.start, t.start, s.stop - s.start, t.stop - t.start) for s, t in places}
    assert {each.box for each in result.missed} <= boxes
    areas = [each.area for each in result.missed]
    assert areas == sorted(areas, reverse=True)


def test_only_annotated_regions_count(tmp_path) -> None:
    truth = geojson(tmp_path, TRUTH, (40, 60, 200, 240))
    pair = open_pair(truth, prediction(tmp_path, FOUND))
    found = compare(pair)
    part = (slice(30, 120), slice(20, 100))
    assert found.known == 90 * 80
    assert found.pixels["blood_vessel"] == confusion(TRUTH[part] == 1, FOUND[part] == 1)


def test_a_region_in_view(tmp_path) -> None:
    pair = open_pair(png(tmp_path, TRUTH), prediction(tmp_path, FOUND))
    seen = []
    found = compare(pair, within=(50, 60, 40, 90), block_done=lambda box, maps: seen.append(box))
    part = (slice(50, 90), slice(60, 150))
    assert found.pixels["fatty_tissue"] == confusion(TRUTH[part] == 2, FOUND[part] == 2)
    matching = match_objects(label_objects(TRUTH[part] == 2), label_objects(FOUND[part] == 2))
    assert found.objects["fatty_tissue"].counts == matching.counts
    assert len(seen) == 6
    with pytest.raises(SegmentationError, match="outside"):
        compare(pair, within=(500, 0, 10, 10))


def test_the_error_map_is_an_ome_zarr_label_image(tmp_path) -> None:
    truth = np.zeros(SHAPE, np.uint8)
    truth[131, 77] = 1
    pair = open_pair(png(tmp_path, truth), prediction(tmp_path, np.zeros_like(truth)))
    compare(pair, out=tmp_path / "errors.zarr", palette="colour-blind safe")
    group = zarr.open_group(str(tmp_path / "errors.zarr"), mode="r")
    assert group["labels"].attrs["ome"]["labels"] == CLASSES
    described = group["labels/blood_vessel"].attrs["ome"]
    assert len(described["multiscales"][0]["datasets"]) == 3
    for level in range(3):
        array = group[f"labels/blood_vessel/{level}"]
        assert array[131 >> level, 77 >> level] == Outcome.FALSE_NEGATIVE
        assert np.count_nonzero(array[:]) == 1
    colours = {c["label-value"]: tuple(c["rgba"][:3]) for c in described["image-label"]["colors"]}
    assert colours == {int(o): c for o, c in COLOURS["colour-blind safe"].items()}
    with pytest.raises(SegmentationError, match="exists"):
        compare(pair, out=tmp_path / "errors.zarr")


def test_stopped_it_leaves_nothing(tmp_path) -> None:
    pair = open_pair(png(tmp_path, TRUTH), prediction(tmp_path, FOUND))
    states = iter([False] * 4 + [True])
    with pytest.raises(Cancelled):
        compare(pair, out=tmp_path / "errors.zarr", cancelled=lambda: next(states))
    assert not list(tmp_path.glob("errors*"))


def test_an_empty_truth_is_said(tmp_path) -> None:
    pair = open_pair(png(tmp_path, np.zeros_like(TRUTH)), prediction(tmp_path, FOUND))
    found = compare(pair)
    assert found.pixels["blood_vessel"].recall is None
    assert "holds no blood_vessel" in found.notes[0]


def colour_picture(folder: Path) -> Path:
    Image.fromarray(np.zeros((*SHAPE, 3), np.uint8)).save(folder / "rgb.png")
    return folder / "rgb.png"


def float_picture(folder: Path) -> Path:
    Image.fromarray(np.zeros(SHAPE, np.float32)).save(folder / "float.tif")
    return folder / "float.tif"


def float_zarr(folder: Path) -> Path:
    group = zarr.create_group(str(folder / "float.zarr"))
    group.create_array("0", shape=SHAPE, dtype="float32")
    axes = [{"name": n, "type": "space"} for n in "yx"]
    datasets = [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [1, 1]}]}]
    group.attrs["ome"] = {"multiscales": [{"axes": axes, "datasets": datasets}]}
    return folder / "float.zarr"


def missing_level(folder: Path) -> Path:
    path = float_zarr(folder)
    group = zarr.open_group(str(path))
    described = dict(group.attrs["ome"])
    described["multiscales"][0]["datasets"][0]["path"] = "7"
    group.attrs["ome"] = described
    return path


def other_classes(folder: Path) -> Path:
    document = outline_labels(
        TRUTH, ["tumour", "stroma"], ClassTable.from_names(["tumour", "stroma"])
    )
    write_geojson(document, folder / "other.geojson")
    return folder / "other.geojson"


def elsewhere(folder: Path) -> Path:
    document = outline_labels(TRUTH, CLASSES, TABLE, (900.0, 900.0))
    write_geojson(document, folder / "elsewhere.geojson")
    return folder / "elsewhere.geojson"


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda folder: folder / "none.png", "There is no"),
        (lambda folder: png(folder, TRUTH[:100]), "has 100 x 190 pixels, the prediction 150 x 190"),
        (colour_picture, "is a colour picture"),
        (float_picture, "holds fractions"),
        (float_zarr, "are float32"),
        (missing_level, "lacks '7'"),
        (lambda folder: geojson(folder, TRUTH), "Nothing says where truth.geojson is complete"),
        (lambda folder: geojson(folder, 0 * TRUTH), "outlines nothing of"),
        (other_classes, "outlines tumour"),
        (elsewhere, "lie outside"),
    ],
)
def test_what_cannot_be_compared_is_a_sentence(tmp_path, make, sentence) -> None:
    found = prediction(tmp_path, FOUND)
    with pytest.raises(SegmentationError, match=sentence):
        open_pair(make(tmp_path), found)


def test_values_without_a_class_are_a_sentence(tmp_path) -> None:
    pair = open_pair(png(tmp_path, TRUTH + 1), prediction(tmp_path, FOUND))
    with pytest.raises(SegmentationError, match="holds the value 3"):
        compare(pair)


def test_two_outline_files_need_the_slide(tmp_path) -> None:
    path = geojson(tmp_path, TRUTH)
    with pytest.raises(SegmentationError, match="give the slide"):
        open_pair(path, path, CLASSES, complete=True)
