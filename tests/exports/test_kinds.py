"""Outlines, label images, journals and patches give back what was painted; names stay out."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest
import shapely
import zarr

from napari_histoaug.annotations import (
    AnnotationError,
    ClassTable,
    Document,
    Feature,
    rasterize,
    read_geojson,
)
from napari_histoaug.edits import EditRecord
from napari_histoaug.errors import Cancelled, HistoaugError
from napari_histoaug.exports import ExportError, Kind, Order, PatchOrder, export
from napari_histoaug.learning import PatchDataset
from napari_histoaug.patches import manifest
from napari_histoaug.patches.forms import open_part

SECRET = "Jane-Doe-1963"


@pytest.fixture
def drawn():
    """An annotation beside the edits."""
    square = shapely.box(600, 400, 700, 500)
    return Document.from_features([Feature.new(square, "fatty_tissue", (1, 2, 3))])


def write(edited, kind, folder, **order):
    return export(edited.slide, edited.store, Order(kind, folder, edited.classes, **order))


def test_outlines_give_back_the_masks_and_say_that_they_are_synthetic(edited, tmp_path, drawn):
    (path,) = write(edited, Kind.OUTLINES, tmp_path, annotations=drawn)
    document = read_geojson(path)
    box = (0, 0, *edited.slide.levels[0].shape)
    expected = edited.painted
    expected[400:500, 600:700] = 1
    np.testing.assert_array_equal(rasterize(document, classes=edited.classes, box=box), expected)
    said = [feature.properties["metadata"].get("histoaug synthetic") for feature in document.walk()]
    assert said == [None, "true", "true"]
    write(edited, Kind.OUTLINES, tmp_path)
    assert len(read_geojson(path).features) == 2  # replaced


def test_a_label_image_gives_back_the_masks(edited, tmp_path, drawn):
    (path,) = write(edited, Kind.LABELS, tmp_path, annotations=drawn)
    labels = zarr.open_group(path, mode="r")["labels/annotations"]
    values = {
        entry["class"]: entry["label-value"]
        for entry in labels.attrs["ome"]["image-label"]["properties"]
    }
    expected = edited.painted
    expected[400:500, 600:700] = 1
    for name in edited.classes.names:
        at = labels["0"][:] == values[name]
        np.testing.assert_array_equal(at, expected == edited.classes.value_of(name))


def test_nothing_drawn_and_nothing_edited_is_one_sentence(edited, tmp_path):
    edited.store.undo()
    edited.store.undo()
    for kind in (Kind.OUTLINES, Kind.LABELS):
        with pytest.raises(ExportError, match="nothing to write"):
            write(edited, kind, tmp_path)


def test_the_journal_knows_what_is_in_force(edited, tmp_path):
    first, second = edited.store.edits
    edited.store.undo()
    (path,) = write(edited, Kind.JOURNAL_JSON, tmp_path)
    document = json.loads(path.read_text())
    assert document["slide_id"] == edited.slide.slide_id()
    assert [(e["id"], e["in_force"]) for e in document["edits"]] == [
        (first.id, True), (second.id, False),
    ]  # fmt: skip
    assert [e["event"] for e in document["events"]] == ["accept", "accept", "undo"]
    (path,) = write(edited, Kind.JOURNAL_CSV, tmp_path)
    rows = list(csv.DictReader(io.StringIO(path.read_text())))
    assert [row["id"] for row in rows] == [first.id, second.id]
    assert [int(rows[1][name]) for name in ("y", "x", "height", "width")] == list(second.box)
    assert rows[0]["seed"] == "0"


def test_pairs_of_all_edits(edited, tmp_path):
    assert len(write(edited, Kind.PAIRS, tmp_path)) == 2
    order = Order(Kind.PAIRS, tmp_path / "no", ClassTable.preset("breast"))
    with pytest.raises(AnnotationError, match="fatty_tissue"):
        export(edited.slide, edited.store, order)
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize("form", ["png", "zarr", "tar"])
def test_patches_around_edits(edited, tmp_path, form):
    order = PatchOrder(form=form, size=128, stride=64)
    (path,) = write(edited, Kind.PATCHES, tmp_path, patches=order)
    table = manifest.read_table(path)
    whole, painted, generated = edited.whole, edited.painted, edited.generated
    rows, columns = np.meshgrid(
        [*range(0, 1301 - 128, 64), 1301 - 128], [*range(0, 1503 - 128, 64), 1503 - 128]
    )
    expected = {
        (int(y), int(x))
        for y, x in zip(rows.ravel(), columns.ravel(), strict=True)
        if generated[y : y + 128, x : x + 128].any()
    }
    assert {(row["y"], row["x"]) for row in table.to_pylist()} == expected
    (part_path,) = (path.parent / form).iterdir()
    part = open_part(part_path)
    assert len(part) == len(expected)
    for row in table.to_pylist():
        image, mask = part[row["index"]]
        at = np.s_[row["y"] : row["y"] + 128, row["x"] : row["x"] + 128]
        np.testing.assert_array_equal(image, whole[at])
        np.testing.assert_array_equal(mask, painted[at])
        assert row["synthetic_frac"] == pytest.approx(generated[at].mean())


def test_patches_over_the_slide_at_another_pixel_size_are_a_data_set(edited, tmp_path, drawn):
    order = PatchOrder(form="zarr", around="slide", size=128, stride=128, mpp=1.0)
    steps = []
    (path,) = export(
        edited.slide, edited.store,
        Order(Kind.PATCHES, tmp_path, edited.classes, drawn, order),
        progress=lambda done, total: steps.append((done, total)),
    )  # fmt: skip
    assert steps == [(1, 1)]
    table = manifest.read_table(path)
    assert table["mpp_y"].to_numpy() == pytest.approx(1.0, rel=0.01)
    assert max(table["frac_fatty_tissue"].to_pylist()) > 0.05
    data = PatchDataset(path, form="zarr", synthetic=True)
    assert len(data) == table.num_rows > 20


def test_a_second_export_has_a_folder_of_its_own(edited, tmp_path):
    order = PatchOrder(size=128, stride=128)
    first = write(edited, Kind.PATCHES, tmp_path, patches=order)[0].parent
    edited.store.undo()
    second = write(edited, Kind.PATCHES, tmp_path, patches=order)[0].parent
    counts = [manifest.read_info(f / "manifest.parquet").only.patches for f in (first, second)]
    assert first != second
    assert counts[1] < counts[0]


def test_patches_that_cannot_be_made_leave_nothing(edited, tmp_path):
    def stopped():
        return True

    order = Order(Kind.PATCHES, tmp_path, edited.classes, patches=PatchOrder(size=128))
    with pytest.raises(Cancelled):
        export(edited.slide, edited.store, order, cancelled=stopped)
    with pytest.raises(HistoaugError, match="µm a pixel"):
        write(edited, Kind.PATCHES, tmp_path, patches=PatchOrder(mpp=0.1))
    edited.store.undo()
    edited.store.undo()
    with pytest.raises(ExportError, match="holds a generated pixel"):
        write(edited, Kind.PATCHES, tmp_path, patches=PatchOrder(size=128))
    assert not any("patches" in p.name for p in tmp_path.iterdir())


def test_nothing_written_names_the_slide(edited, tmp_path, drawn):
    out = tmp_path / "out"
    for kind in Kind:
        write(edited, kind, out, annotations=drawn, patches=PatchOrder(size=128))
    files = [p for p in out.rglob("*") if p.is_file()]
    assert len({p.parent for p in files}) > 4
    for path in files:
        assert SECRET not in str(path.relative_to(out))
        assert SECRET.encode() not in path.read_bytes(), path


def test_what_was_removed_leaves_no_class_and_a_region_says_its_map(edited, tmp_path, drawn):
    y, x, height, width = 380, 580, 60, 80
    _accept_more(edited, (y, x, height, width), "remove", "background", np.ones((60, 80)))
    values = np.zeros((100, 100), np.uint8)
    values[10:40, 20:90] = 2
    names = ("blood_vessel", "fatty_tissue")
    _accept_more(edited, (700, 200, 100, 100), "synthesise", "fatty_tissue", values, names)

    expected = np.zeros(edited.slide.levels[0].shape, np.uint8)
    expected[:] = edited.painted_by_hand(skip=2)
    expected[400:500, 600:700] = 1
    expected[y : y + height, x : x + width] = 0
    expected[710:740, 220:290] = 1
    box = (0, 0, *edited.slide.levels[0].shape)
    (path,) = write(edited, Kind.OUTLINES, tmp_path, annotations=drawn)
    mask = rasterize(read_geojson(path), classes=edited.classes, box=box)
    np.testing.assert_array_equal(mask, expected)
    order = PatchOrder(size=128, stride=128)
    (path,) = write(edited, Kind.PATCHES, tmp_path, annotations=drawn, patches=order)
    (place,) = (path.parent / "png").iterdir()
    part = open_part(place)
    for row in manifest.read_table(path).to_pylist():
        at = np.s_[row["y"] : row["y"] + 128, row["x"] : row["x"] + 128]
        np.testing.assert_array_equal(part[row["index"]][1], expected[at])


def _accept_more(edited, box, purpose, label, painted, names=()):
    record = EditRecord(
        slide_sha256=edited.slide.sha256(), box=box, label=label, method="draft",
        purpose=purpose, classes=names,
    )  # fmt: skip
    image = np.full((*box[2:], 3), 90, np.uint8)
    edited.store.accept(image, np.ones(box[2:], bool), record, painted)
