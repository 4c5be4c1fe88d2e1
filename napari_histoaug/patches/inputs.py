"""What a slide's patches are made from: opened together, and told from what it was before."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from napari_histoaug.annotations import AnnotationIndex, ClassTable, place_on
from napari_histoaug.edits import EditStore
from napari_histoaug.patches.errors import PatchError
from napari_histoaug.patches.jobs import SlideJob
from napari_histoaug.patches.labels import Labels
from napari_histoaug.patches.manifest import SlideEntry
from napari_histoaug.patches.recipe import Recipe
from napari_histoaug.slides import Slide, open_slide


class Inputs(NamedTuple):
    """What a slide's patches are made from, told apart by content.

    Attributes
    ----------
    slide_sha256 : str
    annotation_sha256 : str or None
        None without annotations.
    edits_sha256 : str or None
        Of the ids of the accepted edits in force, whose pixels never change; None without any.
    given_mpp : float or None
    given_frame : str or None
        As the list of slides has them.
    """

    slide_sha256: str
    annotation_sha256: str | None
    edits_sha256: str | None
    given_mpp: float | None
    given_frame: str | None

    def made(self, entry: SlideEntry) -> bool:
        """Tell whether an entry was made from just these."""
        return all(getattr(entry, name) == value for name, value in self._asdict().items())


class Opened(NamedTuple):
    """A slide ready to be worked on; `note` is what the user should know of its annotations."""

    slide: Slide
    labels: Labels
    store: EditStore | None
    note: str
    inputs: Inputs


@contextmanager
def opened(job: SlideJob, recipe: Recipe) -> Iterator[Opened]:
    """Open a slide with its annotations and its edits.

    Raises
    ------
    HistoaugError
        When one of them cannot be used.
    """
    # Hashed first: what is written into the file meanwhile makes another hash the next time.
    annotation_sha256 = file_sha256(job.annotations)
    with open_slide(job.path, mpp=job.mpp) as slide:
        index, note = _annotations(job, recipe, slide)
        store = _edits(slide, recipe)
        labels = Labels(index, recipe.classes, store)
        yield Opened(slide, labels, store, note, _inputs(job, slide, annotation_sha256, store))


def inputs_now(job: SlideJob, recipe: Recipe) -> Inputs:
    """Return what a slide's patches would be made from now; reads neither pixels nor polygons.

    Raises
    ------
    HistoaugError
        When one of them cannot be read.
    """
    annotation_sha256 = file_sha256(job.annotations)
    with open_slide(job.path, mpp=job.mpp) as slide:
        return _inputs(job, slide, annotation_sha256, _edits(slide, recipe))


def _inputs(
    job: SlideJob, slide: Slide, annotation_sha256: str | None, store: EditStore | None
) -> Inputs:
    edits = None
    if store is not None and store.edits:
        edits = hashlib.sha256(" ".join(edit.id for edit in store.edits).encode()).hexdigest()
    return Inputs(slide.sha256(), annotation_sha256, edits, job.mpp, job.frame)


def _edits(slide: Slide, recipe: Recipe) -> EditStore | None:
    return EditStore.open(slide) if recipe.settings.edits else None


def _annotations(job: SlideJob, recipe: Recipe, slide: Slide) -> tuple[AnnotationIndex | None, str]:
    if job.annotations is None:
        return None, ""
    return placed_annotations(job, slide, recipe.classes, skip_bad=recipe.skip_bad)


def placed_annotations(
    job: SlideJob, slide: Slide, classes: ClassTable | None = None, *, skip_bad: bool = False
) -> tuple[AnnotationIndex, str]:
    """Read a slide's annotations, make sure that they are its own, and say what lies outside.

    Parameters
    ----------
    job : SlideJob
        With annotations.
    slide : Slide
    classes : ClassTable, optional
        Refuse classes that are not in it.
    skip_bad : bool
        Leave broken features out; else they are refused.

    Raises
    ------
    HistoaugError
        When the annotations cannot be used.
    """
    assert job.annotations is not None
    name = job.annotations.name
    index = AnnotationIndex.from_file(job.annotations)
    lost = [problem for problem in index.problems if not problem.kept]
    if lost and not skip_bad:
        raise PatchError(
            f"{lost[0].place} of {name} {lost[0].reason} (broken features: {len(lost)}); correct "
            "or delete them, or set skip_bad to leave them out."
        )
    if classes is not None:
        classes.check(index.class_counts(), name)
    return index, place_on(index, slide, job.frame, source=name).sentence


def file_sha256(path: Path | None) -> str | None:
    """Return the hash of a file of annotations (hex); None without one.

    Raises
    ------
    PatchError
        When it cannot be read.
    """
    if path is None:
        return None
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise PatchError(
            f"The annotations {path.name} cannot be read ({error.strerror or error}); check the "
            "path."
        ) from error
