"""Feature networks by path: what fits loads, what could run code does not, every name says what."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from napari_histoaug.metrics import MetricError
from napari_histoaug.metrics.extractor_choice import choose_extractor, hash_of, read_weights
from napari_histoaug.metrics.perceptual import Taps, choose_lpips
from napari_histoaug.models import SegmentationUNet, SegmentationUNetConfig
from napari_histoaug.models.segmenter_folder import SegmenterIndex, save_segmenter

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    shape = SegmentationUNetConfig(encoder="resnet18", width=8, decoder=(8,) * 5)
    index = SegmenterIndex(name="s", classes=("v",), mpp=(0.5, 0.5), patch=64, thresholds=(0.5,))
    path = tmp_path_factory.mktemp("models") / "s"
    save_segmenter(path, index, SegmentationUNet(shape).eval())
    return path


@pytest.fixture(scope="module")
def alex(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("models") / "alex.safetensors"
    save_file(Taps("alex").state_dict(), path)
    return path


def test_a_tissue_encoder_is_named_as_such(folder) -> None:
    extractor = choose_extractor("tissue", folder)
    assert extractor(IMAGES).shape == (3, 64)
    assert "tissue encoder" in extractor.name
    resized = choose_extractor("tissue", folder, resize=32)
    assert "bicubic resize to 32 px" in resized.name
    assert not np.allclose(resized(IMAGES), extractor(IMAGES))


def test_the_hash_does_not_depend_on_the_kind_of_file(alex, tmp_path) -> None:
    tensors = read_weights(alex)
    torch.save(tensors, tmp_path / "alex.pth")
    assert hash_of(read_weights(tmp_path / "alex.pth")) == hash_of(tensors)


def test_a_file_that_could_run_code_is_not_loaded(tmp_path) -> None:
    torch.save(torch.nn.Linear(2, 2), tmp_path / "whole.pth")
    with pytest.raises(MetricError, match=r"can run code|cannot be read"):
        read_weights(tmp_path / "whole.pth")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("inception", "needs its weights"),
        ("nothing", "no feature network 'nothing'"),
        ("timm:resnet50", r"timm:resnet50 (cannot be made|needs its weights)"),
    ],
)
def test_what_is_missing_is_said(name, sentence) -> None:
    with pytest.raises(MetricError, match=sentence):
        choose_extractor(name)


def test_missing_weights_are_named(tmp_path) -> None:
    with pytest.raises(MetricError, match="There are no weights"):
        choose_extractor("inception", tmp_path / "none.safetensors")


def test_lpips_is_the_formula_of_the_paper(alex, tmp_path) -> None:
    heads = {f"lin{i}.model.1.weight": torch.rand(1, c, 1, 1) for i, c in
             enumerate((64, 192, 384, 256, 256))}  # fmt: skip
    save_file(heads, tmp_path / "heads.safetensors")
    lpips = choose_lpips("alex", alex, tmp_path / "heads.safetensors")
    found = lpips(IMAGES, IMAGES[::-1].copy())
    mean = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
    std = torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    network = Taps("alex")
    network.load_state_dict(read_weights(alex))
    expected = 0.0
    one, two = (torch.from_numpy(i).permute(2, 0, 1) / 255 for i in (IMAGES[0], IMAGES[2]))
    with torch.no_grad():
        maps = zip(network(((one - mean) / std)[None]), network(((two - mean) / std)[None]),
                   strict=True)  # fmt: skip
        for level, (a, b) in enumerate(maps):
            for y in range(a.shape[2]):
                for x in range(a.shape[3]):
                    u, v = a[0, :, y, x], b[0, :, y, x]
                    d = (u / (u.norm() + 1e-10) - v / (v.norm() + 1e-10)) ** 2
                    weighed = (d * heads[f"lin{level}.model.1.weight"].ravel()).sum()
                    expected += float(weighed) / (a.shape[2] * a.shape[3])
    assert found[0] == pytest.approx(expected, rel=1e-4)
    assert found[1] == 0
    assert found[0] == pytest.approx(found[2])
    assert "published heads" in lpips.name


def test_lpips_without_heads_says_so(folder) -> None:
    lpips = choose_lpips("tissue", folder)
    assert "tissue encoder" in lpips.name
    assert "unweighted" in lpips.name
    with pytest.raises(MetricError, match="of one size in pairs"):
        lpips(IMAGES, IMAGES[:2])
    with pytest.raises(MetricError, match="does not fit vgg"):
        choose_lpips("vgg", folder / "unet" / "model.safetensors")
