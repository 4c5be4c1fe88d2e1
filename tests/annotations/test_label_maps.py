"""The scripts beside the annotations: label maps, contact sheets, two annotators compared."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import shapely
from PIL import Image

from napari_histoaug.annotations import Document, Feature, export_for_qupath
from napari_histoaug.errors import HistoaugError

TRAINING = Path(__file__).resolve().parents[2] / "training"


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, TRAINING / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def outline(path: Path, *boxes: tuple[str, int, int, int, int]) -> None:
    """Write a document of (class, x0, y0, x1, y1) boxes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    features = [Feature.new(shapely.box(*box), name) for name, *box in boxes]
    export_for_qupath(Document.from_features(features), path)


def test_maps_have_the_size_of_the_field_and_only_the_classes_asked_for(tmp_path: Path) -> None:
    outline(
        tmp_path / "a" / "case" / "case_x0.geojson",
        ("blood_vessel", 2, 3, 12, 8),
        ("fat", 20, 0, 30, 5),
    )
    (tmp_path / "tiles").mkdir()
    Image.fromarray(np.zeros((20, 40, 3), np.uint8)).save(tmp_path / "tiles" / "case_x0.jpg")
    painter = script("make_label_maps")
    assert (
        painter.make_label_maps(
            tmp_path / "a", tmp_path / "tiles", tmp_path / "out", ["blood_vessel"]
        )
        == 1
    )
    labels = np.asarray(Image.open(tmp_path / "out" / "case_x0.png"))
    expected = np.zeros((20, 40), np.uint8)
    expected[3:8, 2:12] = 1
    np.testing.assert_array_equal(labels, expected)
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["case_x0.png"]


def test_a_field_annotated_twice_or_absent_is_said(tmp_path: Path) -> None:
    painter = script("make_label_maps")
    (tmp_path / "tiles").mkdir()
    with pytest.raises(HistoaugError, match="no GeoJSON"):
        painter.make_label_maps(tmp_path, tmp_path / "tiles", tmp_path / "out", ["blood_vessel"])
    outline(tmp_path / "a" / "one" / "case_x0.geojson", ("blood_vessel", 2, 3, 12, 8))
    with pytest.raises(HistoaugError, match="no field case_x0"):
        painter.make_label_maps(
            tmp_path / "a", tmp_path / "tiles", tmp_path / "out", ["blood_vessel"]
        )
    outline(tmp_path / "a" / "two" / "case_x0.geojson", ("blood_vessel", 2, 3, 12, 8))
    with pytest.raises(HistoaugError, match="annotated twice"):
        painter.make_label_maps(
            tmp_path / "a", tmp_path / "tiles", tmp_path / "out", ["blood_vessel"]
        )


def test_agreement_of_two_annotators_counted_by_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # 10 x 10 boxes: one shared, one shifted by 2 (IoU 80 / 120), one that only the first has
    first, second = tmp_path / "first", tmp_path / "second"
    outline(
        first / "case" / "f.geojson",
        ("blood_vessel", 0, 0, 10, 10),
        ("blood_vessel", 20, 0, 30, 10),
        ("blood_vessel", 40, 0, 50, 10),
        ("fat", 60, 0, 70, 10),
    )
    outline(
        second / "case" / "f.geojson",
        ("blood_vessel", 0, 0, 10, 10),
        ("blood_vessel", 22, 0, 32, 10),
    )
    compare = script("compare_outlines")
    arguments = ["compare_outlines", "--first", str(first), "--second", str(second)]
    monkeypatch.setattr(
        sys, "argv", [*arguments, "--size", "20", "100", "--out", str(tmp_path / "out.json")]
    )
    assert compare.main() == 0
    found = json.loads((tmp_path / "out.json").read_text())
    assert found["all"] == found["case"]
    assert found["case"]["matched"] == 2
    assert found["case"]["object_precision"] == 1
    assert found["case"]["object_recall"] == pytest.approx(2 / 3, abs=1e-4)
    assert found["case"]["pixel_dice"] == pytest.approx(2 * 180 / 500, abs=1e-4)
    assert found["case"]["matched_iou"] == pytest.approx((1 + 80 / 120) / 2, abs=1e-4)
    assert "| case | 1 | 3 | 2 |" in capsys.readouterr().out


def test_different_fields_are_no_comparison(tmp_path: Path) -> None:
    outline(tmp_path / "first" / "case" / "f.geojson", ("blood_vessel", 0, 0, 10, 10))
    outline(tmp_path / "second" / "case" / "g.geojson", ("blood_vessel", 0, 0, 10, 10))
    with pytest.raises(HistoaugError, match="such as case/f"):
        script("compare_outlines").compare(
            tmp_path / "first", tmp_path / "second", "blood_vessel", (20, 100)
        )


def test_a_sheet_shows_every_object_with_and_without_its_outline(tmp_path: Path) -> None:
    outline(
        tmp_path / "a" / "case_x0.geojson",
        ("blood_vessel", 40, 40, 60, 60),
        ("fat", 0, 0, 10, 10),
        ("gap", 90, 90, 95, 95),
    )
    (tmp_path / "tiles").mkdir()
    Image.new("RGB", (100, 100), (200, 100, 150)).save(tmp_path / "tiles" / "case_x0.png")
    sheets = script("contact_sheets")
    layout = sheets.Layout(side=40, context=10, columns=2, rows=1)
    count = sheets.make_sheets(tmp_path / "a", tmp_path / "tiles", tmp_path / "out", layout)
    assert count == 2
    names = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert names == ["case-01.jpg", "case-02.jpg"]
    image = np.full((100, 100, 3), 150, np.uint8)
    inside = np.zeros((100, 100), bool)
    inside[40:60, 40:60] = True
    pair = np.asarray(sheets.pair_of(image, inside, layout))
    assert pair.shape == (40, 80, 3)
    # 40 px of the field at full size: the outline is the box's own edge, the right half is bare
    green = (pair == sheets.GREEN).all(-1)
    assert green.sum() == 4 * 19
    assert green[11, 11:31].all()
    assert (pair[:, 40:] == 150).all()


def test_sheets_need_annotations_and_their_fields(tmp_path: Path) -> None:
    sheets = script("contact_sheets")
    (tmp_path / "tiles").mkdir()
    with pytest.raises(HistoaugError, match="no GeoJSON"):
        sheets.make_sheets(tmp_path, tmp_path / "tiles", tmp_path / "out", sheets.Layout())
    outline(tmp_path / "case_x0.geojson", ("blood_vessel", 40, 40, 60, 60))
    with pytest.raises(HistoaugError, match="no field case_x0"):
        sheets.make_sheets(tmp_path, tmp_path / "tiles", tmp_path / "out", sheets.Layout())
