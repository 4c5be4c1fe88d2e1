"""Files in and out: whole or not at all, every failure a sentence."""

from __future__ import annotations

import io
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_histoaug.errors import HistoaugError


@contextmanager
def output_folder(path: Path) -> Iterator[None]:
    """Make an output folder and try it before the long work; leave none behind when that fails."""
    fresh = not path.exists()
    try:
        path.mkdir(parents=True, exist_ok=True)
        save(path / f".{uuid.uuid4().hex}.probe", b"").unlink()
    except OSError as error:
        raise unwritable(path, error) from error
    try:
        yield
    finally:
        if fresh:
            with suppress(OSError):  # not empty: it holds results
                path.rmdir()


def save(path: Path, content: bytes) -> Path:
    """Write a file under a temporary name, then rename it."""
    temporary = path.parent / f".{uuid.uuid4().hex}.part"
    try:
        temporary.write_bytes(content)
        return temporary.replace(path)
    except OSError as error:
        raise unwritable(path.parent, error) from error
    finally:
        with suppress(OSError):  # gone when all went well
            temporary.unlink()


def unwritable(folder: Path, error: OSError) -> HistoaugError:
    """Return the sentence for results that cannot be written."""
    return HistoaugError(
        f"The results cannot be written to {folder} ({error.strerror or error}); "
        "choose a folder that you may write to."
    )


def save_png(path: Path, array: NDArray[np.uint8]) -> None:
    """Write an array as PNG: uint8 (height, width, 3) or (height, width)."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, format="PNG")
    save(path, buffer.getvalue())


def read_labels(path: Path) -> NDArray[np.uint8]:
    """Read a label map, uint8 (height, width), from an image of one channel."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            picture.load()
            mode, array = picture.mode, np.asarray(picture)
    except FileNotFoundError:
        raise HistoaugError(f"There is no label map {path}; check the path.") from None
    except UnidentifiedImageError:
        raise HistoaugError(f"{path.name} is not an image; give a PNG of class values.") from None
    except (OSError, Image.DecompressionBombError) as error:
        raise HistoaugError(f"The label map {path} cannot be read ({error}).") from error
    if mode not in ("L", "P", "1"):
        raise HistoaugError(
            f"{path.name} is a colour image; give a map with one channel of class values."
        )
    return np.ascontiguousarray(array, dtype=np.uint8)
