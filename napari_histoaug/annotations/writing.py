"""Writing GeoJSON: what was not touched stays as it was read."""

from __future__ import annotations

import gzip
import io
import json
import os
import uuid
import warnings
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from napari_histoaug.annotations.document import Document
from napari_histoaug.annotations.errors import AnnotationError, QuPathWarning
from napari_histoaug.annotations.qupath import refusals


def write_geojson(document: Document, path: str | Path) -> None:
    """Write a document; untouched features and top-level members are JSON-equal to what was read.

    The file appears whole or not at all. A name ending in ``.gz`` or ``.zip`` is compressed. Broken
    features that were read are written back as they were.

    Parameters
    ----------
    document : Document
    path : path

    Warns
    -----
    QuPathWarning
        Once, naming the features that QuPath would refuse; :func:`export_for_qupath` repairs them.

    Raises
    ------
    AnnotationError
        When the file cannot be written.
    """
    save_json(document.to_json(), Path(path))
    found = [
        f"feature {index} {text}"
        for index, feature in enumerate(document.features)
        for text in refusals(feature)
    ]
    found += [
        f"feature {p.place.removeprefix('Feature ')} {p.reason}"
        for p in document.problems
        if not p.kept
    ]
    if found:
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""
        warnings.warn(
            f"QuPath would refuse {Path(path).name}: {'; '.join(found[:3])}{more}.",
            QuPathWarning,
            stacklevel=2,
        )


def save_json(value: Any, path: Path) -> None:
    """Write JSON under a temporary name, then rename it to ``path``."""
    # ASCII with escapes: right in every character set that some reader may assume.
    content = json.dumps(value).encode("ascii")
    if path.suffix == ".gz":
        content = gzip.compress(content, mtime=0)
    elif path.suffix == ".zip":
        content = _zipped(content, path.with_suffix(".geojson").name)
    temporary = path.parent / f".{uuid.uuid4().hex}.part"
    try:
        with temporary.open("xb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as error:
        raise AnnotationError(
            f"The annotations cannot be written to {path} ({error.strerror or error}); "
            "choose a place that you may write to."
        ) from error
    finally:
        # Gone when all went well; not removable when its folder is none.
        with suppress(OSError):
            temporary.unlink()


def _zipped(content: bytes, name: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        # without a time, so that the same document gives the same bytes
        archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return packed.getvalue()
