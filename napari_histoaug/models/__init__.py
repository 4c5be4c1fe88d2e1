"""The networks: SPADE diffusion U-Net, autoencoders, and the folders they are kept in."""

from napari_histoaug.models.autoencoders import (
    Autoencoder,
    LatentSpace,
    LatentStatistics,
    TinyAutoencoder,
    TinyAutoencoderConfig,
    VQAutoencoder,
    VQAutoencoderConfig,
    load_taesd,
)
from napari_histoaug.models.checkpoints import (
    ModelError,
    load_autoencoder,
    load_unet,
    save_network,
)
from napari_histoaug.models.layout import channels_last
from napari_histoaug.models.spade_unet import PRESETS, SpadeUNet, SpadeUNetConfig

__all__ = [
    "PRESETS",
    "Autoencoder",
    "LatentSpace",
    "LatentStatistics",
    "ModelError",
    "SpadeUNet",
    "SpadeUNetConfig",
    "TinyAutoencoder",
    "TinyAutoencoderConfig",
    "VQAutoencoder",
    "VQAutoencoderConfig",
    "channels_last",
    "load_autoencoder",
    "load_taesd",
    "load_unet",
    "save_network",
]
