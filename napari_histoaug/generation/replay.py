"""Making the pixels of an accepted edit again from its record, and comparing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_histoaug.edits import EditRecord, EditStore
from napari_histoaug.generation.composite import composite, feather
from napari_histoaug.generation.donors import BUNDLED, Donor, read_donor
from napari_histoaug.generation.generator import GenerationError, Generator
from napari_histoaug.generation.inpainting import inpaint
from napari_histoaug.generation.sampling import Cancelled, Progress
from napari_histoaug.generation.synthesis import synthesize

EDGE = 8  # px over which a synthesised region passes into the slide


@dataclass(frozen=True, eq=False)
class Replay:
    """What came out.

    Attributes
    ----------
    image : uint8, (H, W, 3)
        The box made again.
    differing : int
        Generated pixels whose bytes are not those of the record.
    largest : int
        Largest difference of a byte.
    """

    image: np.ndarray
    differing: int
    largest: int

    @property
    def sentence(self) -> str:
        """The finding for a reader."""
        if not self.differing:
            return "Replayed: every pixel is the same."
        levels = "1 grey level" if self.largest == 1 else f"{self.largest} grey levels"
        pixels = "1 pixel differs" if self.differing == 1 else f"{self.differing:,} pixels differ"
        return f"Replayed: {pixels}, by at most {levels}."


def replay(
    generator: Generator,
    edits: EditStore,
    record: EditRecord,
    donors: Path | None = None,
    *,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
) -> Replay:
    """Run a record again over what it was made on.

    Pixels of the same device come out the same. A hole that went through the network in a batch
    may differ by rounding from one that goes alone, as here.

    Parameters
    ----------
    generator : Generator
        The one the record names.
    edits : EditStore
        Where the record is kept.
    record : EditRecord
    donors : Path, optional
        Folder with the real vessel the record started from, if it did.
    progress, cancelled
        As for :func:`~napari_histoaug.generation.inpaint`.

    Raises
    ------
    GenerationError
        When the model is another one, or the donor is not there.
    """
    if generator.sha256 != record.model_sha256:
        raise GenerationError(
            f"This edit was made by the model {record.model} with other weights than "
            f"{generator.name} has; choose that model and replay again."
        )
    before = edits.read_before(record)
    watch = {"progress": progress, "cancelled": cancelled}
    if record.purpose == "synthesise":
        labels = edits.painted_map(record)
        image = synthesize_into(generator, before, labels, record, **watch)  # type: ignore[arg-type]
    else:
        image = inpaint(
            generator,
            before,
            edits.painted(record),
            record.label,
            record.mpp,
            record.method,
            record.steps,
            record.seed or 0,
            donor=_donor(record, donors),
            strength=record.strength or 0.5,
            **watch,  # type: ignore[arg-type]
        ).image
    kept, changed = edits.read_edit(record)
    difference = np.abs(image.astype(np.int16) - kept)[changed].max(axis=-1)
    return Replay(image, int(np.count_nonzero(difference)), int(difference.max()))


def synthesize_into(
    generator: Generator,
    before: np.ndarray,
    labels: np.ndarray,
    record: EditRecord,
    *,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
) -> np.ndarray:
    """Make a region from a painted map as its record says, and join it to what was there."""
    made = synthesize(
        generator,
        values_for(generator, labels, record.classes),
        record.mpp,
        record.steps,
        record.seed or 0,
        method=record.method,
        progress=progress,
        cancelled=cancelled,
    )
    return join_region(before, made.image)[0]


def values_for(generator: Generator, labels: np.ndarray, classes: tuple[str, ...]) -> np.ndarray:
    """The values of the generator for a map painted in those of `classes`; unknown ones are 0."""
    known = [generator.classes.index(c) + 1 if c in generator.classes else 0 for c in classes]
    return np.array([0, *known], np.uint8)[labels]


def join_region(before: np.ndarray, made: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Put made tissue over a whole box, passing into what was there along its edge.

    Parameters
    ----------
    before, made : uint8, (H, W, 3)

    Returns
    -------
    image : uint8, (H, W, 3)
    changed : bool, (H, W)
    """
    inner = np.zeros(before.shape[:2], bool)
    inner[EDGE:-EDGE, EDGE:-EDGE] = True
    return composite(before, made, feather(inner, EDGE))


def _donor(record: EditRecord, folder: Path | None) -> Donor | None:
    if record.donor is None:
        return None
    name = f"{record.donor}.png"
    path = next((at / name for at in (folder, BUNDLED) if at and (at / name).exists()), None)
    if path is None:
        raise GenerationError(
            f"This edit started from the real vessel {record.donor}; choose the folder of donors "
            "that holds it and replay again."
        )
    return read_donor(path)
