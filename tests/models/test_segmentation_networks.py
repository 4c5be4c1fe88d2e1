"""The networks a segmenter can be built of: published encoders, and a baseline from elsewhere."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from napari_histoaug.cli.commands import main
from napari_histoaug.models import (
    ModelError,
    SegmentationNetworkConfig,
    SegmentationUNet,
    SegmentationUNetConfig,
    build_segmentation_network,
    load_segmenter,
    save_network,
)
from napari_histoaug.models.encoders import load_pretrained
from napari_histoaug.models.mobile_encoder import MobileEncoder, published_names
from napari_histoaug.models.segmenter_folder import SegmenterIndex, save_segmenter
from napari_histoaug.models.smp_unet import MissingNetworkError, SmpUNet, SmpUNetConfig
from napari_histoaug.models.sums import check_sums
from napari_histoaug.models.trial import try_segmenter

INDEX = SegmenterIndex(
    name="small", classes=("blood_vessel",), mpp=(0.5, 0.5), patch=64, thresholds=(0.4,)
)
MOBILE = SegmentationUNetConfig(encoder="efficientnet-lite0", decoder=(16, 16, 8, 8, 8))


def published_sizes() -> dict[str, int]:
    with torch.device("meta"):
        names = ("efficientnet-lite0", "efficientnet-lite1")
        return {n: sum(p.numel() for p in MobileEncoder(n).parameters()) for n in names}


def test_the_mobile_encoder_has_the_published_size() -> None:
    # Less the head: 320 x 1280 convolution, its norm, and the classifier of 1280 x 1000 + 1000.
    head = 320 * 1280 + 2 * 1280 + 1280 * 1000 + 1000
    assert published_sizes() == {
        "efficientnet-lite0": 4_652_008 - head,
        "efficientnet-lite1": 5_416_680 - head,
    }


def test_the_mobile_encoder_computes_what_was_published() -> None:
    package = pytest.importorskip("efficientnet_lite_pytorch")
    torch.manual_seed(0)
    theirs = package.EfficientNet.from_name("efficientnet-lite0").eval()
    ours = MobileEncoder("efficientnet-lite0").eval()
    load_pretrained(ours, theirs.state_dict())
    x = torch.randn(1, 3, 224, 224)  # the size the reference pads for
    with torch.no_grad():
        h = theirs._swish(theirs._bn0(theirs._conv_stem(x)))
        for block in theirs._blocks:
            h = block(h)
        maps = ours(x)
    torch.testing.assert_close(maps[-1], h)
    assert [m.shape[1] for m in maps] == list(ours.channels)
    assert [m.shape[2] for m in maps] == [112, 56, 28, 14, 7]


def test_published_names_leave_the_classifier_out() -> None:
    one = torch.zeros(1)
    given = {
        "_blocks.0._bn1.weight": one,
        "_conv_head.weight": one,
        "_bn1.bias": one,
        "_fc.bias": one,
    }
    assert list(published_names(given)) == ["blocks.0.bn1.weight"]


def test_a_segmenter_on_the_mobile_encoder_is_kept_and_read(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = SegmentationUNet(MOBILE).eval()
    save_network(model, tmp_path)
    x = torch.rand(1, 3, 32, 64)
    torch.testing.assert_close(load_segmenter(tmp_path)(x), model(x))


def test_the_kind_of_network_is_said_or_ours() -> None:
    parse = TypeAdapter(SegmentationNetworkConfig).validate_python
    assert isinstance(parse({"width": 16}), SegmentationUNetConfig)
    assert parse({"kind": "smp-unet", "encoder": "resnet18"}) == SmpUNetConfig(encoder="resnet18")
    with pytest.raises(ValidationError, match="attention-unet"):
        parse({"kind": "perceptron"})


def test_a_missing_package_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "segmentation_models_pytorch", None)
    with pytest.raises(MissingNetworkError, match=r"pip install 'napari-histoaug\[smp\]'"):
        build_segmentation_network(SmpUNetConfig())


def test_the_baseline_is_kept_and_read_as_ours(tmp_path: Path) -> None:
    pytest.importorskip(
        "segmentation_models_pytorch",
        reason="needs the torchvision that belongs to this torch",
        exc_type=(ImportError, RuntimeError),
    )
    torch.manual_seed(0)
    model = build_segmentation_network(
        SmpUNetConfig(classes=2, encoder="resnet18", decoder=(16, 16, 8, 8, 8))
    ).eval()
    save_network(model, tmp_path)
    read = load_segmenter(tmp_path)
    x = torch.rand(1, 3, 32, 64) * 2 - 1
    assert isinstance(read, SmpUNet)
    assert read(x).shape == (1, 2, 32, 64)
    torch.testing.assert_close(read(x), model(x))
    with pytest.raises(MissingNetworkError, match="knows no encoder 'nothing'"):
        build_segmentation_network(SmpUNetConfig(encoder="nothing"))


def test_show_and_verify_know_a_segmenter(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shape = SegmentationUNetConfig(encoder="resnet18", width=8, decoder=(8, 8, 8, 8, 8))
    folder = tmp_path / "small"
    save_segmenter(folder, INDEX, SegmentationUNet(shape))
    assert main(["model", "show", str(folder)]) == 0
    said = capsys.readouterr().out
    for fact in ("blood_vessel", "0.40", "0.5 x 0.5 µm", "attention-unet on resnet18"):
        assert fact in said
    assert main(["model", "verify", str(folder)]) == 0
    assert "every file is as recorded" in capsys.readouterr().out
    assert main(["model", "verify", "--segmenter", "nothing"]) == 2
    assert "no segmenter 'nothing'" in capsys.readouterr().err
    weights = folder / "unet" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    assert main(["model", "verify", str(folder)]) == 2
    assert "is not the file that was recorded" in capsys.readouterr().err


def test_the_bundled_segmenter_is_small_whole_and_thanks_its_sources() -> None:
    from napari_histoaug.segmentation.segmenter import find_segmenter

    folder = find_segmenter(None)
    # Weights that were replaced need a new record: write_sums(folder).
    assert check_sums(folder)
    assert sum(p.stat().st_size for p in folder.rglob("*.safetensors")) < 15e6
    index = try_segmenter(folder).index
    assert index.classes == ("blood_vessel",)
    thanks = (folder / "ATTRIBUTION.md").read_text("utf-8")
    for notice in ("pathologyatlas-MIT.txt", "efficientnet-lite-Apache-2.0.txt"):
        assert notice in thanks
        assert (folder / notice).read_text("utf-8").strip()
    assert "Pathology Atlas" in index.attribution


def test_another_network_is_no_segmenter(tmp_path: Path) -> None:
    from napari_histoaug.models import ObjectClassifier, ObjectClassifierConfig

    save_network(ObjectClassifier(ObjectClassifierConfig()), tmp_path)
    with pytest.raises(ModelError, match="not a segmentation network"):
        load_segmenter(tmp_path)
