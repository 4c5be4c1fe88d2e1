"""What ``train_segmentation.py`` does, callable from it and from an installed wheel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from torch import nn

from napari_histoaug.learning.config import ConfigError
from napari_histoaug.learning.loop import Run, never
from napari_histoaug.learning.patch_tissue import patch_tissue
from napari_histoaug.learning.published_weights import published
from napari_histoaug.learning.scripts import announce, complete, run_script
from napari_histoaug.learning.segmentation import SegmentationTask, check_labels, load_best
from napari_histoaug.learning.segmentation_config import SegmentationTraining
from napari_histoaug.learning.sources import pixels, settled
from napari_histoaug.learning.tissue import Tissue, case_of, pixel_tissue
from napari_histoaug.models import (
    SegmentationNetwork,
    SegmentationUNet,
    build_segmentation_network,
    channels_last,
)
from napari_histoaug.models.checkpoints import load_tensors
from napari_histoaug.models.encoders import load_pretrained
from napari_histoaug.models.segmenter_folder import (
    SegmenterIndex,
    load_segmenter_parts,
    save_segmenter,
)


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
    config = settled(config)
    train, held_out, synthetic = segmentation_tissue(config)
    task = SegmentationTask(config, train, held_out, synthetic)
    run = Run(new_segmenter(config), task, config.loop)
    folder = config.loop.out / "segmenter"

    def export(network: nn.Module) -> None:
        assert isinstance(network, SegmentationNetwork)
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
    if d.manifest is None and d.labels is None:
        raise ConfigError("Segmentation needs label maps; set data.labels.")
    train, held_out = pixels(d, generated=False)
    synthetic = _generated(config)
    for tissue in filter(None, (train, held_out, synthetic)):
        check_labels(tissue, len(d.classes))
        tissue.check_size(d.crop, SegmentationUNet.stride)
    return train, held_out, synthetic


def _generated(config: SegmentationTraining) -> Tissue | None:
    """Read the generated pairs that are asked for."""
    d, pairs = config.data, config.synthetic
    if d.synthetic and pairs is not None:
        raise ConfigError(
            "Generated tissue would come from two places; set either data.synthetic or synthetic."
        )
    if config.synthetic_share == 0 or not (d.synthetic or pairs):
        return None
    if pairs is None:
        return patch_tissue(d, d.split.train, "generated")
    cases = sorted({case_of(p) for p in pairs.tiles.glob("*.png")}) if pairs.tiles.is_dir() else []
    if not cases:
        raise ConfigError(f"{pairs.tiles} holds no generated image; generate some first.")
    share = d.vessel_share if pairs.vessel_share is None else pairs.vessel_share
    return pixel_tissue(pairs.tiles, pairs.labels, cases, share)


def new_segmenter(config: SegmentationTraining) -> SegmentationNetwork:
    """Build the network, its encoder filled with pretrained weights where some are given.

    Raises
    ------
    ConfigError
        When the weights are missing or do not fit the encoder, or the segmenter to go on from has
        another shape.
    """
    shape = config.model.model_copy(update={"classes": len(config.data.classes)})
    if config.start is not None:
        model = load_segmenter_parts(config.start).unet
        if model.config != shape:
            raise ConfigError(
                f"The segmenter in {config.start} has another shape than `model` says; give the "
                "same, or leave start out."
            )
        return channels_last(model)
    model = build_segmentation_network(shape)
    weights = config.encoder_weights
    if weights is not None:
        tensors = published(shape.encoder) if weights == "imagenet" else load_tensors(weights)
        if not isinstance(model, SegmentationUNet):
            raise ConfigError(
                "encoder_weights are for our own encoders; teach smp-unet without, or take another."
            )
        try:
            load_pretrained(model.encoder, tensors)
        except ValueError as error:
            raise ConfigError(f"{weights} does not fit {shape.encoder}: {error}.") from None
    return channels_last(model)
