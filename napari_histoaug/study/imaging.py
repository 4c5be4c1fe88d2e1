"""The stage that judges pictures: inpainted ones, whole patches, and what autoencoders lose."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from napari_histoaug.generation.generator import load_generator
from napari_histoaug.generation.synthesis import synthesize
from napari_histoaug.learning.command_line import say
from napari_histoaug.learning.tissue import read_field
from napari_histoaug.metrics.extractor_choice import choose_extractor
from napari_histoaug.metrics.perceptual import choose_lpips
from napari_histoaug.models.checkpoints import load_autoencoder, read_json, write_json
from napari_histoaug.study.config import StudyConfig
from napari_histoaug.study.errors import StudyError
from napari_histoaug.study.image_quality import (
    Pictures,
    evenly,
    grid_of,
    judge_pictures,
    largest_vessel,
    made_hole,
    remade,
)
from napari_histoaug.study.networks import AUTOENCODERS, GENERATORS, network_of, taught
from napari_histoaug.study.originals import Originals
from napari_histoaug.study.pooling import MADE, made_pairs
from napari_histoaug.study.preparing import DATA, SPLITS, Places, field_of
from napari_histoaug.study.results import IMAGES
from napari_histoaug.study.stages import digest_of_files, fill, key_of

Pixels = npt.NDArray[np.uint8]
Pair = tuple[Pixels, Pixels]
INPAINTED = {"plain": "inpainted", "donor": "inpainted-donor"}


def judge_images(config: StudyConfig, stop: Callable[[], bool]) -> bool:
    """Fill ``images/``; returns whether anything was done.

    Raises
    ------
    StudyError
        When the stages before have not been run.
    KeyboardInterrupt
        When told to stop; what was judged stays for the next time.
    """
    settings, autoencoders, generators = config.images, *_networks(config)
    made = {kind: key_of(config.out / MADE / kind) for kind in INPAINTED}
    inputs = {
        "data": key_of(config.out / DATA),
        "made": made,
        "extractor": settings.extractor,
        "count": settings.count,
        "steps": settings.steps,
        "autoencoders": {name: _digest(path) for name, path in autoencoders.items()},
        "generators": {name: load_generator(of).sha256 for name, of in generators.items()},
    }

    def make(part: Path) -> int:
        own = {name: taught(config, stage) for name, stage in own_networks(config).items()}
        extractor, lpips = choose_extractor(settings.extractor), choose_lpips("tissue")
        for variant, pictures in variants(config):
            path = part / f"{variant}.json"
            if stop():
                raise KeyboardInterrupt
            if path.exists():
                continue
            try:
                judged = judge_pictures(pictures(), extractor, lpips)
                write_json(path, judged | {"taught": own.get(variant)})
            except StudyError as error:
                say(str(error))
        return len(list(part.glob("*.json")))

    return fill(config.out / IMAGES, inputs, make, config.pools.device)


def _digest(folder: Path) -> str:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    if not files:
        raise StudyError(f"There is no autoencoder in {folder}; teach it, or leave it out.")
    return digest_of_files(files)


def _networks(config: StudyConfig) -> tuple[dict[str, Path], dict[str, str]]:
    """Autoencoders and generators to judge by their names in the report, the study's own too."""
    autoencoders, generators = dict(config.images.autoencoders), dict(config.images.generators)
    for name, stage in own_networks(config).items():
        if stage.startswith(AUTOENCODERS):
            autoencoders[name] = network_of(config, stage)
        else:
            generators[name] = str(network_of(config, stage))
    return autoencoders, generators


def own_networks(config: StudyConfig) -> dict[str, str]:
    """Stages of the study's own networks, by their names in the report."""
    coders = {
        f"reconstruction-{name.removeprefix('latent-')}": f"{AUTOENCODERS}/{name}"
        for name in config.networks.autoencoders
    }
    return coders | {name: f"{GENERATORS}/{name}" for name in config.networks.generators}


def variants(config: StudyConfig) -> Iterator[tuple[str, Callable[[], Pictures]]]:
    """Names, and what makes the pictures of each when they are needed."""
    for kind, variant in INPAINTED.items():
        yield variant, partial(_inpainted, config, kind, variant)
    autoencoders, generators = _networks(config)
    for variant, folder in autoencoders.items():
        yield variant, partial(_reconstructed, config, variant, folder)
    for variant, source in generators.items():
        yield variant, partial(_synthesized, config, variant, source)


def _inpainted(config: StudyConfig, kind: str, variant: str) -> Pictures:
    """Generated pairs of a kind beside the patches of the fields they were painted into."""
    originals = Originals(config)
    size = config.tissue.patch
    real = [patch for field in originals.fields.values() for patch in grid_of(*field, size)]
    made, before = [], []
    for pair in made_pairs(config.out, (kind,)):
        made.append(pair.read())
        before.append(originals.of(pair.record)[0])
    return Pictures(
        variant,
        "patches of the fields painted into",
        [image for image, _ in real],
        [image for image, _ in made],
        before=before,
        real_holes=[largest_vessel(labels) for _, labels in real],
        made_holes=[made_hole(labels) for _, labels in made],
    )


def _held_out(config: StudyConfig, *, labelled: bool) -> list[Pair]:
    """Patches of validation fields, evenly spaced; `labelled` takes those with vessels only."""
    labels = Places(config.out / DATA).labels
    patches: list[Pair] = []
    for stem in read_json(config.out / SPLITS)["validation"]:
        image, mask = read_field(field_of(config.tissue, stem), labels)
        patches += grid_of(image, (mask == 1).astype(np.uint8), config.tissue.patch)
    return evenly([p for p in patches if not labelled or p[1].any()], config.images.count)


def _reconstructed(config: StudyConfig, variant: str, folder: Path) -> Pictures:
    network = load_autoencoder(folder)

    def again(image: Pixels, labels: Pixels, index: int) -> Pixels:
        x = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
        with torch.inference_mode():
            y = network.decode(network.encode(x))[0]
        pixels = ((y.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
        return pixels.permute(1, 2, 0).numpy()

    real = _held_out(config, labelled=False)
    return remade(real, variant, "the same validation patches", again)


def _synthesized(config: StudyConfig, variant: str, source: str) -> Pictures:
    generator = load_generator(source, config.pools.device)
    value = np.uint8(generator.value_of(config.tissue.label))
    mpp, steps = config.tissue.mpp, config.images.steps

    def painted(image: Pixels, labels: Pixels, index: int) -> Pixels:
        # Labels of patches are 0 and 1.
        return synthesize(generator, labels * value, mpp, steps, index).image

    real = _held_out(config, labelled=True)
    return remade(real, variant, "the validation patches whose labels were given", painted)
