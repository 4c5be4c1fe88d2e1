"""Network folders: ``config.json`` beside ``model.safetensors``; nothing here can run code."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from napari_histoaug.errors import HistoaugError
from napari_histoaug.models.autoencoders import (
    Autoencoder,
    TinyAutoencoder,
    TinyAutoencoderConfig,
    VQAutoencoder,
    VQAutoencoderConfig,
)
from napari_histoaug.models.diffusers_autoencoder import (
    DiffusersAutoencoder,
    known_kinds,
    load_diffusers,
)
from napari_histoaug.models.object_classifier import ObjectClassifier, ObjectClassifierConfig
from napari_histoaug.models.segmentation_networks import SegmentationNetwork
from napari_histoaug.models.segmentation_unet import SegmentationUNet, SegmentationUNetConfig
from napari_histoaug.models.smp_unet import SmpUNet, SmpUNetConfig
from napari_histoaug.models.spade_unet import SpadeUNet, SpadeUNetConfig

CONFIG = "config.json"
WEIGHTS = "model.safetensors"

_KINDS: dict[str, tuple[type[BaseModel], Callable[[Any], nn.Module]]] = {
    "SpadeUNet": (SpadeUNetConfig, SpadeUNet),
    "TinyAutoencoder": (TinyAutoencoderConfig, TinyAutoencoder),
    "VQAutoencoder": (VQAutoencoderConfig, VQAutoencoder),
    "SegmentationUNet": (SegmentationUNetConfig, SegmentationUNet),
    "SmpUNet": (SmpUNetConfig, SmpUNet),
    "ObjectClassifier": (ObjectClassifierConfig, ObjectClassifier),
}


class ModelError(HistoaugError):
    """A network or generator folder that cannot be used, and why."""


@contextmanager
def told_when_invalid(source: Path | str) -> Iterator[None]:
    """Turn the first thing that pydantic objects to into a sentence about `source`.

    Raises
    ------
    ModelError
        Instead of pydantic's error.
    """
    try:
        yield
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise ModelError(f"{source} is not valid at {where}: {first['msg']}.") from None


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises
    ------
    ModelError
        When the file is missing, unreadable or holds something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(
            f"The model folder {path.parent} has no {path.name}; choose a complete one."
        ) from None
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read ({error}); get the model again.") from None
    if not isinstance(content, dict):
        raise ModelError(f"{path} does not hold a JSON object; get the model again.")
    return content


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON object under a temporary name, then rename it into place."""
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    os.replace(temporary, path)


def save_tensors(tensors: dict[str, Tensor], path: Path) -> None:
    """Write tensors as safetensors under a temporary name, then rename the file into place."""
    temporary = path.with_name(path.name + ".part")
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, temporary)
    os.replace(temporary, path)


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Read every tensor of a safetensors file.

    Raises
    ------
    ModelError
        When the file is missing or damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise ModelError(
            f"The model folder {path.parent} has no {path.name}; choose a complete one."
        ) from None
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path} is damaged ({error}); get the model again.") from None


def save_network(model: nn.Module, folder: Path, *, dtype: torch.dtype | None = None) -> None:
    """Write a network into `folder`.

    Parameters
    ----------
    model : nn.Module
        One of the networks of this room, with its ``config``.
    folder : Path
        Made when missing; existing files are replaced.
    dtype : torch.dtype, optional
        Store floating-point tensors in this type, e.g. ``torch.float16``; a diffusers autoencoder
        keeps its own.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(model, DiffusersAutoencoder):
        model.save(folder)
        return
    config = model.config
    assert isinstance(config, BaseModel)
    write_json(
        folder / CONFIG, {"_class_name": type(model).__name__, **config.model_dump(mode="json")}
    )
    tensors = {
        name: tensor.detach().to("cpu", dtype if tensor.is_floating_point() else None)
        for name, tensor in model.state_dict().items()
    }
    save_tensors(tensors, folder / WEIGHTS)


def load_network(folder: Path) -> nn.Module:
    """Read a network written by :func:`save_network`, in float32 and evaluation mode.

    Raises
    ------
    ModelError
        When a file is missing or damaged, the class is unknown, or a tensor is missing, superfluous
        or of the wrong shape; the sentence names the first such tensor.
    """
    config = read_json(folder / CONFIG)
    name = config.pop("_class_name", None)
    if name not in _KINDS:
        raise ModelError(
            f"{folder / CONFIG} names the unknown network {name!r}; known are {', '.join(_KINDS)}."
        )
    shape, build = _KINDS[name]
    with told_when_invalid(folder / CONFIG):
        model = build(shape.model_validate(config))
    tensors = load_tensors(folder / WEIGHTS)
    check_tensors(model.state_dict(), tensors, folder)
    model.load_state_dict(tensors)
    return model.eval()


def check_tensors(expected: dict[str, Tensor], found: dict[str, Tensor], folder: Path) -> None:
    """Compare names and shapes, and say the first difference in one sentence.

    Raises
    ------
    ModelError
        As described.
    """
    path = folder / WEIGHTS
    for name, tensor in expected.items():
        if name not in found:
            raise ModelError(f"{path} lacks the tensor {name}; the file does not fit its {CONFIG}.")
        if found[name].shape != tensor.shape:
            raise ModelError(
                f"{path} holds {name} with shape {tuple(found[name].shape)}, but {CONFIG} asks for "
                f"{tuple(tensor.shape)}; the two do not belong together."
            )
        if not torch.isfinite(found[name]).all():
            raise ModelError(
                f"{path} holds values in {name} that are not finite; get the model again."
            )
    extra = sorted(set(found) - set(expected))
    if extra:
        raise ModelError(f"{path} holds the tensor {extra[0]}, which {CONFIG} does not know.")


def load_unet(folder: Path) -> SpadeUNet:
    """Read a :class:`SpadeUNet`; see :func:`load_network`."""
    model = load_network(folder)
    if not isinstance(model, SpadeUNet):
        raise ModelError(f"{folder} holds a {type(model).__name__}, not a SpadeUNet.")
    return model


def load_autoencoder(folder: Path) -> Autoencoder:
    """Read an autoencoder, one of ours or one that diffusers wrote.

    Raises
    ------
    ModelError
        See :func:`load_network`; also when diffusers cannot use the folder.
    """
    kind = read_json(folder / CONFIG).get("_class_name")
    if kind not in _KINDS and kind in known_kinds():
        return _load_foreign(folder, str(kind))
    model = load_network(folder)
    if not isinstance(model, TinyAutoencoder | VQAutoencoder):
        raise ModelError(f"{folder} holds a {type(model).__name__}, not an autoencoder.")
    return model


def _load_foreign(folder: Path, kind: str) -> DiffusersAutoencoder:
    try:
        model, missing = load_diffusers(folder, kind)
    except (OSError, ValueError, TypeError, RuntimeError, AttributeError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200].rstrip(".")
        raise ModelError(
            f"The autoencoder {kind} in {folder} cannot be used ({reason}); choose another one."
        ) from None
    if missing:
        raise ModelError(f"{folder} lacks the tensor {missing[0]} of {kind}; get the model again.")
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise ModelError(
                f"{folder} holds values in {name} that are not finite; get the model again."
            )
    return model


def load_segmenter(folder: Path) -> SegmentationNetwork:
    """Read a segmentation network; see :func:`load_network`."""
    model = load_network(folder)
    if not isinstance(model, SegmentationNetwork):
        raise ModelError(f"{folder} holds a {type(model).__name__}, not a segmentation network.")
    return model


def network_files(folder: Path) -> list[Path]:
    """The configuration and the weights of a network folder, in a fixed order."""
    return [folder / CONFIG, *sorted(folder.glob("*.safetensors"))]


def sha256_of(paths: list[Path]) -> str:
    """Hash the bytes of `paths`, in the given order, as one sha256 (hex)."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
