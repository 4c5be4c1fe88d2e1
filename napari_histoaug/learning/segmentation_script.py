"""What ``train_segmentation.py`` does, callable from it and from an installed wheel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from torch import nn

from napari_histoaug.learning.config import ConfigError
from napari_histoaug.learning.loop import Run, never
from napari_histoaug.learning.scripts import announce, complete, run_script
from napari_histoaug.learning.segmentation import SegmentationTask, check_labels, load_best
from napari_histoaug.learning.segmentation_config import SegmentationTraining
from napari_histoaug.learning.tissue import Tissue, case_of, pixel_tissue
from napari_histoaug.models import SegmentationUNet, channels_last
from napari_histoaug.models.checkpoints import load_tensors
from napari_histoaug.models.residual_encoder import load_pretrained
from napari_histoaug.models.segmenter_folder import SegmenterIndex, save_segmenter


def train_segmentation(arguments: Sequence[str] | None = None) -> int:
    """Entry point of ``training/train_segmentation.py``."""
    return run_script(
        "Train the segmentation U-Net.", SegmentationTraining, fit_segmentation, arguments
    )


def fit_segmentation(config: SegmentationTraining, stop: Callable[[], bool] = never) -> Path:
    """Train the segmentation network and write the segmenter folder; returns that folder.

    What is written is the network with the best held-out Dice, and the thresholds it had there.
    """
    announce(config.loop)
    train, held_out, synthetic = segmentation_tissue(config)
    task = SegmentationTask(config, train, held_out, synthetic)
    run = Run(new_segmenter(config), task, config.loop)
    folder = config.loop.out / "segmenter"

    def export(network: nn.Module) -> None:
        assert isinstance(network, SegmentationUNet)
        thresholds = load_best(config.loop.out, network) or task.thresholds
        index = SegmenterIndex(
            name=config.name or config.loop.out.name,
            classes=config.data.classes,
            mpp=(config.data.mpp, config.data.mpp),
            patch=config.window,
            thresholds=tuple(thresholds),
            attribution=config.attribution,
        )
        save_segmenter(folder, index, network)

    complete(run, config, train, held_out, export, stop, enough=lambda: task.stale)
    return folder


def segmentation_tissue(
    config: SegmentationTraining,
) -> tuple[Tissue, Tissue, Tissue | None]:
    """Read training, held-out and synthetic tissue, and see that they fit.

    Raises
    ------
    ConfigError
        When there are no label maps.
    TissueError
        When a field cannot be used.
    """
    d = config.data
    if d.labels is None:
        raise ConfigError("Segmentation needs label maps; set data.labels.")
    train, held_out = (
        pixel_tissue(d.tiles, d.labels, cases, d.vessel_share)
        for cases in (d.train_cases, d.validation_cases)
    )
    synthetic = None
    if config.synthetic is not None and config.synthetic_share > 0:
        tiles = config.synthetic.tiles
        cases = sorted({case_of(p) for p in tiles.glob("*.png")}) if tiles.is_dir() else []
        if not cases:
            raise ConfigError(f"{tiles} holds no generated image; generate some first.")
        synthetic = pixel_tissue(tiles, config.synthetic.labels, cases, d.vessel_share)
    for tissue in filter(None, (train, held_out, synthetic)):
        check_labels(tissue, len(d.classes))
    if d.crop % SegmentationUNet.stride:
        raise ConfigError(f"data.crop={d.crop} must be a multiple of {SegmentationUNet.stride}.")
    return train, held_out, synthetic


def new_segmenter(config: SegmentationTraining) -> SegmentationUNet:
    """Build the network, its encoder filled with pretrained weights where some are given.

    Raises
    ------
    ConfigError
        When the weights do not fit the encoder.
    """
    shape = config.model.model_copy(update={"classes": len(config.data.classes)})
    model = SegmentationUNet(shape)
    if config.encoder_weights is not None:
        try:
            load_pretrained(model.encoder, load_tensors(config.encoder_weights))
        except ValueError as error:
            raise ConfigError(
                f"{config.encoder_weights} does not fit {shape.encoder}: {error}."
            ) from None
    return channels_last(model)
