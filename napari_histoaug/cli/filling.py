"""Filling the outlines of one slide without a window."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_histoaug.cli.files import save, save_png
from napari_histoaug.errors import HistoaugError

if TYPE_CHECKING:
    import shapely

    from napari_histoaug.cli.progress import StepLine
    from napari_histoaug.edits import EditRecord, EditStore
    from napari_histoaug.generation import Donor, Generator, InpaintResult
    from napari_histoaug.slides import Slide

MARGIN, SMALLEST, LARGEST = 64, 256, 4096  # pixels of the network around, at least and at most

Box = tuple[int, int, int, int]


class Fill(NamedTuple):
    """One filled hole: where, its mask, its pixels before, and what the generator made of it."""

    box: Box
    hole: NDArray[np.bool_]
    before: NDArray[np.uint8]
    result: InpaintResult


class Filling:
    """Fills the areas of one slide in turn; a later one sees the earlier ones."""

    def __init__(
        self,
        slide: Slide,
        store: EditStore,
        generator: Generator,
        label: str,
        method: str,
        steps: int | None,
        donors: Sequence[Donor] = (),
        strength: float = 0.25,
    ) -> None:
        self.slide, self.store, self.generator = slide, store, generator
        self.label, self.method, self.steps = label, method, steps
        self.donors, self.strength = donors, strength
        self.fills: list[Fill] = []

    def fill(self, area: shapely.Polygon, seed: int, progress: StepLine) -> Sequence[str]:
        """Fill one area ((x, y) in level-0 pixels); returns what a user should be told."""
        from napari_histoaug.annotations import rasterize_geometry
        from napari_histoaug.generation import inpaint

        box = self.context(area)
        hole = rasterize_geometry(area, box)
        if not hole.any():
            return ()
        before = self.read(box)
        result = inpaint(
            self.generator,
            before,
            hole,
            label=self.label,
            mpp=self.slide.mpp,
            method=self.method,
            steps=self.steps,
            seed=seed,
            progress=progress,
            **self._start(seed, hole, before),
        )
        progress.end()
        self.fills.append(Fill(box, hole, before, result))
        return result.notes

    def _start(self, seed: int, hole: np.ndarray, image: np.ndarray) -> dict[str, Any]:
        if not self.donors:
            return {}
        from napari_histoaug.generation.donor_fit import choose

        donor = choose(self.donors, seed, hole, self.slide.mpp, image)
        return {"donor": donor, "strength": self.strength}

    def context(self, area: shapely.Polygon) -> Box:
        """Return the level-0 box to read around an area."""
        from napari_histoaug.patches import context_box

        x0, y0, x1, y1 = (int(value) for value in area.bounds)
        own = self.slide.mpp or self.generator.mpp
        scale = (net / pixel for net, pixel in zip(self.generator.mpp, own, strict=True))
        around = max(1.0, *scale)
        if max(y1 - y0, x1 - x0) > LARGEST * around:
            raise HistoaugError(
                f"An outline spans {y1 - y0} x {x1 - x0} pixels, more than the "
                f"{LARGEST * around:.0f} that can be filled at once; draw smaller ones."
            )
        hole_box = (y0, x0, y1 - y0 + 1, x1 - x0 + 1)
        shape = self.slide.levels[0].shape
        return context_box(hole_box, shape, round(MARGIN * around), round(SMALLEST * around))

    def read(self, box: Box) -> NDArray[np.uint8]:
        """Return the pixels of a box with accepted edits and what was filled so far."""
        y, x, height, width = box
        block = self.store.read_block(self.slide, *box)
        for (fy, fx, fh, fw), _, _, result in self.fills:
            top, left = max(y, fy), max(x, fx)
            bottom, right = min(y + height, fy + fh), min(x + width, fx + fw)
            if top >= bottom or left >= right:
                continue
            ours = slice(top - y, bottom - y), slice(left - x, right - x)
            theirs = slice(top - fy, bottom - fy), slice(left - fx, right - fx)
            changed = result.changed[theirs]
            block[ours][changed] = result.image[theirs][changed]
        return block

    def record(self, fill: Fill) -> EditRecord:
        """Return the provenance of one filled hole."""
        from napari_histoaug.edits import EditRecord

        generator = self.generator
        return EditRecord.of(self.slide, fill.box, fill.result, generator.name, generator.sha256)

    def accept(self) -> None:
        """Keep all fills in the edit store, or none when one cannot be written."""
        self.store.accept_all(
            [(f.result.image, f.result.changed, self.record(f), f.hole) for f in self.fills]
        )


def cut_donors(slide: Slide, areas: Sequence[shapely.Polygon], folder: Path) -> int:
    """Keep every area ((x, y) in level-0 pixels) of a slide as a donor; returns how many."""
    from napari_histoaug.annotations import rasterize_geometry
    from napari_histoaug.generation import donors

    kept = 0
    for area in areas:
        x0, y0, x1, y1 = (int(value) for value in area.bounds)
        around = donors.MARGIN + 1
        box = (y0 - around, x0 - around, y1 - y0 + 2 * around, x1 - x0 + 2 * around)
        height, width = slide.levels[0].shape
        if min(y0, x0) <= 0 or y1 >= height or x1 >= width:
            continue
        found = donors.cut_donors(
            slide.read_block(0, *box), rasterize_geometry(area, box), slide.mpp
        )
        for donor in found:
            donors.save_donor(donor, folder)
        kept += len(found)
    return kept


def write_fills(out: Path, work: Filling, accepted: bool) -> None:
    """Write the pictures (in folders of their own when there are several) and the summary."""
    regions = []
    for number, fill in enumerate(work.fills, start=1):
        name = f"hole-{number:03d}" if len(work.fills) > 1 else "."
        folder, result = out / name, fill.result
        folder.mkdir(exist_ok=True)
        save_png(folder / "before.png", fill.before)
        save_png(folder / "after.png", result.image)
        save_png(folder / "hole.png", result.changed.astype("uint8") * 255)
        facts = work.record(fill).model_dump(exclude={"id"})
        seconds = round(result.seconds, 3)
        pixels = int(result.changed.sum())
        regions.append({"folder": name, **facts, "seconds": seconds, "changed_pixels": pixels})
    summary = {
        "slide_id": work.slide.slide_id(),
        "device": str(work.generator.device),
        "accepted": accepted,
        "regions": regions,
        "complete": True,
    }
    save(out / "summary.json", json.dumps(summary, indent=2).encode())
