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
    load_segmenter,
    load_unet,
    save_network,
)
from napari_histoaug.models.diffusers_autoencoder import DiffusersAutoencoder
from napari_histoaug.models.layout import channels_last
from napari_histoaug.models.object_classifier import ObjectClassifier, ObjectClassifierConfig
from napari_histoaug.models.segmentation_networks import (
    SegmentationNetwork,
    SegmentationNetworkConfig,
    build_segmentation_network,
)
from napari_histoaug.models.segmentation_unet import SegmentationUNet, SegmentationUNetConfig
from napari_histoaug.models.spade_unet import PRESETS, SpadeUNet, SpadeUNetConfig, pool_labels

__all__ = [
    "PRESETS",
    "Autoencoder",
    "DiffusersAutoencoder",
    "LatentSpace",
    "LatentStatistics",
    "ModelError",
    "ObjectClassifier",
    "ObjectClassifierConfig",
    "SegmentationNetwork",
    "SegmentationNetworkConfig",
    "SegmentationUNet",
    "SegmentationUNetConfig",
    "SpadeUNet",
    "SpadeUNetConfig",
    "TinyAutoencoder",
    "TinyAutoencoderConfig",
    "VQAutoencoder",
    "VQAutoencoderConfig",
    "build_segmentation_network",
    "channels_last",
    "load_autoencoder",
    "load_segmenter",
    "load_taesd",
    "load_unet",
    "pool_labels",
    "save_network",
]
