"""Training and held-out tissue as configured: fields or patches, pixels or latents."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from napari_histoaug.learning.config import AutoencoderTraining, DataConfig, DiffusionTraining
from napari_histoaug.learning.latents import Progress, cache_latents, latent_tissue
from napari_histoaug.learning.patch_latents import cache_patch_latents, latent_patch_tissue
from napari_histoaug.learning.patch_tissue import patch_tissue, told_by_manifest
from napari_histoaug.learning.segmentation_config import SegmentationTraining
from napari_histoaug.learning.tissue import Tissue, find_fields, pixel_tissue
from napari_histoaug.models import LatentStatistics, channels_last
from napari_histoaug.models.autoencoders import Autoencoder

Training = TypeVar("Training", AutoencoderTraining, DiffusionTraining, SegmentationTraining)


def settled(config: Training) -> Training:
    """The configuration with what the manifest, if there is one, says of the tissue."""
    return config.model_copy(update={"data": told_by_manifest(config.data)})


def pixels(data: DataConfig, *, generated: bool = True) -> tuple[Tissue, Tissue]:
    """Training and held-out tissue as pixels.

    Parameters
    ----------
    generated : bool
        Whether training patches with generated pixels are among the others, if they are asked for
        at all.
    """
    if data.manifest is not None:
        train = patch_tissue(
            data, data.split.train, "all" if generated and data.synthetic else "real"
        )
        most = data.validation_patches
        return train, patch_tissue(data, data.split.validation, most=most)
    tiles = _tiles(data)
    train, held_out = (
        pixel_tissue(tiles, data.labels, cases, data.vessel_share, data.numbered_sets())
        for cases in (data.train_cases, data.validation_cases)
    )
    return train, held_out


def latents(
    config: DiffusionTraining, autoencoder: Autoencoder, progress: Progress
) -> tuple[Tissue, Tissue, LatentStatistics]:
    """Training and held-out tissue as latents, encoded now unless the cache has them."""
    cache = config.latents or config.loop.out / "latents"
    autoencoder = channels_last(autoencoder)
    if config.data.manifest is not None:
        return _latent_patches(config, autoencoder, cache, progress)
    return _latent_fields(config, autoencoder, cache, progress)


def _latent_patches(
    config: DiffusionTraining, autoencoder: Autoencoder, cache: Path, progress: Progress
) -> tuple[Tissue, Tissue, LatentStatistics]:
    fields, checks = pixels(config.data)
    cache_patch_latents(autoencoder, checks, cache, progress=progress)
    cache_patch_latents(autoencoder, fields, cache, copies=config.copies, progress=progress)
    factor = autoencoder.factor
    train, statistics = latent_patch_tissue(cache, fields, factor, config.copies)
    held_out, _ = latent_patch_tissue(cache, checks, factor, statistics=statistics)
    return train, held_out, statistics


def _latent_fields(
    config: DiffusionTraining, autoencoder: Autoencoder, cache: Path, progress: Progress
) -> tuple[Tissue, Tissue, LatentStatistics]:
    d, tiles = config.data, _tiles(config.data)
    fields = find_fields(tiles, d.train_cases)
    checks = find_fields(tiles, d.validation_cases)
    checks = checks[:: max(1, len(checks) // config.validation_fields)]
    cache_latents(autoencoder, checks, cache, progress=progress)
    cache_latents(autoencoder, fields, cache, copies=config.copies, progress=progress)
    factor, share = autoencoder.factor, d.vessel_share
    sets = d.numbered_sets()
    train, statistics = latent_tissue(cache, fields, d.labels, factor, None, share, sets)
    held_out, _ = latent_tissue(cache, checks, d.labels, factor, statistics, share, sets)
    return train, held_out, statistics


def _tiles(data: DataConfig) -> Path:
    assert data.tiles is not None  # else there is a manifest; see DataConfig
    return data.tiles
