"""Whole slides: exact, whatever the blocks; interrupted and gone on with; nothing identifying."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from napari_histoaug.errors import Cancelled
from napari_histoaug.models.segmenter_folder import SegmenterIndex
from napari_histoaug.segmentation import (
    PredictionStore,
    SegmentationError,
    Segmenter,
    predict_slide,
)
from napari_histoaug.segmentation import prediction_store as stores
from napari_histoaug.segmentation.prediction_store import CLASSES, VALID
from napari_histoaug.slides import open_slide
from napari_histoaug.slides.resampling import area_mean

PATCH = 64


class Red(nn.Module):
    """Says how red a pixel is, as a logit, and looks at nothing else."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.logit(((x[:, :1] + 1) / 2).clamp(1e-6, 1 - 1e-6))


def segmenter(mpp: float = 0.5) -> Segmenter:
    index = SegmenterIndex(
        name="red", classes=("blood_vessel",), mpp=(mpp, mpp), patch=PATCH, thresholds=(0.6,)
    )
    return Segmenter(Red(), index, "ab" * 32, torch.device("cpu"))  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "BLOCK", 256)
    monkeypatch.setattr(stores, "CHUNK", 128)
    monkeypatch.setattr(stores, "SMALLEST", 256)
    # bfloat16 would round the colours away.
    monkeypatch.setattr(
        "napari_histoaug.segmentation.segmenter.autocast", lambda device: torch.no_grad()
    )


def test_a_pointwise_network_gives_the_slide_itself(make_pyramid_tiff, tmp_path) -> None:
    made = make_pyramid_tiff(compression="deflate")
    with open_slide(made.path) as slide:
        out = predict_slide(segmenter(), slide, tmp_path / "found.zarr")
        store = PredictionStore.open(out)
        expected = made.levels[0][..., 0]
        np.testing.assert_allclose(store.levels()[0][0].astype(int), expected, atol=1)
        labels = store.levels(CLASSES)[0][:]
        far = np.abs(expected.astype(int) - 153) > 1
        np.testing.assert_array_equal(labels[far], (expected > 153)[far])
        assert store.levels(VALID)[0][:].all()
        assert store.facts["slide_id"] == slide.slide_id()
    names = [p.name for p in tmp_path.rglob("*")]
    assert "blocks.log" not in names
    text = b"".join(p.read_bytes() for p in out.rglob("zarr.json"))
    assert b"slide.tif" not in text


def test_it_works_at_the_segmenters_pixel_size(make_pyramid_tiff, tmp_path) -> None:
    made = make_pyramid_tiff(compression="deflate", shapes=[(700, 900)], mpp=0.4)
    with open_slide(made.path) as slide:
        out = predict_slide(segmenter(mpp=1.0), slide, tmp_path / "found.zarr")
        found = PredictionStore.open(out).levels()[0][0]
    assert found.shape == (280, 360)
    expected = area_mean(made.levels[0], (0, 0), (2.5, 2.5), (0, 0, 280, 360))[..., 0]
    assert np.abs(found - expected).max() < 2


def test_stopped_and_started_again_it_ends_the_same(make_pyramid_tiff, tmp_path) -> None:
    made = make_pyramid_tiff()
    with open_slide(made.path) as slide:
        whole = predict_slide(segmenter(), slide, tmp_path / "whole.zarr")
        asked = []

        def cancelled() -> bool:
            asked.append(1)
            return len(asked) > 60

        out = tmp_path / "parts.zarr"
        with pytest.raises(Cancelled):
            predict_slide(segmenter(), slide, out, cancelled=cancelled)
        assert not out.exists()
        seen = []
        predict_slide(segmenter(), slide, out, progress=lambda done, total: seen.append(done))
        assert seen[0] > 0
        assert seen[-1] == 12
    files = {p.relative_to(whole): p for p in whole.rglob("*") if p.is_file()}
    assert {p.relative_to(out) for p in out.rglob("*") if p.is_file()} == set(files)
    for name, path in files.items():
        assert (out / name).read_bytes() == path.read_bytes(), name


def test_another_network_begins_anew(make_pyramid_tiff, tmp_path) -> None:
    made = make_pyramid_tiff()
    out = tmp_path / "found.zarr"
    with open_slide(made.path) as slide:
        states = iter([False] * 60 + [True] * 1000)
        with pytest.raises(Cancelled):
            predict_slide(segmenter(), slide, out, cancelled=lambda: next(states))
        other = Segmenter(Red(), segmenter().index, "cd" * 32, torch.device("cpu"))  # type: ignore[arg-type]
        seen = []
        predict_slide(other, slide, out, progress=lambda done, total: seen.append(done))
    assert seen[0] == 0


def test_what_is_not_wanted_is_background(make_pyramid_tiff, tmp_path) -> None:
    made = make_pyramid_tiff(compression="deflate")
    with open_slide(made.path) as slide:
        out = predict_slide(
            segmenter(), slide, tmp_path / "found.zarr", wanted=lambda box: box[1] >= 448
        )
        found = PredictionStore.open(out).levels()[0][0]
    assert (found[:, :448] == 0).all()
    np.testing.assert_allclose(found[:, 512:].astype(int), made.levels[0][:, 512:, 0], atol=1)


def test_a_result_is_never_overwritten(make_pyramid_tiff, tmp_path) -> None:
    with (
        open_slide(make_pyramid_tiff().path) as slide,
        pytest.raises(SegmentationError, match="exists"),
    ):
        predict_slide(segmenter(), slide, tmp_path)


KILLED = """
    import os, signal, sys
    sys.path.insert(0, {tests!r})
    import torch
    import test_whole_slide as t
    from napari_histoaug.slides import open_slide
    t.stores.BLOCK, t.stores.CHUNK, t.stores.SMALLEST = 256, 128, 256
    def progress(done, total):
        if done == 5:
            os.kill(os.getpid(), signal.SIGKILL)
    t.predict_slide(t.segmenter(), open_slide({slide!r}), t.Path({out!r}), progress=progress)
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_killed_at_any_moment_it_goes_on(make_pyramid_tiff, tmp_path) -> None:
    made, out = make_pyramid_tiff(), tmp_path / "found.zarr"
    script = textwrap.dedent(KILLED).format(
        tests=str(Path(__file__).parent), slide=str(made.path), out=str(out)
    )
    ended = subprocess.run([sys.executable, "-c", script], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert not out.exists()
    seen = []
    with open_slide(made.path) as slide:
        predict_slide(segmenter(), slide, out, progress=lambda done, total: seen.append(done))
    assert seen[0] == 5
    assert PredictionStore.open(out).facts["complete"]
