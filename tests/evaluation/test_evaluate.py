"""evaluate.py from files to table, JSON and page."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from napari_histoaug.evaluation import image_scores
from napari_histoaug.evaluation.scripts import evaluate
from napari_histoaug.metrics import confusion


def picture(path: Path, array: np.ndarray) -> str:
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(array).save(path)
    return path.name


@pytest.fixture
def pairs(tmp_path) -> tuple[Path, list[np.ndarray]]:
    rng = np.random.default_rng(0)
    lines, arrays = ["truth,prediction,patient"], []
    for number, patient in enumerate("AAB"):
        truth, found = (rng.random((2, 40, 50)) < 0.3).astype(np.uint8)
        names = [picture(tmp_path / f"{n}{number}.png", a) for n, a in (("t", truth), ("p", found))]
        lines.append(f"{names[0]},{names[1]},{patient}")
        arrays.append(np.stack([truth, found]))
    path = tmp_path / "pairs.csv"
    path.write_text("\n".join(lines))
    return path, arrays


def configured(tmp_path: Path, **settings: object) -> list[str]:
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump({"out": str(tmp_path / "out"), **settings}))
    return ["--config", str(path)]


def test_segmentation(tmp_path, pairs, capsys) -> None:
    path, arrays = pairs
    config = configured(tmp_path, pairs=str(path), classes=["blood_vessel"], error_maps=True)
    assert evaluate(["segmentation", *config]) == 0
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    pooled = results["figures"]["classes"]["blood_vessel"]["pixels"]["pooled"]["dice"]
    everything = np.concatenate(arrays, axis=1)
    assert pooled["value"] == confusion(*everything).dice
    assert pooled["groups"] == 2
    mean = results["figures"]["classes"]["blood_vessel"]["pixels"]["per_slide"]["dice"]["value"]
    assert mean == pytest.approx(np.mean([confusion(*each).dice for each in arrays]))
    printed = capsys.readouterr().out
    assert "3 slides of 2 patients" in printed
    page = (tmp_path / "out" / "report.html").read_text()
    assert "blood_vessel" in page
    assert "p0.png" not in page
    assert len(list((tmp_path / "out").glob("*-errors.zarr"))) == 3


def test_a_pair_that_does_not_fit_is_told_and_left_out(tmp_path, pairs, capsys) -> None:
    path, _ = pairs
    picture(tmp_path / "t1.png", np.zeros((9, 9), np.uint8))
    config = configured(tmp_path, pairs=str(path), classes=["blood_vessel"])
    assert evaluate(["segmentation", *config]) == 1
    said = capsys.readouterr()
    assert "p1.png: left out, t1.png has 9 x 9 pixels" in said.err
    assert "1 of 3 slides could not be compared" in said.out


def test_settings_that_do_not_say_what_to_compare(tmp_path, capsys) -> None:
    assert evaluate(["segmentation", *configured(tmp_path)]) == 2
    assert "give slides and predictions, or pairs" in capsys.readouterr().err


class Means:
    """Mean and spread of the colours, as features."""

    name = "means (weights none, no resize)"

    def __call__(self, images: np.ndarray) -> np.ndarray:
        flat = images.reshape(len(images), -1, 3).astype(np.float32)
        return np.concatenate([flat.mean(1), flat.std(1)], 1)


def test_images(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(image_scores, "choose_extractor", lambda *given: Means())
    rng = np.random.default_rng(0)
    hole = np.zeros((96, 96), np.uint8)
    hole[30:60, 30:60] = 255
    for number in range(12):
        image = rng.integers(100, 200, (96, 96, 3), np.uint8)
        picture(tmp_path / "real" / f"{number}.png", image)
        image[hole > 0] += 30
        picture(tmp_path / "made" / f"{number}.png", image)
        picture(tmp_path / "holes" / f"{number}.png", hole)
    folders = {n: str(tmp_path / n) for n in ("real", "holes")}
    config = configured(tmp_path, **folders, generated=str(tmp_path / "made"), draws=10)
    assert evaluate(["images", *config]) == 0
    figures = json.loads((tmp_path / "out" / "results.json").read_text())["figures"]
    assert figures["real"] == figures["generated"] == 12
    crop, whole = (
        each["kernel distance (KID)"]["value"]
        for each in (figures["holes"]["crops"], figures["whole"])
    )
    assert crop > whole > 0
    printed = capsys.readouterr().out
    assert "held-out: 12 real, 12 generated, 6 dimensions; means (weights none" in printed


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_pictures_are_a_sentence(tmp_path, monkeypatch, capsys, count) -> None:
    monkeypatch.setattr(image_scores, "choose_extractor", lambda *given: Means())
    (tmp_path / "real").mkdir()
    for number in range(count):
        picture(tmp_path / "real" / f"{number}.png", np.zeros((8, 8, 3), np.uint8))
    both = str(tmp_path / "real")
    assert evaluate(["images", *configured(tmp_path, real=both, generated=both)]) == 2
    assert f"holds {count} pictures" in capsys.readouterr().err


def test_the_same_set_twice_is_said(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(image_scores, "choose_extractor", lambda *given: Means())
    rng = np.random.default_rng(0)
    for number in range(5):
        picture(tmp_path / "real" / f"{number}.png", rng.integers(0, 255, (8, 8, 3), np.uint8))
    both = str(tmp_path / "real")
    config = configured(tmp_path, real=both, generated=both, draws=10)
    assert evaluate(["images", *config]) == 0
    printed = capsys.readouterr().out
    assert "Both folders hold the same pictures" in printed
    assert "bias the Fréchet distance upwards" in printed
