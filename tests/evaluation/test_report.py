"""Judging from end to end, with a generator that is quick and knows nothing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import shapely
import torch
from PIL import Image
from scipy import ndimage

from napari_histoaug.annotations import Document, Feature, export_for_qupath
from napari_histoaug.evaluation import report
from napari_histoaug.evaluation.card import BEGIN, END, write_card
from napari_histoaug.models import SpadeUNet, SpadeUNetConfig
from napari_histoaug.models.folder import GeneratorIndex, SamplingDefaults, save_generator

STEPS = 2


class Colours:
    name = "colours"

    def __call__(self, images: np.ndarray) -> np.ndarray:
        flat = images.reshape(len(images), -1, 3) / 255
        return np.concatenate([flat.mean(1), flat.std(1)], 1).astype(np.float32)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> report.CardSettings:
    torch.manual_seed(0)
    shape = SpadeUNetConfig(width=8, multipliers=(1, 2), spade_hidden=8, unshuffle=8)
    index = GeneratorIndex(
        name="blind",
        classes=("blood_vessel",),
        mpp=(0.5, 0.5),
        sampling=SamplingDefaults(steps=STEPS),
    )
    save_generator(tmp_path / "model", index, SpadeUNet(shape), None)
    rng = np.random.default_rng(0)
    for part, cases in (("test", report.TEST_CASES), ("train", report.TRAIN_CASES)):
        for case in cases:
            noise = ndimage.gaussian_filter(rng.standard_normal((512, 512, 3)), (2, 2, 0))
            image = np.clip(rng.integers(120, 220) + 200 * noise, 0, 255).astype(np.uint8)
            Image.fromarray(image).save(tmp_path / f"{case}_x0_y0.png")
            circles = [
                Feature.new(shapely.Point(x, y).buffer(22), "blood_vessel", (200, 0, 0))
                for y, x in ((120, 130), (300, 350))
            ]
            folder = tmp_path / "annotations" / part / case
            folder.mkdir(parents=True)
            export_for_qupath(Document.from_features(circles), folder / f"{case}_x0_y0.geojson")
    monkeypatch.setattr(report, "efficientnet_lite1", Colours)
    # The long ways are tested where they are made.
    every = report.ways
    quick = (report.OWN, "draft", "Telea", "donor, pasted")
    monkeypatch.setattr(
        report, "ways", lambda *args: {n: f for n, f in every(*args).items() if n in quick}
    )
    return report.CardSettings(
        tiles=tmp_path,
        annotations=tmp_path / "annotations",
        out=tmp_path / "out",
        model=str(tmp_path / "model"),
        holes=4,
    )


def test_from_outlines_to_a_card(settings: report.CardSettings, tmp_path: Path) -> None:
    pytest.importorskip("cv2", reason="OpenCV is not installed")
    lines: list[str] = []
    figures = report.judge(settings, lines.append)
    assert json.loads((settings.out / "results.json").read_text())["holes"] == 4
    assert figures["fills"][report.OWN]["evaluations"] == STEPS
    assert figures["fills"]["nothing (as it was)"]["edge"]["value"] == pytest.approx(1, abs=0.2)
    assert figures["reconstruction"]["psnr"] > 60  # no autoencoder: nothing is lost
    assert figures["reconstruction"]["patches"] == 4 * 2  # of four fields of 512 px, two cases
    assert figures["synthesis"]["patches"] == 4
    assert figures["paired"] == {}  # neither turbo nor what the window does was run
    key = json.loads((settings.out / "blind-pixel-time.json").read_text())
    assert sorted(key["holes"]) == [0, 1, 2, 3]
    assert (settings.out / "fillings.png").exists()
    card = tmp_path / "card.md"
    card.write_text(f"{BEGIN}\n{END}\n")
    write_card(card, figures)
    assert "donor, pasted" in card.read_text()
    # A second run fills nothing again.
    lines.clear()
    again = report.judge(settings, lines.append)
    assert lines == ["4 held-out vessels, 12 training vessels"]
    assert again["fills"] == figures["fills"]
