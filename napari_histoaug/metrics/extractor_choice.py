"""Feature networks by name or path, for distances between sets of pictures.

Nothing is downloaded. Weights come from a file; none can run code.
"""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image as Pillow
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from napari_histoaug.metrics.errors import MetricError
from napari_histoaug.metrics.extractors import Extractor, NetworkExtractor, efficientnet_lite1
from napari_histoaug.models.checkpoints import ModelError
from napari_histoaug.models.encoders import Encoder
from napari_histoaug.models.segmentation_unet import SegmentationUNet
from napari_histoaug.models.segmenter_folder import INDEX, load_segmenter_parts

SEGMENTER = Path(__file__).parents[1] / "models" / "segmenters" / "bundled"
KNOWN = ("tissue", "efficientnet-lite1", "inception", "timm:<name>")
INCEPTION_SIDE = 299


def choose_extractor(
    name: str = "auto", weights: Path | None = None, resize: int | None = None
) -> Extractor:
    """Load a feature network.

    Parameters
    ----------
    name : str
        "inception", torch-fidelity's network; "timm:" and the name of a timm encoder; "tissue", the
        encoder of a segmenter; "efficientnet-lite1". "auto" is Inception when weights are given,
        else the bundled tissue encoder, else EfficientNet-lite1.
    weights : Path, optional
        Safetensors or a plain PyTorch state dict; for "tissue" a segmenter folder.
    resize : int, optional
        Side that pictures are resized to, bicubic. Inception does so by its own rule.

    Raises
    ------
    MetricError
        When a package or a file is missing, or the two do not fit; one sentence.
    """
    if name == "auto":
        if weights is not None:
            name = "inception"
        else:
            name = "tissue" if (SEGMENTER / INDEX).is_file() else "efficientnet-lite1"
    if name == "inception":
        return _inception(weights)
    if name.startswith("timm:"):
        found = _timm(name.removeprefix("timm:"), weights)
    elif name == "tissue":
        found = _tissue(weights or SEGMENTER)
    elif name == "efficientnet-lite1":
        found = efficientnet_lite1()
    else:
        raise MetricError(f"There is no feature network {name!r}; use {', '.join(KNOWN)}.")
    return Resized(found, resize) if resize else found


def read_weights(path: Path) -> dict[str, Tensor]:
    """Tensors of a safetensors file or a plain PyTorch state dict; runs no code of the file.

    Raises
    ------
    MetricError
        When it cannot be read so.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise MetricError(f"There are no weights {path}; check the path.") from None
    except (OSError, SafetensorError, RuntimeError, ValueError, EOFError) as error:
        raise MetricError(f"The weights {path} cannot be read ({_first(error)}).") from None
    except UnpicklingError:
        raise MetricError(
            f"{path} holds more than tensors and is not loaded, since such a file can run code; "
            "save its state dict as safetensors."
        ) from None
    tensors = content.get("state_dict", content) if isinstance(content, dict) else None
    if not isinstance(tensors, dict) or not all(isinstance(t, Tensor) for t in tensors.values()):
        raise MetricError(f"{path} holds no table of tensors; save the network's state dict.")
    return tensors


def hash_of(tensors: dict[str, Tensor]) -> str:
    """sha256 of names and values, the same for a safetensors file and a state dict."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].contiguous().numpy().tobytes())
    return digest.hexdigest()


@dataclass(frozen=True)
class Resized:
    """An extractor that sees pictures at another size."""

    extractor: NetworkExtractor
    side: int

    @property
    def name(self) -> str:
        """As printed beside every figure."""
        return self.extractor.name.replace("no resize", f"bicubic resize to {self.side} px")

    def __call__(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Features (N, D) of RGB pictures uint8 (N, H, W, 3)."""
        size = (self.side, self.side)
        resized = [Pillow.fromarray(i).resize(size, Pillow.Resampling.BICUBIC) for i in images]
        return self.extractor(np.stack([np.asarray(each) for each in resized]))


@dataclass(frozen=True)
class InceptionExtractor:
    """Pooled features (N, 2048) of torch-fidelity's Inception-v3: those of FID and KID."""

    network: Any
    sha256: str

    @property
    def name(self) -> str:
        """As printed beside every figure."""
        return (
            f"Inception-v3 2015-12-05 of torch-fidelity (weights {self.sha256[:12]}, "
            f"TensorFlow-1 bilinear resize to {INCEPTION_SIDE} px)"
        )

    def __call__(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Features (N, 2048) of RGB pictures uint8 (N, H, W, 3)."""
        found = []
        for start in range(0, len(images), 16):
            part = torch.from_numpy(np.ascontiguousarray(images[start : start + 16]))
            with torch.inference_mode():
                found.append(self.network(part.permute(0, 3, 1, 2))[0].numpy())
        return np.concatenate(found)


def _inception(weights: Path | None) -> InceptionExtractor:
    if weights is None:
        raise MetricError(
            "Inception needs its weights; give the path of weights-inception-2015-12-05 "
            "(torch-fidelity), as safetensors or a state dict."
        )
    tensors = read_weights(weights)
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    except (ImportError, RuntimeError) as error:  # torchvision of another torch raises the latter
        raise MetricError(
            f"torch-fidelity's Inception cannot be loaded ({_first(error)}); install it and the "
            "torchvision that belongs to this torch."
        ) from None
    with tempfile.TemporaryDirectory() as folder:
        # The package unpickles whatever it is given, so it is given a file of our own.
        safe = Path(folder) / "weights.pth"
        torch.save(tensors, safe)
        try:
            network = FeatureExtractorInceptionV3("inception-v3-compat", ["2048"], str(safe))
        except RuntimeError as error:
            raise MetricError(f"{weights} does not fit Inception-v3 ({_first(error)}).") from None
    return InceptionExtractor(network.eval(), hash_of(tensors))


def _timm(name: str, weights: Path | None) -> NetworkExtractor:
    try:
        import timm
    except (ImportError, RuntimeError) as error:  # torchvision of another torch raises the latter
        raise MetricError(
            f"The encoder timm:{name} cannot be made ({_first(error)}); install timm and the "
            "torchvision that belongs to this torch, or use another feature network."
        ) from None
    if weights is None:
        raise MetricError(f"timm:{name} needs its weights; give a safetensors file.")
    if not timm.is_model(name):
        raise MetricError(f"timm knows no encoder {name!r}; see timm.list_models().")
    network = timm.create_model(name, pretrained=False, num_classes=0)
    tensors = read_weights(weights)
    own = network.state_dict()
    missing = sorted(set(own) - set(tensors))
    if missing:
        raise MetricError(f"{weights} lacks {missing[0]} of timm:{name}; choose its own weights.")
    try:
        network.load_state_dict({key: tensors[key] for key in own})
    except RuntimeError as error:
        raise MetricError(f"{weights} does not fit timm:{name} ({_first(error)}).") from None
    return NetworkExtractor(network.eval().requires_grad_(False), f"timm {name}", hash_of(tensors))


class Deepest(nn.Module):
    """The last feature map of an encoder."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, x: Tensor) -> Tensor:
        """Feature maps (B, C, H / 32, W / 32)."""
        return self.encoder(x)[-1]


def tissue_encoder(folder: Path = SEGMENTER) -> tuple[Encoder, str]:
    """The encoder of a segmenter, taught on tissue, and the hash of its folder.

    Raises
    ------
    MetricError
        When there is none.
    """
    try:
        parts = load_segmenter_parts(folder)
    except ModelError as error:
        raise MetricError(f"There is no tissue encoder: {error}") from None
    if not isinstance(parts.unet, SegmentationUNet):
        raise MetricError(f"The network in {folder} has no encoder of ours; choose another folder.")
    return parts.unet.encoder.eval().requires_grad_(False), parts.sha256


def _tissue(folder: Path) -> NetworkExtractor:
    encoder, sha256 = tissue_encoder(folder)
    kind = "tissue encoder (of a vessel segmenter; figures compare with its own only)"
    return NetworkExtractor(Deepest(encoder), kind, sha256)


def _first(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:150].rstrip(".") if lines else type(error).__name__
