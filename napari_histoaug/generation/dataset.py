"""Many generated pairs: each a pure function of (seed, index), so any process can make any of them.

Pairs are files ``tiles/synthetic_x<index>_y0.png`` and ``labels/`` of the same name, the form in
which the training scripts read tissue; ``rows/`` holds a record of each, ``manifest.csv`` all.
"""

from __future__ import annotations

import csv
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from PIL import Image

from napari_histoaug.edits.versions import versions
from napari_histoaug.generation.dataset_config import DatasetConfig
from napari_histoaug.generation.generator import GenerationError, Generator
from napari_histoaug.generation.pairs import Pair, make_pair
from napari_histoaug.models.checkpoints import read_json, write_json

SETTINGS, MANIFEST = "dataset.json", "manifest.csv"
TILES, LABELS, ROWS = "tiles", "labels", "rows"


def generate(
    config: DatasetConfig,
    generator: Generator,
    progress: Callable[[int, int, float], None],
    stop: Callable[[], bool],
) -> bool:
    """Make the pairs of this shard that are not there yet; returns whether it is done.

    Parameters
    ----------
    progress : callable
        Called with (done, total, seconds a pair) after each.
    stop : callable
        Asked before each; True ends.

    Raises
    ------
    GenerationError
        When the folder holds pairs made otherwise, or cannot be written.
    """
    try:
        _claim(config, generator)
        part, parts = (int(n) for n in config.shard.split("/"))
        if part > parts:
            raise GenerationError(
                f"There is no shard {config.shard}; use 1/{parts} to {parts}/{parts}."
            )
        mine = range(part - 1, config.count, parts)
        todo = [i for i in mine if not (config.out / ROWS / f"{stem(i)}.json").exists()]
        started = time.monotonic()
        for done, index in enumerate(todo):
            if stop():
                return False
            _write(config.out, index, make_pair(config, generator, index), generator)
            pace = (time.monotonic() - started) / (done + 1)
            progress(len(mine) - len(todo) + done + 1, len(mine), pace)
        write_manifest(config.out)
    except OSError as error:
        raise GenerationError(
            f"{config.out} cannot be written to ({error.strerror or error}); free some space and "
            "run the same command again, which goes on where it was."
        ) from error
    return True


def stem(index: int) -> str:
    """File name of a pair, without its ending."""
    return f"synthetic_x{index:07d}_y0"


def _claim(config: DatasetConfig, generator: Generator) -> None:
    """Write down what makes this data set, or see that it is what made it before."""
    for name in (TILES, LABELS, ROWS):
        (config.out / name).mkdir(parents=True, exist_ok=True)
    free = {"out", "count", "shard", "device"}
    settings = config.model_dump(mode="json", exclude=free | {"source", "model", "donors"})
    maker = {
        **settings,
        "donors": None
        if config.donors is None
        else sorted(p.stem for p in config.donors.glob("*.png")),
        "model_sha256": generator.sha256,
    }
    path = config.out / SETTINGS
    if not path.exists():
        # Shards start together: each writes a file of its own, and any of them may stay.
        own = path.with_name(f"{path.name}.{uuid4().hex}")
        write_json(own, maker)
        os.replace(own, path)
    if read_json(path) != maker:
        raise GenerationError(
            f"{config.out} holds pairs made with other settings or another model; choose another "
            "folder with out=FOLDER."
        )


def _write(out: Path, index: int, pair: Pair, generator: Generator) -> None:
    name = stem(index)
    for folder, array in ((TILES, pair.image), (LABELS, pair.labels)):
        path = out / folder / f"{name}.png"
        temporary = path.with_name(path.name + ".part")
        with temporary.open("wb") as file:
            Image.fromarray(array).save(file, format="PNG")
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    row = {
        "index": index,
        "image": f"{TILES}/{name}.png",
        "labels": f"{LABELS}/{name}.png",
        **pair.record,
        "model": generator.name,
        "model_sha256": generator.sha256,
        "versions": " ".join(f"{k}={v}" for k, v in versions().items()),
    }
    # The record comes last: a pair that has one is complete.
    write_json(out / ROWS / f"{name}.json", row)


def write_manifest(out: Path) -> None:
    """Gather the records that are there; whichever shard ends last gathers all."""
    rows = [json.loads(p.read_text(encoding="utf-8")) for p in sorted((out / ROWS).glob("*.json"))]
    columns = list(dict.fromkeys(key for row in rows for key in row))
    temporary = out / f"{MANIFEST}.{os.getpid()}.part"
    with temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
    os.replace(temporary, out / MANIFEST)
