"""Opening an annotation file: plain, gzipped or zipped, in whatever text encoding."""

from __future__ import annotations

import codecs
import gc
import gzip
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, NamedTuple

from napari_histoaug.annotations.errors import AnnotationError

_PIECE = 2**20
_JSON = (".geojson", ".json")


class Member(NamedTuple):
    """One JSON text of a file: a stream of UTF-8 bytes, and how far into the file it is."""

    stream: IO[bytes]
    position: Callable[[], int]


@contextmanager
def opened(path: Path, encoding: str | None = None) -> Iterator[Iterator[Member]]:
    """Open a file and give its JSON texts in turn: one, or those of a zip archive.

    Parameters
    ----------
    path : pathlib.Path
    encoding : str, optional
        Text encoding when it is not UTF-8; the streams are UTF-8 all the same.

    Raises
    ------
    AnnotationError
        When the file is missing, unreadable, damaged, empty, or holds no JSON.
    """
    try:
        with ExitStack() as stack:
            raw = stack.enter_context(path.open("rb"))
            yield _members(raw, path, _transcoder(encoding), stack)
    except FileNotFoundError as error:
        raise AnnotationError(f"There is no annotation file {path}; check the path.") from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise AnnotationError(
            f"{path.name} is a damaged gzip file; copy or export it again."
        ) from error
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        # zipfile raises RuntimeError for a password; a RecursionError is one too, but not ours
        if isinstance(error, RecursionError):
            raise
        raise AnnotationError(
            f"{path.name} is a damaged or locked zip archive; export the annotations again."
        ) from error
    except UnicodeError as error:
        raise AnnotationError(
            f"{path.name} is not {encoding} text; name the encoding it was written in."
        ) from error
    except OSError as error:
        raise AnnotationError(
            f"The annotation file {path} cannot be read ({error.strerror or error})."
        ) from error


@contextmanager
def no_cycles() -> Iterator[None]:
    """Make many lists and dictionaries without the search for cycles in them.

    Parsed JSON has none, and the search takes longer than the parsing.
    """
    searching = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if searching:
            gc.enable()


def not_utf8(path: Path, offset: int) -> AnnotationError:
    """Return the error for bytes that are no UTF-8, the first of them at ``offset``."""
    return AnnotationError(
        f"{path.name} is not UTF-8 text (byte {offset}); export the annotations again with a newer "
        "QuPath, or name the encoding, for instance latin-1."
    )


def first_bad_byte(path: Path) -> int:
    """Return where the first text of a file stops being UTF-8."""
    start = 0
    with opened(path) as members:
        decoder = codecs.getincrementaldecoder("utf-8")()
        stream = next(members).stream
        while piece := stream.read(_PIECE):
            pending = len(decoder.getstate()[0])
            try:
                decoder.decode(piece)
            except UnicodeDecodeError as error:
                return start - pending + error.start
            start += len(piece)
    return start


def empty(path: Path) -> AnnotationError:
    """Return the error for a file without content."""
    return AnnotationError(f"{path.name} is empty; export the annotations again.")


def _members(
    raw: IO[bytes],
    path: Path,
    transcode: Callable[[IO[bytes]], IO[bytes]],
    stack: ExitStack,
) -> Iterator[Member]:
    magic = raw.read(4)
    raw.seek(0)
    if magic[:2] == b"\x1f\x8b":
        unpacked = stack.enter_context(gzip.GzipFile(fileobj=raw))
        yield Member(transcode(unpacked), raw.tell)  # type: ignore[arg-type]
    elif magic == b"PK\x03\x04":
        archive = stack.enter_context(zipfile.ZipFile(raw))
        names = [name for name in archive.namelist() if _is_annotation(name)]
        if not names:
            raise AnnotationError(f"The archive {path.name} holds no .geojson or .json file.")
        for name in names:
            member = stack.enter_context(archive.open(name))
            yield Member(transcode(member), raw.tell)
    else:
        yield Member(transcode(raw), raw.tell)


def _is_annotation(name: str) -> bool:
    # macOS adds files of its own to its archives
    return name.lower().endswith(_JSON) and not name.startswith("__MACOSX/")


def _transcoder(encoding: str | None) -> Callable[[IO[bytes]], IO[bytes]]:
    if encoding is None:
        return lambda stream: stream
    try:
        codec = codecs.lookup(encoding)
    except LookupError as error:
        raise AnnotationError(f"There is no text encoding {encoding!r}; try latin-1.") from error
    if codec.name == "utf-8":
        return lambda stream: stream
    return lambda stream: codecs.EncodedFile(stream, "utf-8", codec.name)
