"""Whole tissue from a label map, without a window."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_histoaug.cli.files import save_png, unwritable
from napari_histoaug.errors import HistoaugError

if TYPE_CHECKING:
    from napari_histoaug.cli.label_maps import LabelMap
    from napari_histoaug.generation import Generator, SynthesisResult

ZARR, TIFF = "image.ome.zarr", "image.ome.tif"


def provenance(generator: Generator, result: SynthesisResult) -> dict[str, Any]:
    """What explains the pixels, and makes them again."""
    from napari_histoaug.edits.versions import versions

    return {
        "model": generator.name,
        "model_sha256": generator.sha256,
        "method": result.method,
        "steps": result.steps,
        "seed": result.seed,
        "evaluations": result.evaluations,
        "versions": versions(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def write_synthesis(
    out: Path,
    generator: Generator,
    given: LabelMap,
    mpp: tuple[float, float],
    result: SynthesisResult,
) -> None:
    """Write pictures, OME files and the summary, all of them or none."""
    from napari_histoaug.generation.files import write_ome_tiff, write_ome_zarr

    facts = provenance(generator, result)
    summary = {
        "synthetic": True,
        "classes": list(generator.classes),
        "mpp": mpp,
        "box": given.box,
        **facts,
        "notes": result.notes,
        "seconds": round(result.seconds, 3),
        "complete": True,
    }
    with _all_or_nothing(out) as folder:
        write_ome_zarr(folder / ZARR, result.image, given.values, generator.classes, mpp, facts)
        write_ome_tiff(folder / TIFF, result.image, mpp, facts)
        save_png(folder / "image.png", result.image)
        save_png(folder / "labels.png", given.values)
        (folder / "summary.json").write_text(json.dumps(summary, indent=2), encoding="utf-8")


@contextmanager
def _all_or_nothing(out: Path) -> Iterator[Path]:
    """A hidden folder whose content is moved into `out` when all of it was written."""
    folder = out / f".{uuid.uuid4().hex}.part"
    try:
        folder.mkdir()
        yield folder
        # The summary last: where it is, everything is.
        for made in sorted(folder.iterdir(), key=lambda path: path.name == "summary.json"):
            _make_room(out / made.name)
            made.replace(out / made.name)
    except OSError as error:
        raise unwritable(out, error) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _make_room(target: Path) -> None:
    """Remove an earlier result of ours; any other folder is somebody's data."""
    if not target.is_dir():
        return
    marked = target / "zarr.json"
    if not marked.is_file() or '"synthetic"' not in marked.read_text(encoding="utf-8"):
        raise HistoaugError(f"{target} is not one of ours to replace; choose another folder.")
    shutil.rmtree(target)
