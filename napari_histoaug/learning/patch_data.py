"""Training examples from a manifest of patches: read from the slides, or from what was written."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from napari_histoaug.learning.tissue import RIM
from napari_histoaug.patches.errors import PatchError
from napari_histoaug.patches.extraction import grid_of
from napari_histoaug.patches.forms import Form, Part, open_part, part_path
from napari_histoaug.patches.grid import TILE
from napari_histoaug.patches.inputs import opened
from napari_histoaug.patches.jobs import SlideJob, list_slides
from napari_histoaug.patches.manifest import SlideEntry, fraction_column, read_info, read_table
from napari_histoaug.patches.reading import PatchReader
from napari_histoaug.patches.recipe import Recipe
from napari_histoaug.patches.splits import check_splits

Example = tuple[torch.Tensor, torch.Tensor]
#: Slides, or parts of what was written, that are open at once in each process.
_OPEN = 8
_COLUMNS = ["patient_group", "slide_sha256", "split", "row", "column", "out_size"]


class PatchDataset(Dataset[Example]):
    """The patches of a manifest as (image, mask): uint8 (3, s, s) and int64 (s, s).

    It can be pickled and used by several workers: files are opened by the process that reads them.
    Batches are read by blocks, each slide's patches at once; :class:`TileSampler` gives an order
    in which that pays.

    Parameters
    ----------
    manifest : path-like
        ``manifest.parquet``.
    slides : path-like, optional
        The folder or CSV file the patches were extracted from, to read them on the fly.
    annotations : path-like, optional
        Folder of the annotations, if not beside the slides.
    form : {"zarr", "tar", "png"}, optional
        Read what was written beside the manifest instead of the slides.
    split : str, optional
        Only the patches of this set.
    synthetic : bool
        Also patches with generated pixels. The slides' accepted edits must be those of the
        manifest.
    rim : bool
        Add 128 to the mask where generated pixels were feathered into real tissue, around what was
        painted. Only what is read from slides knows.
    transform : callable, optional
        Called with image and mask, returns both.

    Attributes
    ----------
    labelled, generated : bool, (n,)
        Whether a patch has a pixel of any class, and a generated one.
    mpp : float or None
        Micrometres per pixel.

    Raises
    ------
    PatchError
        When neither slides nor a form are given, slides of the manifest are missing, the set is
        unknown, or the sets share a patient or pixels.
    """

    def __init__(
        self,
        manifest: str | os.PathLike[str],
        slides: str | os.PathLike[str] | None = None,
        annotations: str | os.PathLike[str] | None = None,
        form: Form | None = None,
        split: str | None = None,
        synthetic: bool = False,
        rim: bool = False,
        transform: Callable[[torch.Tensor, torch.Tensor], Example] | None = None,
    ) -> None:
        self._path, self._form, self._transform = Path(manifest), form, transform
        self._rim, self._synthetic = rim, synthetic
        info = read_info(self._path)
        self.classes, self.settings = info.classes, info.settings
        self._recipe = Recipe(
            out=self._path.parent, settings=info.settings, classes=info.classes, skip_bad=True
        )
        self._entries = {entry.source: entry for entry in info.slides if entry.patches}
        if split is not None:
            check_splits(read_table(self._path, _COLUMNS))
        self._read_rows(split, synthetic)
        self._jobs: dict[str, SlideJob] = {}
        if form is None:
            if slides is None:
                raise PatchError(
                    "A data set of patches needs the slides they are on, or the form they were "
                    "written in."
                )
            folder = None if annotations is None else Path(annotations)
            self._jobs = self._found(list_slides(Path(slides), folder))
        self._forget()

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, number: int) -> Example:
        return self.__getitems__([number])[0]

    def __getitems__(self, numbers: Sequence[int]) -> list[Example]:
        """Return several patches; a data loader asks for a batch this way."""
        if self._process != os.getpid():  # what was open before a fork is the parent's
            self._forget()
        at = np.arange(len(self))[np.asarray(numbers, np.int64)]
        found: dict[int, Example] = {}
        for source in np.unique(self.sources[at]):
            own = at[self.sources[at] == source]
            read = self._from_slide if self._form is None else self._from_part
            found.update(read(str(source), own))
        return [found[int(number)] for number in at]

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_open"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget()

    def _read_rows(self, split: str | None, synthetic: bool) -> None:
        """Keep what is needed of each patch in arrays of numbers."""
        names = ["source", "row", "column", "part", "index", "synthetic_frac", "split", "mpp_y"]
        classes = [fraction_column(name) for name in self.classes.names]
        table = read_table(self._path, names + classes)
        keep = np.ones(table.num_rows, bool)
        if split is not None:
            keep &= table["split"].to_numpy() == split
            if not keep.any():
                raise PatchError(f"{self._path} has no patch in the set {split!r}.")
        if not synthetic:
            keep &= table["synthetic_frac"].to_numpy() == 0
        if self._form is not None:  # with generated pixels, and therefore not written
            keep &= table["part"].to_numpy() >= 0
        self.sources = table["source"].to_numpy()[keep].astype(str)
        self.rows, self.columns, self._part, self._index = (
            table[name].to_numpy()[keep] for name in ("row", "column", "part", "index")
        )
        self.generated = table["synthetic_frac"].to_numpy()[keep] > 0
        shares = [table[name].to_numpy()[keep] > 0 for name in classes]
        self.labelled = np.any(shares, axis=0) if shares else np.zeros(len(self.rows), bool)
        spacing = self.settings.mpp or (table["mpp_y"][0].as_py() if table.num_rows else None)
        self.mpp: float | None = spacing

    def _found(self, jobs: list[SlideJob]) -> dict[str, SlideJob]:
        """Match the slides of the manifest: by their place, else by their bytes."""
        by_place = {job.source: job for job in jobs}
        found = {source: by_place[source] for source in self._entries if source in by_place}
        missing = {e.slide_sha256: s for s, e in self._entries.items() if s not in found}
        for job in jobs if missing else ():
            from napari_histoaug.slides.identity import content_sha256

            source = missing.pop(content_sha256(job.path), None)
            if source is not None:
                found[source] = job
        if missing:
            raise PatchError(
                f"{len(missing)} slides of {self._path} are not among the slides given; give the "
                "folder or list the patches were extracted from."
            )
        return found

    def _from_slide(self, source: str, at: np.ndarray) -> Iterator[tuple[int, Example]]:
        reader: PatchReader = self._kept(source, lambda: self._reader(source))[1]
        for patch in reader.patches(self.rows[at], self.columns[at]):
            number = int(at[patch.number])
            mask = patch.mask
            if self._rim and self.generated[number]:
                size = self.settings.size
                box = (int(self.rows[number]), int(self.columns[number]), size, size)
                mask = mask | (RIM * reader.labels.rim(reader.grid, box)).astype(np.uint8)
            yield number, self._example(patch.image, mask)

    def _from_part(self, source: str, at: np.ndarray) -> Iterator[tuple[int, Example]]:
        assert self._form is not None
        for number in at:
            path = part_path(self._path.parent, self._form, source, int(self._part[number]))
            part: Part = self._kept(str(path), partial(_opened_part, path))[1]
            yield int(number), self._example(*part[int(self._index[number])])

    def _example(self, image: np.ndarray, mask: np.ndarray) -> Example:
        tensors = (
            torch.from_numpy(np.moveaxis(image, 2, 0).copy()),
            torch.from_numpy(mask.astype(np.int64)),
        )
        return tensors if self._transform is None else self._transform(*tensors)

    def _reader(self, source: str) -> tuple[ExitStack, PatchReader]:
        entry: SlideEntry = self._entries[source]
        with ExitStack() as stack:
            at = stack.enter_context(opened(self._jobs[source], self._recipe))
            if at.inputs.slide_sha256 != entry.slide_sha256:
                raise PatchError(
                    f"{at.slide.path.name} is not the slide the patches were planned on; extract "
                    "them again."
                )
            # Other edits would bring generated pixels into patches that are said to have none; no
            # edits at all change only patches that have some.
            now = at.inputs.edits_sha256
            if now != entry.edits_sha256 and (now is not None or self._synthetic):
                raise PatchError(
                    f"The accepted edits of {at.slide.path.name} have changed since its patches "
                    "were planned; extract them again."
                )
            reader = PatchReader(at.slide, grid_of(entry), at.labels, self.settings.size, at.store)
            return stack.pop_all(), reader

    def _kept(self, key: str, make: Callable[[], tuple[ExitStack | None, Any]]) -> Any:
        """Return what is open under a name, opened now and the longest unused closed if need be."""
        if key not in self._open:
            self._open[key] = make()
        self._open.move_to_end(key)
        while len(self._open) > _OPEN:
            _, (stack, _) = self._open.popitem(last=False)
            if stack is not None:
                stack.close()
        return self._open[key]

    def _forget(self) -> None:
        self._open: OrderedDict[str, tuple[ExitStack | None, Any]] = OrderedDict()
        self._process = os.getpid()


def _opened_part(path: Path) -> tuple[None, Part]:
    return None, open_part(path)


class TileSampler(Sampler[int]):
    """Every patch once, shuffled so that those of a batch lie together: reading costs less.

    Tiles of the slides are shuffled; patches are shuffled within so many tiles at a time. The same
    seed and epoch give the same order.

    Parameters
    ----------
    data : PatchDataset
    seed : int
    mixed : int
        Tiles whose patches are mixed. More is nearer to a full shuffle, and slower.
    """

    def __init__(self, data: PatchDataset, seed: int = 0, mixed: int = 16) -> None:
        self._seed, self._mixed, self.epoch = seed, mixed, 0
        _, of_slide = np.unique(data.sources, return_inverse=True)
        keys = np.stack([of_slide, data.rows // TILE, data.columns // TILE])
        order = np.lexsort(keys[::-1])
        new = np.flatnonzero(np.diff(keys[:, order]).any(axis=0)) + 1
        self._tiles = np.split(order, new) if len(order) else []

    def __len__(self) -> int:
        return sum(map(len, self._tiles))

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of an epoch."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        rng = np.random.default_rng((self._seed, self.epoch))
        order = rng.permutation(len(self._tiles))
        for start in range(0, len(order), self._mixed):
            numbers = np.concatenate([self._tiles[i] for i in order[start : start + self._mixed]])
            yield from rng.permutation(numbers).tolist()
