"""The segmentation network: shapes, gates, and weights from elsewhere."""

import pytest
import torch

from napari_histoaug.models import (
    SegmentationUNet,
    SegmentationUNetConfig,
    load_segmenter,
    save_network,
)
from napari_histoaug.models.encoders import load_pretrained
from napari_histoaug.models.residual_encoder import ResidualEncoder
from napari_histoaug.models.segmentation_unet import AttentionGate

SMALL = SegmentationUNetConfig(classes=2, encoder="resnet18", width=8, decoder=(16, 16, 8, 8, 8))


def test_every_class_gets_a_map_of_the_pictures_size() -> None:
    out = SegmentationUNet(SMALL).eval()(torch.rand(2, 3, 64, 96) * 2 - 1)
    assert out.shape == (2, 2, 64, 96)


def test_the_encoder_is_the_published_one() -> None:
    with torch.device("meta"):
        sizes = {
            name: sum(p.numel() for p in ResidualEncoder(name).parameters())
            for name in ("resnet18", "resnet34")
        }
    # torchvision's counts, less its classifier of 512 x 1000 + 1000.
    assert sizes == {"resnet18": 11_689_512 - 513_000, "resnet34": 21_797_672 - 513_000}


def test_the_gate_is_the_published_formula() -> None:
    torch.manual_seed(0)
    gate = AttentionGate(4, 6)
    skip, coarse = torch.randn(1, 4, 3, 5), torch.randn(1, 6, 3, 5)
    x, g = skip[0, :, 1, 2], coarse[0, :, 1, 2]
    inner = torch.relu(
        gate.of_skip.weight[:, :, 0, 0] @ x
        + gate.of_gate.weight[:, :, 0, 0] @ g
        + gate.of_gate.bias
    )
    alpha = torch.sigmoid(gate.psi.weight[0, :, 0, 0] @ inner + gate.psi.bias[0])
    torch.testing.assert_close(gate(skip, coarse)[0, :, 1, 2], alpha * x)


def test_a_closed_gate_cuts_the_skip() -> None:
    gate = AttentionGate(4, 6)
    with torch.no_grad():
        gate.psi.bias.fill_(-200)
    assert gate(torch.randn(1, 4, 3, 3), torch.randn(1, 6, 3, 3)).abs().max() < 1e-20


def test_without_gates_it_is_a_plain_unet() -> None:
    plain = SegmentationUNet(SMALL.model_copy(update={"attention": False}))
    assert not [name for name, _ in plain.named_modules() if name.endswith("gate")]


def test_weights_of_a_classifier_load_by_name() -> None:
    torch.manual_seed(0)
    source, target = ResidualEncoder("resnet18", 8), ResidualEncoder("resnet18", 8)
    given = {n: t for n, t in source.state_dict().items() if not n.endswith("_tracked")}
    load_pretrained(target, {**given, "fc.weight": torch.zeros(5, 64), "fc.bias": torch.zeros(5)})
    x = torch.rand(1, 3, 32, 32)
    torch.testing.assert_close(target.eval()(x)[-1], source.eval()(x)[-1])
    with pytest.raises(ValueError, match="lack conv1"):
        load_pretrained(target, {n: t for n, t in given.items() if n != "conv1.weight"})
    with pytest.raises(ValueError, match="which this encoder does not have"):
        load_pretrained(target, {**given, "layer9.0.conv1.weight": torch.zeros(1)})
    with pytest.raises(ValueError, match="is needed"):
        load_pretrained(ResidualEncoder("resnet18", 16), given)


def test_it_is_kept_and_read_as_every_network(tmp_path) -> None:
    torch.manual_seed(1)
    model = SegmentationUNet(SMALL).eval()
    save_network(model, tmp_path)
    x = torch.rand(1, 3, 32, 32)
    torch.testing.assert_close(load_segmenter(tmp_path)(x), model(x))
