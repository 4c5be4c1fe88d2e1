"""Exported pairs: an image, its mask and a row in ``manifest.csv``.

A reader of the folder never sees half a pair: image and mask are written under temporary names
and renamed, then the whole manifest is rewritten under a temporary name and renamed.
"""

from __future__ import annotations

import csv
import io
import os
import re
import uuid
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from napari_histoaug.errors import HistoaugError

if TYPE_CHECKING:
    from napari_histoaug.edits import EditRecord

MANIFEST = "manifest.csv"
_OF_EDIT = (
    *("slide_sha256", "box", "mpp", "label", "method", "seed", "steps"),
    *("evaluations", "model", "model_sha256"),
)


class PairError(HistoaugError):
    """A pair that cannot be written."""


class PairRow(BaseModel):
    """One row of the manifest.

    Attributes
    ----------
    slide_id : str
        The salted id of the slide; never its file name.
    slide_sha256 : str
        Hash of the slide's bytes.
    box : tuple of int
        (y, x, height, width) in level-0 pixels; four columns in the file.
    mpp : tuple of float or None
        (y, x) micrometres per pixel; two columns, empty when the slide does not say.
    label : str
        The class; the column is called ``class`` and either name is accepted.
    method, seed, steps, evaluations, model, model_sha256
        How the pixels were made; ``evaluations`` counts passes of the network.
    synthetic_fraction : float
        Share of generated pixels in the image, 0 to 1.
    image, mask : str
        File names beside the manifest, set by :func:`export_pair`.
    created : str
        Time in ISO 8601, UTC.
    """

    model_config = ConfigDict(frozen=True, populate_by_name=True, protected_namespaces=())

    slide_id: str = Field(pattern=r"^[A-Za-z0-9_-]+$")
    slide_sha256: str
    box: tuple[int, int, int, int]
    mpp: tuple[float, float] | None = None
    label: str = Field(alias="class")
    method: str | None = None
    seed: int | None = None
    steps: int | None = None
    evaluations: int | None = None
    model: str | None = None
    model_sha256: str | None = None
    synthetic_fraction: float = Field(ge=0, le=1)
    image: str = ""
    mask: str = ""
    created: str = Field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    @classmethod
    def from_edit(cls, edit: EditRecord, slide_id: str, synthetic_fraction: float) -> PairRow:
        """Make the row of an accepted edit's box."""
        shared = {name: getattr(edit, name) for name in _OF_EDIT}
        return cls(slide_id=slide_id, synthetic_fraction=synthetic_fraction, **shared)

    def cells(self) -> dict[str, str]:
        """Return the row as columns of text, in the order of the file."""
        values: dict[str, Any] = self.model_dump(by_alias=True)
        box, mpp = values.pop("box"), values.pop("mpp") or (None, None)
        head = {key: values.pop(key) for key in ("slide_id", "slide_sha256")}
        geometry = dict(
            zip(("y", "x", "height", "width", "mpp_y", "mpp_x"), (*box, *mpp), strict=True)
        )
        row = {**head, **geometry, **values}
        return {key: "" if value is None else str(value) for key, value in row.items()}


def export_pair(
    folder: str | Path,
    image: NDArray[np.uint8],
    mask: NDArray[np.uint8],
    row: PairRow,
) -> Path:
    """Write an image and its mask as PNG and add their row to ``manifest.csv``.

    Parameters
    ----------
    folder : path
        Made when it does not exist.
    image : uint8 (height, width, 3)
    mask : uint8 or bool (height, width)
        0 background, else the class value; True becomes 1.
    row : PairRow
        Its ``image`` and ``mask`` are filled in here.

    Returns
    -------
    Path
        The image; the mask has the same name ending in ``_mask.png``.

    Raises
    ------
    PairError
        When the arrays do not fit together or the folder cannot be written.
    """
    from PIL import Image

    folder = Path(folder)
    mask = np.asarray(mask)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise PairError("A pair needs an RGB image of 8 bits a channel; this array is not one.")
    if mask.dtype not in (np.uint8, np.bool_) or mask.shape != image.shape[:2]:
        raise PairError(
            "A pair needs a mask of 8 bits as high and wide as its image; this array is not one."
        )
    written: list[Path] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        name, mask_name = _free_names(folder, row)
        for target, array in ((name, image), (mask_name, mask.astype(np.uint8))):
            _replace(folder / target, partial(Image.fromarray(array).save, format="PNG"))
            written.append(folder / target)
        row = row.model_copy(update={"image": name, "mask": mask_name})
        _append(folder / MANIFEST, row.cells())
    except OSError as error:
        for path in written:
            path.unlink(missing_ok=True)
        raise PairError(
            f"The pair cannot be written to {folder} ({error.strerror or error}); "
            "choose a folder that you may write to."
        ) from error
    return folder / name


def read_manifest(folder: str | Path) -> list[dict[str, str]]:
    """Return the rows of a folder's ``manifest.csv`` as text; empty when there is none.

    Raises
    ------
    PairError
        When the file is there but is not a readable manifest.
    """
    path = Path(folder) / MANIFEST
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            return list(csv.DictReader(stream, restval=""))
    except FileNotFoundError:
        return []
    except (csv.Error, UnicodeDecodeError) as error:
        raise PairError(
            f"The manifest {path} cannot be read; move it away or export to another folder."
        ) from error


def _free_names(folder: Path, row: PairRow) -> tuple[str, str]:
    """Return file names of slide id, box and the first counter nobody uses."""
    stem = "{}_y{}_x{}_h{}_w{}".format(row.slide_id, *row.box)
    pattern = re.compile(re.escape(stem) + r"_(\d+)(_mask)?\.png")
    used = {int(m[1]) for p in folder.iterdir() if (m := pattern.fullmatch(p.name))}
    counter = max(used, default=0) + 1
    return f"{stem}_{counter:04d}.png", f"{stem}_{counter:04d}_mask.png"


def _append(path: Path, cells: dict[str, str]) -> None:
    rows = [*read_manifest(path.parent), cells]
    # Columns that somebody added by hand stay.
    columns = list(dict.fromkeys([*cells, *(key for row in rows for key in row if key)]))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, restval="", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    _replace(path, lambda stream: stream.write(text.getvalue().encode("utf-8")))


def _replace(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write a file under a temporary name beside its place, then rename it there."""
    temporary = path.parent / f".{uuid.uuid4().hex}.part"
    try:
        with temporary.open("xb") as stream:
            write(stream)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    finally:
        # Gone when all went well; not removable when its folder is none.
        with suppress(OSError):
            temporary.unlink()
