"""The filter: learns what is false, drops it and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
import yaml

from napari_histoaug.annotations import ClassTable, write_geojson
from napari_histoaug.metrics import Confusion, label_objects
from napari_histoaug.models import ObjectClassifierConfig
from napari_histoaug.patches.jobs import list_slides
from napari_histoaug.segmentation import PredictionStore, SegmentationError, outline_labels
from napari_histoaug.segmentation import prediction_store as stores
from napari_histoaug.segmentation.false_positives import Examples, best_cut, load_filter, teach
from napari_histoaug.segmentation.filter_scripts import filter_false_positives
from napari_histoaug.segmentation.prediction_store import CLASSES

SIDE = 400


@pytest.fixture
def slides(tmp_path, monkeypatch) -> Path:
    """Three slides: real objects lie on red tissue, false ones on blue."""
    monkeypatch.setattr(stores, "BLOCK", 128)
    monkeypatch.setattr(stores, "CHUNK", 64)
    lines = ["slide,annotations,patient"]
    for number in range(3):
        rng = np.random.default_rng(number)
        image = rng.integers(180, 220, (SIDE, SIDE, 3), np.uint8)
        found, truth = np.zeros((2, SIDE, SIDE), np.uint8)
        for place in range(36):
            y, x = 10 + 65 * (place // 6), 10 + 65 * (place % 6)
            height, width = rng.integers(8, 40, 2)
            part = (slice(y, y + height), slice(x, x + width))
            found[part] = 1
            image[part] = (200, 60, 60) if place % 2 else (60, 60, 200)
            truth[part] = place % 2
        tifffile.imwrite(
            tmp_path / f"s{number}.tif", image, tile=(128, 128), photometric="rgb", metadata=None,
            resolution=(2e4, 2e4), resolutionunit="CENTIMETER",
        )  # fmt: skip
        outlines = outline_labels(truth, ["vessel"], ClassTable.from_names(["vessel"]))
        write_geojson(outlines, tmp_path / f"s{number}.geojson")
        lines.append(f"s{number}.tif,s{number}.geojson,P{number}")
        np.save(tmp_path / f"s{number}.npy", np.stack([truth, found]))
    path = tmp_path / "list.csv"
    path.write_text("\n".join(lines))
    for job in list_slides(path):
        found = np.load(job.path.with_suffix(".npy"))[1]
        folder = tmp_path / "found" / f"{job.source}.zarr"
        folder.parent.mkdir(exist_ok=True)
        store = PredictionStore.create(folder, found.shape, ["vessel"], (0.5, 0.5), [(9, 9, 9)])
        for y, x, height, width in stores.blocks(found.shape):
            part = found[y : y + height, x : x + width]
            store.write((y, x, height, width), part[None] * 255, part, np.ones_like(part))
        store.finish({"classes": ["vessel"], "level_0_pixels_per_pixel": [1.0, 1.0]})
    return path


def config(folder: Path, name: str, **settings: object) -> list[str]:
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(settings))
    return [name, "--config", str(path)]


def test_taught_and_applied(slides, tmp_path, capsys) -> None:
    common = {"slides": str(slides), "predictions": str(tmp_path / "found")}
    taught = {"out": str(tmp_path / "filter"), "complete": True, "steps": 60, "batch": 16}
    small = {"width": 4, "stages": 3, "side": 32}
    assert filter_false_positives(config(tmp_path, "teach", **common, **taught, model=small)) == 0
    said = capsys.readouterr().err
    assert "before  TP 18, FP 18, FN 0" in said
    assert "after   TP 18, FP 0, FN 0" in said
    assert load_filter(tmp_path / "filter")[0].config.classes == ("vessel",)
    applied = {"filter": str(tmp_path / "filter"), "out": str(tmp_path / "filtered")}
    assert filter_false_positives(config(tmp_path, "apply", **common, **applied)) == 0
    assert "vessel 36 -> 18 objects" in capsys.readouterr().err
    for job in list_slides(slides):
        truth = np.load(job.path.with_suffix(".npy"))[0]
        store = PredictionStore.open(tmp_path / "filtered" / f"{job.source}.zarr")
        np.testing.assert_array_equal(store.levels(CLASSES)[0][:], truth)
        assert len(store.facts["filter_sha256"]) == 64
    assert label_objects(truth).max() == 18


def test_the_best_cut_is_that_of_every_cut() -> None:
    probability = np.array([0.9, 0.8, 0.6, 0.5, 0.2])
    real = np.array([True, True, False, True, False])
    cut, effect = best_cut(probability, real, missed=2)
    assert effect.before == Confusion(3, 2, 2)
    assert cut == pytest.approx(0.35)
    assert effect.after == Confusion(3, 1, 2)


def test_a_filter_that_would_do_harm_drops_nothing() -> None:
    cut, effect = best_cut(np.array([0.1, 0.9]), np.array([True, True]), missed=0)
    assert effect.after == effect.before
    assert cut == 0


def test_too_few_objects_or_patients_are_a_sentence() -> None:
    crops, real = torch.zeros(20, 4, 32, 32), np.arange(20) < 10
    with pytest.raises(SegmentationError, match="two patients or more"):
        teach(Examples(crops, real, ["A"] * 20, {}), ObjectClassifierConfig(side=32))
    with pytest.raises(SegmentationError, match="hold 3 true and 17 false objects"):
        teach(Examples(crops, np.arange(20) < 3, ["A"] * 20, {}), ObjectClassifierConfig(side=32))
