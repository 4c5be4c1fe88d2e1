"""Many slides: tissue only, failures told and passed over, what is done left alone."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
import yaml

from napari_histoaug.annotations import read_geojson
from napari_histoaug.cli import main
from napari_histoaug.learning.config_files import load_config
from napari_histoaug.models import SegmentationUNet, SegmentationUNetConfig
from napari_histoaug.models.segmenter_folder import SegmenterIndex, save_segmenter
from napari_histoaug.patches.jobs import list_slides
from napari_histoaug.patches.lock import RunLock
from napari_histoaug.segmentation import PredictionStore, load_segmenter, many_slides
from napari_histoaug.segmentation.many_slides import find_on_slide, predict_one, workers_for
from napari_histoaug.segmentation.predicting import PredictConfig, predict_slides
from napari_histoaug.segmentation.prediction_store import CLASSES
from napari_histoaug.segmentation.tissue_windows import tissue_windows
from napari_histoaug.segmentation.whole_slide import prediction_grid
from napari_histoaug.slides import open_slide


@pytest.fixture(scope="module")
def segmenter_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("models") / "small"
    shape = SegmentationUNetConfig(classes=1, encoder="resnet18", width=8, decoder=(8,) * 5)
    index = SegmenterIndex(
        name="small", classes=("blood_vessel",), mpp=(0.5, 0.5), patch=64, thresholds=(0.5,)
    )
    save_segmenter(folder, index, SegmentationUNet(shape).eval(), dtype=torch.float32)
    return folder


def half_glass(path: Path) -> Path:
    random = np.random.default_rng(0)
    image = np.full((600, 900, 3), 245, np.uint8)
    image[:, :300] = random.integers(120, 200, (600, 300, 3), np.uint8)
    tifffile.imwrite(
        path, image, tile=(128, 128), photometric="rgb", metadata=None,
        resolution=(2e4, 2e4), resolutionunit="CENTIMETER",
    )  # fmt: skip
    return path


def test_no_window_of_glass_is_looked_at(segmenter_folder, tmp_path) -> None:
    segmenter = load_segmenter(segmenter_folder, "cpu")
    with open_slide(half_glass(tmp_path / "half.tif")) as slide:
        windows = tissue_windows(slide, prediction_grid(segmenter, slide))
        assert windows((0, 0, 64, 64))
        assert windows((-32, 280, 64, 64))
        assert not windows((0, 400, 64, 64))
        store = find_on_slide(segmenter, slide, tmp_path / "found.zarr")
    found = store.levels()[0][0]
    assert found[:, :300].min() > 0
    assert not found[:, 400:].any()
    assert store.facts["wanted"] == windows.about


def test_a_list_with_a_broken_slide(segmenter_folder, tmp_path, capsys, monkeypatch) -> None:
    slides = tmp_path / "slides"
    slides.mkdir()
    half_glass(slides / "patient-7.tif")
    (slides / "broken.tif").write_bytes(b"no slide")
    config = tmp_path / "predict.yaml"
    out = tmp_path / "out"
    settings = {"slides": str(slides), "out": str(out), "segmenter": str(segmenter_folder)}
    config.write_text(yaml.safe_dump(settings))
    assert predict_slides(["--config", str(config), "--workers", "0"]) == 1
    said = capsys.readouterr().err
    assert "1 slides predicted, 1 failed" in said
    rows = list(csv.DictReader((out / "slides.csv").open()))
    assert sorted(row["status"] for row in rows) == ["done", "failed"]
    for path in (out / "slides.csv", *out.glob("*.geojson"), *out.rglob("zarr.json")):
        assert "patient-7" not in path.read_text()
        assert "broken.tif" not in path.read_text()
    store = PredictionStore.open(next(out.glob("*.zarr")))
    assert (
        read_geojson(next(out.glob("*.geojson"))).features or not store.levels(CLASSES)[0][:].any()
    )
    # A second run predicts nothing again.
    monkeypatch.setattr(
        "napari_histoaug.segmentation.many_slides.predict_slide",
        lambda *a, **k: pytest.fail("again"),
    )
    assert predict_slides(["--config", str(config), "--workers", "0"]) == 1


@pytest.fixture
def command(segmenter_folder, tmp_path) -> list[str]:
    """Of a run over one slide, writing to ``out``."""
    slides = tmp_path / "slides"
    slides.mkdir()
    half_glass(slides / "half.tif")
    config = tmp_path / "predict.yaml"
    settings = {"slides": slides, "out": tmp_path / "out", "segmenter": segmenter_folder}
    config.write_text(yaml.safe_dump({name: str(path) for name, path in settings.items()}))
    return ["--config", str(config), "--workers", "0"]


def test_a_second_run_in_the_folder_is_refused(command, tmp_path, capsys) -> None:
    out = tmp_path / "out"
    with RunLock(out):
        before = sorted(out.rglob("*"))
        assert predict_slides(command) == 2
        assert sorted(out.rglob("*")) == before
    said = capsys.readouterr().err
    assert f"{out} is being written by the process" in said
    assert "Traceback" not in said
    assert predict_slides(command) == 0


def test_a_run_that_dies_leaves_nothing_that_looks_finished(command, tmp_path, monkeypatch) -> None:
    def dies(document, path, *args):
        Path(path).write_text('{"type": "FeatureColl')
        raise KeyboardInterrupt

    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(many_slides, "export_for_qupath", dies)
        assert predict_slides(command) == 130
    assert not list(out.rglob("*.geojson"))
    assert not (out / "slides.csv").exists()
    assert predict_slides(command) == 0
    names = {path.name for path in out.iterdir()}
    (store,) = out.glob("*.zarr")
    made = {store.name, f"{store.name}.lock", f"{store.stem}.geojson", "slides.csv"}
    assert names == made | {"run.guard", "work"}
    assert not list((out / "work").iterdir())
    read_geojson(out / f"{store.stem}.geojson")


def test_what_outlives_its_run_writes_nothing(command, tmp_path) -> None:
    out = tmp_path / "out"
    config = load_config(PredictConfig, Path(command[1]), [])
    (job,) = list_slides(config.slides)
    with RunLock(out) as old:
        pass
    assert predict_one(job, config, old.staging).problem
    assert not list(out.rglob("*.geojson"))


def test_one_process_a_gpu_unless_told_otherwise(monkeypatch) -> None:
    config = PredictConfig(slides=Path("slides"), out=Path("out"))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert workers_for(config) == 4
    assert workers_for(config.model_copy(update={"device": "cpu"})) == 0
    assert workers_for(config.model_copy(update={"workers": 2})) == 2
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert workers_for(config) == 0


def test_the_command(segmenter_folder, tmp_path, capsys) -> None:
    slide, out = half_glass(tmp_path / "half.tif"), tmp_path / "out"
    command = ["segment", str(slide), "--out", str(out), "--model", str(segmenter_folder)]
    assert main([*command, "--device", "cpu"]) == 0
    assert (out / "prediction.geojson").is_file()
    assert PredictionStore.open(out / "prediction.zarr").facts["segmenter"] == "small"
    assert main(["segment", str(slide), "--out", str(out), "--model", "none-such"]) == 2
    assert "There is no segmenter 'none-such'" in capsys.readouterr().err
