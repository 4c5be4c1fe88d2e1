"""Network and generator folders: written, read, and refused with one sentence."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from napari_histoaug.models import (
    LatentStatistics,
    ModelError,
    SpadeUNet,
    SpadeUNetConfig,
    TinyAutoencoder,
    TinyAutoencoderConfig,
    VQAutoencoder,
    VQAutoencoderConfig,
    load_autoencoder,
    load_unet,
    save_network,
)
from napari_histoaug.models.folder import GeneratorIndex, load_parts, save_generator

UNET = SpadeUNetConfig(channels=3, width=8, multipliers=(1, 2), spade_hidden=8)
TINY = TinyAutoencoderConfig(latent_channels=4, width=8, blocks=1, levels=2)
VQ = VQAutoencoderConfig(latent_channels=4, codes=16, widths=(16, 16))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    index = GeneratorIndex(name="small", classes=("blood_vessel",), mpp=(0.5, 0.5))
    save_generator(tmp_path, index, SpadeUNet(UNET), None, dtype=torch.float32)
    return tmp_path


def test_a_unet_reads_back_as_written(tmp_path: Path) -> None:
    model = SpadeUNet(UNET)
    save_network(model, tmp_path)
    again = load_unet(tmp_path)
    assert again.config == UNET
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], tensor, rtol=0, atol=0)


@pytest.mark.parametrize("model", [TinyAutoencoder(TINY), VQAutoencoder(VQ)], ids=["tiny", "vq"])
def test_an_autoencoder_reads_back_and_has_its_factor(
    tmp_path: Path, model: TinyAutoencoder | VQAutoencoder
) -> None:
    save_network(model, tmp_path)
    again = load_autoencoder(tmp_path)
    image = torch.rand(1, 3, 32, 32) * 2 - 1
    with torch.no_grad():
        latents = again.encode(image)
        torch.testing.assert_close(latents, model.eval().encode(image))
        assert latents.shape == (1, 4, 32 // again.factor, 32 // again.factor)
        assert again.decode(latents).shape == image.shape


def test_latent_generators_keep_their_statistics(tmp_path: Path) -> None:
    index = GeneratorIndex(
        name="latent",
        classes=("blood_vessel",),
        mpp=(0.5, 0.5),
        latents=LatentStatistics(mean=(1.0, 2.0, 3.0, 4.0), std=(2.0, 2.0, 2.0, 2.0)),
    )
    unet = SpadeUNet(UNET.model_copy(update={"channels": 4}))
    autoencoder = TinyAutoencoder(TINY).eval()
    save_generator(tmp_path, index, unet, autoencoder, dtype=torch.float32)
    space = load_parts(tmp_path).latent_space
    assert space is not None
    image = torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        raw = autoencoder.encode(image)
        mean = torch.tensor([1.0, 2, 3, 4])[None, :, None, None]
        torch.testing.assert_close(space.encode(image), (raw - mean) / 2)
        torch.testing.assert_close(space.decode(space.encode(image)), autoencoder.decode(raw))


def test_statistics_are_those_of_the_sample() -> None:
    latents = torch.randn(3, 2, 40, 40) * torch.tensor([1.0, 5.0])[None, :, None, None] + 7
    found = LatentStatistics.of(latents)
    flat = latents.transpose(0, 1).reshape(2, -1)
    torch.testing.assert_close(torch.tensor(found.mean), flat.mean(1))
    torch.testing.assert_close(torch.tensor(found.std), flat.std(1))


def test_the_hash_follows_the_weights(folder: Path) -> None:
    before = load_parts(folder).sha256
    assert before == load_parts(folder).sha256
    edit_weights(folder, lambda tensors: tensors["leave.bias"].add_(1))
    assert load_parts(folder).sha256 != before


def edit_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    path = folder / "unet" / "model.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)


def edit_json(path: Path, **values: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


SPOILT: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing tensor": (
        lambda f: edit_weights(f, lambda t: t.pop("leave.bias")),
        "lacks the tensor leave.bias",
    ),
    "wrong shape": (
        lambda f: edit_weights(f, lambda t: t.update({"leave.bias": torch.zeros(7)})),
        r"leave.bias with shape \(7,\)",
    ),
    "extra tensor": (
        lambda f: edit_weights(f, lambda t: t.update({"stray": torch.zeros(1)})),
        "stray",
    ),
    "not finite": (
        lambda f: edit_weights(f, lambda t: t["leave.bias"].fill_(float("nan"))),
        "not finite",
    ),
    "no weights": (lambda f: (f / "unet" / "model.safetensors").unlink(), "no model.safetensors"),
    "damaged weights": (
        lambda f: (f / "unet" / "model.safetensors").write_bytes(b"\x08"),
        "damaged",
    ),
    "no index": (lambda f: (f / "model_index.json").unlink(), "no model_index.json"),
    "index is text": (
        lambda f: (f / "model_index.json").write_text("hello"),
        "model_index.json cannot be read",
    ),
    "unknown class of network": (
        lambda f: edit_json(f / "unet" / "config.json", _class_name="Mystery"),
        "unknown network 'Mystery'",
    ),
    "odd setting": (
        lambda f: edit_json(f / "unet" / "config.json", width="broad"),
        "not valid at width",
    ),
    "too many classes": (
        lambda f: edit_json(f / "model_index.json", classes=["a", "b"]),
        "names 2",
    ),
    "no mpp": (lambda f: edit_json(f / "model_index.json", mpp=None), "not valid at mpp"),
}


@pytest.mark.parametrize("case", SPOILT)
def test_a_spoilt_folder_is_refused_in_one_sentence(folder: Path, case: str) -> None:
    spoil, expected = SPOILT[case]
    spoil(folder)
    with pytest.raises(ModelError, match=expected) as caught:
        load_parts(folder)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert sentence.endswith(".")
    assert re.search(re.escape(str(folder)), sentence)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="nowhere does not exist"):
        load_parts(tmp_path / "nowhere")
