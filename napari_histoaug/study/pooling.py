"""Pools: generated pairs of each kind, put together as a recipe says, and selected."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import parquet

from napari_histoaug.generation.dataset import ROWS, generate
from napari_histoaug.generation.generator import load_generator
from napari_histoaug.learning.command_line import say
from napari_histoaug.learning.tissue import read_field
from napari_histoaug.models.checkpoints import read_json, write_json
from napari_histoaug.study.config import KINDS, REAL, RECIPES, StudyConfig
from napari_histoaug.study.errors import StudyError
from napari_histoaug.study.originals import SAME, UNTOUCHED, Originals
from napari_histoaug.study.preparing import DATA, LABELS, TILES, Places, coarsened, save_pair
from napari_histoaug.study.selecting import Verdicts, judge_pairs
from napari_histoaug.study.stages import fill, key_of, link
from napari_histoaug.study.teaching import CELLS, POOLS, SMALL

MADE, MANIFEST, DROPPED = "made", "manifest.parquet", "dropped.json"
HELD = {
    "plain": ("plain",),
    "donor": ("donor",),
    "hard-negatives": ("donor", "removed"),
    "selection": ("donor", "removed"),
}
"""Kinds of pairs in each recipe's pool."""
NEGATIVES = ("hard-negatives", "selection")
"""Recipes whose pools also hold the tissue of their vessels as it was before."""

Stopped = Callable[[], bool]


def make_pairs(config: StudyConfig, kind: str, shard: str, stop: Stopped) -> bool:
    """Generate the pairs of a kind, or a part of them; returns whether anything was done.

    Raises
    ------
    StudyError
        When there is no such kind, or its parts are not all there to be put together.
    """
    if kind not in KINDS:
        raise StudyError(f"There is no kind of pairs {kind}; use {', '.join(KINDS)}.")
    part, parts = (int(n) for n in shard.split("/"))
    whole = parts == 1
    place = config.out / MADE / (kind if whole else f"{kind}-{part}of{parts}")
    inputs = _inputs(config, kind) | {"shard": shard}
    if whole and config.pools.shards > 1:
        return fill(place, inputs, lambda out: _gather(config, kind, out), "cpu")
    return fill(place, inputs, lambda out: _generate(config, kind, shard, out, stop), "cpu")


def _inputs(config: StudyConfig, kind: str) -> dict[str, Any]:
    model = load_generator(config.pools.model, "cpu").sha256
    beside = {*KINDS, "untouched", "model", "device", "shards", "generator_cases"}
    pools = config.pools.model_dump(mode="json", exclude=beside)
    count = getattr(config.pools, kind)
    return {"kind": kind, "count": count, "pools": pools, "model": model,
            "data": key_of(config.out / DATA)}  # fmt: skip


def _generate(config: StudyConfig, kind: str, shard: str, out: Path, stop: Stopped) -> int:
    places = Places(config.out / DATA)
    dataset = config.dataset(kind, places.source, places.donors, out)
    dataset = dataset.model_copy(update={"shard": shard})
    generator = load_generator(config.pools.model, config.pools.device)

    def progress(done: int, total: int, pace: float) -> None:
        if done % 10 == 0 or done == total:
            say(f"{kind}: pair {done}/{total}, {pace:.2f} s a pair")

    if not generate(dataset, generator, progress, stop):
        raise KeyboardInterrupt
    return len(list((out / ROWS).glob("*.json")))


def _gather(config: StudyConfig, kind: str, out: Path) -> int:
    """Put the parts of a kind together."""
    parts = config.pools.shards
    count = 0
    for part in range(1, parts + 1):
        place = config.out / MADE / f"{kind}-{part}of{parts}"
        key_of(place)
        for folder in (TILES, LABELS, ROWS):
            (out / folder).mkdir(exist_ok=True)
            for path in sorted((place / folder).iterdir()):
                link(path, out / folder / path.name)
                count += folder == ROWS
    return count


@dataclass(frozen=True)
class MadePair:
    """A generated pair on disk.

    Attributes
    ----------
    kind : str
    folder : Path
        Of all pairs of the kind.
    stem : str
    """

    kind: str
    folder: Path
    stem: str

    @property
    def name(self) -> str:
        """File name, without its ending, in a pool: ``<kind>_x<index>_y0``."""
        return f"{self.kind}_{self.stem.split('_', 1)[1]}"

    @property
    def record(self) -> dict[str, Any]:
        """How it came about."""
        return dict(read_json(self.folder / ROWS / f"{self.stem}.json"))

    def read(self) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        """Image uint8 (H, W, 3) and labels uint8 (H, W)."""
        return read_field(self.folder / TILES / f"{self.stem}.png", self.folder / LABELS)


def made_pairs(run: Path, kinds: tuple[str, ...]) -> list[MadePair]:
    """All pairs of some kinds.

    Raises
    ------
    StudyError
        When one has not been generated.
    """
    found = []
    for kind in kinds:
        key_of(run / MADE / kind)
        stems = sorted(p.stem for p in (run / MADE / kind / ROWS).glob("*.json"))
        found += [MadePair(kind, run / MADE / kind, stem) for stem in stems]
    return found


def make_pool(config: StudyConfig, recipe: str) -> bool:
    """Put a recipe's pool together; returns whether anything was done.

    Raises
    ------
    StudyError
        When there is no such recipe, or its pairs are not there.
    """
    if recipe not in RECIPES:
        raise StudyError(f"There is no recipe {recipe}; use {', '.join(RECIPES)}.")
    judged = recipe == "selection"
    untouched = recipe in NEGATIVES and config.pools.untouched
    judge = f"{REAL}-0-{config.seeds[0]}"
    inputs = {
        "recipe": recipe,
        "coarse": config.segmenter.coarse,
        "made": {kind: key_of(config.out / MADE / kind) for kind in HELD[recipe]},
        "untouched": untouched,
        "selection": config.selection.model_dump(mode="json") if judged else None,
        "judge": key_of(config.out / CELLS / judge) if judged else None,
    }

    def make(out: Path) -> int:
        pairs = made_pairs(config.out, HELD[recipe])
        verdicts = judge_pairs(config, pairs, judge) if judged else None
        rows = _put_together(config, pairs, verdicts, out)
        if untouched:
            rows += _untouched(config, [row for row in rows if row["kind"] == "donor"], out)
        write_manifest(out / MANIFEST, rows)
        return len(rows)

    return fill(config.out / POOLS / recipe, inputs, make, "cpu")


def _put_together(
    config: StudyConfig, pairs: list[MadePair], verdicts: Verdicts | None, out: Path
) -> list[dict[str, Any]]:
    """Put pairs that are not dropped into a pool; returns their records."""
    for folder in (TILES, LABELS, SMALL):
        shutil.rmtree(out / folder, ignore_errors=True)
        (out / folder).mkdir()
    rows, dropped = [], dict.fromkeys(verdicts.reasons if verdicts else (), 0)
    for index, pair in enumerate(pairs):
        row = {**pair.record, "kind": pair.kind, "name": pair.name}
        if verdicts is not None:
            row |= verdicts.row(index)
            if reason := verdicts.reason(index):
                dropped[reason] += 1
                continue
        for folder in (TILES, LABELS):
            link(pair.folder / folder / f"{pair.stem}.png", out / folder / f"{pair.name}.png")
        save_pair(out / SMALL, pair.name, *coarsened(*pair.read(), config.segmenter.coarse))
        rows.append(row | _files(pair.name))
    write_json(out / DROPPED, dropped)
    return rows


def _untouched(config: StudyConfig, rows: list[dict[str, Any]], out: Path) -> list[dict[str, Any]]:
    """Put the tissue of some pairs as it was before beside them; returns the records."""
    originals, found = Originals(config), []
    for row in rows:
        name = f"{UNTOUCHED}_x{row['index']:07d}_y0"
        pair = originals.of(row)
        save_pair(out, name, *pair)
        save_pair(out / SMALL, name, *coarsened(*pair, config.segmenter.coarse))
        same = {key: row[key] for key in ("index", *SAME)}
        found.append({**same, "kind": UNTOUCHED, "name": name, **_files(name)})
    return found


def _files(name: str) -> dict[str, str]:
    return {"image": f"{TILES}/{name}.png", "labels": f"{LABELS}/{name}.png"}


def write_manifest(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write records as one parquet table; what a record lacks is null."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    table = pa.table({name: [row.get(name) for row in rows] for name in names})
    temporary = path.with_name(f"{path.name}.part")
    parquet.write_table(table, temporary)
    temporary.replace(path)
