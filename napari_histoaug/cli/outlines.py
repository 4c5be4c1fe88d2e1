"""Annotation files on the command line: strict unless told otherwise."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from napari_histoaug.errors import HistoaugError

if TYPE_CHECKING:
    from napari_histoaug.annotations import AnnotationIndex, Document
    from napari_histoaug.slides import Slide


def placed_document(
    path: Path, slide: Slide, frame: str | None, encoding: str | None, skip_bad: bool
) -> Document:
    """Read annotations and place them on their slide.

    Raises
    ------
    HistoaugError
        When the file is unusable, holds broken features (unless they shall be skipped), or seems
        to belong to another slide.
    """
    from napari_histoaug.annotations import place_on, read_geojson
    from napari_histoaug.annotations.problems import listed

    with warnings.catch_warnings():
        # said here, in this command's own words
        warnings.simplefilter("ignore")
        document = read_geojson(path, encoding=encoding)
    broken = [problem for problem in document.problems if not problem.kept]
    if broken:
        said = f"{path.name} has broken features: {listed(broken)}"
        if not skip_bad:
            raise HistoaugError(f"{said}; correct them, or leave them out with --skip-bad.")
        typer.echo(f"{said}; they are left out.", err=True)
    placement = place_on(document, slide, frame, source=path.name)
    if placement.sentence:
        typer.echo(placement.sentence, err=True)
    return document


def findings(index: AnnotationIndex) -> Iterator[str]:
    """Yield lines about an annotation file."""
    yield f"{index.count} features, {len(index)} with an area"
    for name, count in sorted(index.class_counts().items(), key=lambda item: -item[1]):
        yield f"{count:>8}  {name or 'unclassified'}"
    for problem in index.problems:
        yield f"{problem.sentence}."
