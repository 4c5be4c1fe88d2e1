"""Any autoencoder of diffusers as this project's latents: ``AutoencoderKL``, ``VQModel``, ..."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

PROBE = 128  # px; the side of the picture that tells an autoencoder's factor


class DiffusersAutoencoder(nn.Module):
    """A diffusers autoencoder of pictures behind ``encode``, ``decode`` and ``factor``.

    Latents are those of ``encode`` without randomness: the mode of a KL autoencoder, the
    pre-quantised ones of a VQ-VAE. Its ``scaling_factor`` is not applied; the measured statistics
    of :class:`~napari_histoaug.models.LatentSpace` take its place.

    Parameters
    ----------
    network : diffusers.ModelMixin
        A network with ``encode`` and ``decode``, from RGB (B, 3, H, W) in [-1, 1].

    Raises
    ------
    ValueError
        When it does not make latents (B, C, H / factor, W / factor) of a picture.
    """

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network
        self.factor = _factor_of(network)

    def encode(self, image: Tensor) -> Tensor:
        """Latents (B, C, H / factor, W / factor) of RGB (B, 3, H, W) in [-1, 1]."""
        return _latents(self.network, image)

    def decode(self, latents: Tensor) -> Tensor:
        """RGB (B, 3, H, W), about [-1, 1], of latents."""
        return self.network.decode(latents).sample

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Reconstruction of RGB (B, 3, H, W) in [-1, 1], and an extra loss of 0."""
        return self.decode(self.encode(image)), image.new_zeros(())

    def save(self, folder: Path) -> None:
        """Write the network into `folder` in diffusers' own layout."""
        self.network.save_pretrained(folder)


def _latents(network: Any, image: Tensor) -> Tensor:
    out = network.encode(image)
    if hasattr(out, "latent_dist"):
        return out.latent_dist.mode()
    if hasattr(out, "latents"):
        return out.latents
    return out.latent


def _factor_of(network: Any) -> int:
    """Pixels a latent cell covers, seen on a twin without weights."""
    with torch.device("meta"), torch.no_grad():
        twin = type(network).from_config(network.config).eval()
        found = tuple(_latents(twin, torch.zeros(1, 3, PROBE, PROBE)).shape)
    if len(found) != 4 or found[2] != found[3] or PROBE % found[2]:
        raise ValueError(f"its latents of a {PROBE} px square have the shape {found}")
    return PROBE // found[2]


def known_kinds() -> list[str]:
    """Names of the autoencoder classes that this version of diffusers has."""
    from diffusers.models import autoencoders

    return [name for name in dir(autoencoders) if name.startswith(("Auto", "Asymmetric", "VQ"))]


def load_diffusers(folder: Path, kind: str) -> tuple[DiffusersAutoencoder, list[str]]:
    """Read an autoencoder that diffusers wrote.

    Parameters
    ----------
    folder : Path
        With ``config.json`` and safetensors; nothing is downloaded, nothing in it is run.
    kind : str
        One of :func:`known_kinds`.

    Returns
    -------
    autoencoder : DiffusersAutoencoder
        In float32 and evaluation mode.
    missing : list of str
        Tensors that the files do not hold.

    Raises
    ------
    OSError, ValueError, TypeError, RuntimeError, safetensors.SafetensorError
        When a file is missing or damaged, or the network is not one of pictures.
    """
    from diffusers.models import autoencoders

    network, report = getattr(autoencoders, kind).from_pretrained(
        folder,
        torch_dtype=torch.float32,
        use_safetensors=True,
        local_files_only=True,
        low_cpu_mem_usage=False,
        output_loading_info=True,
    )
    return DiffusersAutoencoder(network).eval(), sorted(report["missing_keys"])
