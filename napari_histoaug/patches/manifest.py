"""The data set: a parquet file with a row a patch, and what is known of every slide.

A file holds the patches of one slide, or of all; either way its metadata tell of the slides, also
of those without patches. Files are written under a temporary name, then renamed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from napari_histoaug.annotations import ClassTable
from napari_histoaug.patches.errors import PatchError
from napari_histoaug.patches.settings import PatchSettings
from napari_histoaug.patches.staging import whole

if TYPE_CHECKING:
    import pyarrow as pa

KEY = b"histoaug"
Status = Literal["done", "empty", "failed", "skipped"]
_LEADING = (
    ("slide_id", "string"), ("slide_sha256", "string"), ("patient_group", "string"),
    ("y", "int64"), ("x", "int64"), ("row", "int64"), ("column", "int64"),
    ("level", "int16"), ("read_height", "int32"), ("read_width", "int32"),
    ("out_size", "int32"), ("stride", "int32"), ("mpp_y", "float64"), ("mpp_x", "float64"),
    ("tissue_frac", "float64"),
)  # fmt: skip
_TRAILING = (
    ("synthetic_frac", "float64"), ("n_failed_tiles", "int32"),
    ("annotation_sha256", "string"), ("config_sha256", "string"), ("code_version", "string"),
    ("source", "string"), ("part", "int32"), ("index", "int32"), ("split", "string"),
    ("status", "string"),
)  # fmt: skip


class ClassSummary(BaseModel):
    """One class on one slide; areas in µm², or level-0 pixels where the slide has no mpp.

    Attributes
    ----------
    area, lost_by_rule, lost : float
        See :class:`~napari_histoaug.patches.tissue.ClassArea`.
    in_patches : float
        The class's area summed over the patches (overlaps count twice).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    area: float = 0.0
    lost_by_rule: float = 0.0
    lost: float = 0.0
    in_patches: float = 0.0


class SlideEntry(BaseModel):
    """What a manifest says of one slide.

    Attributes
    ----------
    source : str
        Salted name of the slide's place in the list; files made from it are called so.
    status : str
        "done", "empty" (no patch fits), "failed" or "skipped"; `reason` is a sentence without
        the slide's name.
    note : str
        What should be known of a slide that was used: annotations outside it.
    slide_id, slide_sha256, annotation_sha256, edits_sha256, patient_group : str or None
    given_mpp : float or None
    given_frame : str or None
        See :class:`~napari_histoaug.patches.inputs.Inputs`.
    spacing : (float, float) or None
        Level-0 pixels a grid pixel.
    level : int or None
    patches, parts : int
    thumbnail_hash : str or None
        Perceptual hash, 16 hex digits.
    classes : dict of str to ClassSummary
    split : str
        Set when splits were made; "" before.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    status: Status
    reason: str = ""
    note: str = ""
    slide_id: str | None = None
    slide_sha256: str | None = None
    annotation_sha256: str | None = None
    edits_sha256: str | None = None
    given_mpp: float | None = None
    given_frame: str | None = None
    patient_group: str | None = None
    spacing: tuple[float, float] | None = None
    level: int | None = None
    patches: int = 0
    parts: int = 0
    thumbnail_hash: str | None = None
    classes: dict[str, ClassSummary] = {}
    split: str = ""


class ManifestInfo(BaseModel):
    """The metadata of a manifest."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    config_sha256: str
    settings: PatchSettings
    classes: ClassTable
    code_version: str
    slides: tuple[SlideEntry, ...] = ()

    @property
    def only(self) -> SlideEntry:
        """The slide of a file of one slide."""
        (entry,) = self.slides
        return entry


def schema(info: ManifestInfo) -> pa.Schema:
    """Return the columns of a manifest, with its metadata."""
    import pyarrow as pa

    fractions = [(fraction_column(name), "float64") for name in info.classes.names]
    fields = [(n, getattr(pa, t)()) for n, t in (*_LEADING, *fractions, *_TRAILING)]
    return pa.schema(fields, metadata={KEY: info.model_dump_json().encode()})


def fraction_column(class_name: str) -> str:
    """Return the column with a class's share of each patch."""
    return f"frac_{class_name}"


def write_table(path: Path, table: pa.Table, staging: Path | None = None) -> Path:
    """Write a manifest whole, or leave what was there; `staging` as for :func:`.staging.whole`.

    Raises
    ------
    PatchError
        When it cannot be written.
    """
    return write_tables(path, table.schema, [table], staging)


def write_tables(
    path: Path, columns: pa.Schema, tables: Iterable[pa.Table], staging: Path | None = None
) -> Path:
    """Write several tables into one file, one in memory at a time; see :func:`write_table`."""
    import pyarrow.parquet as pq

    with whole(path, staging) as part, part.open("xb") as stream:
        with pq.ParquetWriter(stream, columns, compression="zstd") as writer:
            for table in tables:
                if table.num_rows:
                    writer.write_table(table.replace_schema_metadata(columns.metadata))
        stream.flush()
        os.fsync(stream.fileno())
    return path


def read_table(path: str | Path, columns: list[str] | None = None) -> pa.Table:
    """Read a manifest.

    Raises
    ------
    PatchError
        When there is none or it is damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # ParquetFile, not read_table: that would take folder names for columns.
        return pq.ParquetFile(path).read(columns)
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(Path(path), error) from error


def read_info(path: str | Path) -> ManifestInfo:
    """Read the metadata of a manifest, without its rows.

    Raises
    ------
    PatchError
        When there is none or it is damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        metadata: dict[bytes, bytes] = pq.read_schema(path).metadata or {}
        return ManifestInfo.model_validate_json(metadata[KEY])
    except (OSError, pa.ArrowException, KeyError, ValidationError) as error:
        raise _unreadable(Path(path), error) from error


def slides_as_csv(entries: Iterable[SlideEntry], classes: ClassTable) -> str:
    """Return what is known of every slide as text for people: CSV, one line a slide."""
    import csv
    import io

    out = io.StringIO(newline="")
    names = ("source", "slide_id", "patient_group", "status", "reason", "note", "patches", "split")
    measures = ("area", "lost_by_rule", "lost")
    writer = csv.writer(out)
    writer.writerow([*names, *(f"{m}_{c}" for c in classes.names for m in measures)])
    for entry in entries:
        row: list[Any] = ["" if (v := getattr(entry, n)) is None else v for n in names]
        for name in classes.names:
            summary = entry.classes.get(name, ClassSummary())
            row += [round(getattr(summary, m), 1) for m in measures]
        writer.writerow(row)
    return out.getvalue()


def canonical(document: object) -> str:
    """Return JSON that is the same for the same content."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"))


def _unreadable(path: Path, error: Exception) -> PatchError:
    if isinstance(error, FileNotFoundError):
        return PatchError(f"There is no manifest {path}; extract the patches first.")
    return PatchError(
        f"{path} is not a readable manifest of patches; extract the patches again into a new "
        "folder."
    )
