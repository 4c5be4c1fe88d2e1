"""Flips bytes of a slide and reads it, many times in one process; started by test_fuzzing.

    python fuzzing.py SLIDE FOLDER FIRST COUNT SECONDS

Prints one JSON object a mutation, before ({"seed"}) and after ({"seed", "outcome", "wrong"}), so
that a process that crashes or is killed (after SECONDS for one mutation) tells which one did it.

What may differ from the whole file's pixels, "wrong" being everything else:

- tiles that are recorded as failures, and so are hatched;
- a tile some of whose own bytes were changed, if those are JPEG: it carries no checksum, and
  changed bytes are often another valid picture. Deflate has one, so its tiles may not differ;
- anything, when bytes outside the tiles were changed (tags, tables, sizes, offsets): neither TIFF
  nor DICOM guards these by a checksum. Reading must end in pixels or in a sentence all the same.
"""

from __future__ import annotations

import contextlib
import json
import signal
import sys
from pathlib import Path
from typing import NamedTuple

import imagecodecs
import numpy as np
import tifffile

from napari_histoaug.slides import SlideError, open_slide

_PIXEL_DATA, _ITEM = b"\xe0\x7f\x10\x00OB\0\0\xff\xff\xff\xff", b"\xfe\xff\x00\xe0"
Tile = tuple[int, int]


class Original(NamedTuple):
    """The slide as it is: its bytes, where each level-0 tile has its own, its pixels."""

    data: bytes
    places: dict[Tile, tuple[int, int]]
    pixels: np.ndarray
    tile: tuple[int, int]
    checked: bool
    tables: bytes | None


def original(path: Path) -> Original:
    with open_slide(path) as slide:
        shape, tile = slide.levels[0].shape, slide.tile_shapes[0]
        pixels = slide.read_block(0, 0, 0, *shape)
        assert not slide.failures
    data, across = path.read_bytes(), -(-shape[1] // tile[1])
    checked, tables = False, None
    if data[:2] == b"II":
        with tifffile.TiffFile(path) as tiff:
            page = tiff.pages.first
            spans = list(zip(page.dataoffsets, page.databytecounts, strict=True))
            checked, tables = int(page.compression) == 8, page.jpegtables
    else:
        spans = frames(data)
    assert len(spans) == across * -(-shape[0] // tile[0])
    places = {divmod(index, across): span for index, span in enumerate(spans)}
    return Original(data, places, pixels, tile, checked, tables)


def frames(data: bytes) -> list[tuple[int, int]]:
    """(offset, bytes) of every frame of a DICOM with one fragment a frame."""
    at, found = data.index(_PIXEL_DATA) + len(_PIXEL_DATA), []
    while data[at : at + 4] == _ITEM:
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        found.append((at + 8, length))
        at += 8 + length
    return found[1:]  # the first is the table of offsets


def mutated(whole: Original, seed: int) -> tuple[bytes, list[int]]:
    """Change one to four bytes, every second time outside the tiles."""
    random = np.random.default_rng(seed)
    data, changed = bytearray(whole.data), []
    outside = np.ones(len(data), bool)
    for offset, count in whole.places.values():
        outside[offset : offset + count] = False
    free = np.flatnonzero(outside)
    for _ in range(random.integers(1, 5)):
        at = int(free[random.integers(len(free))] if seed % 2 else random.integers(len(data)))
        data[at] ^= int(random.integers(1, 256))
        changed.append(at)
    return bytes(data), changed


def hit(whole: Original, changed: list[int]) -> tuple[set[Tile], bool]:
    """The tiles whose bytes were changed, and whether bytes outside all tiles were."""
    tiles = {
        place
        for place, (offset, count) in whole.places.items()
        if any(offset <= at < offset + count for at in changed)
    }
    inside = sum(
        any(offset <= at < offset + count for offset, count in whole.places.values())
        for at in changed
    )
    return tiles, inside < len(changed)


def differing(whole: Original, pixels: np.ndarray) -> set[Tile]:
    rows, columns = np.nonzero((pixels != whole.pixels).any(axis=-1))
    places = zip(rows // whole.tile[0], columns // whole.tile[1], strict=True)
    return {(int(row), int(column)) for row, column in set(places)}


def certainly_bad(whole: Original, data: bytes, place: Tile) -> bool:
    """Whether another decoder than the slide's refuses a JPEG tile."""
    offset, count = whole.places[place]
    try:
        imagecodecs.jpeg8_decode(data[offset : offset + count], tables=whole.tables)
    except (RuntimeError, ValueError):
        return True
    return False


def judge(whole: Original, path: Path, data: bytes, changed: list[int]) -> tuple[str, list]:
    """Read everything; return the outcome and what is wrong with it."""
    tiles, structure = hit(whole, changed)
    try:
        slide = open_slide(path)
    except SlideError as error:
        text = str(error)
        return "refused", [] if text.endswith(".") and "\n" not in text else [text]
    with slide:
        try:
            blocks = [
                slide.read_block(level, 0, 0, *(min(side, 4096) for side in size))
                for level, (size, _) in enumerate(slide.levels)
            ]
            slide.read_valid(0, 0, 0, *(min(side, 4096) for side in slide.levels[0].shape))
            assert slide.icc_sha256 is None or len(slide.icc_sha256) == 64
        except SlideError:
            return "refused later", []
        failed = {failure[1:3] for failure in slide.failures if failure.level == 0}
    if structure:
        return "structure", []
    if blocks[0].shape != whole.pixels.shape:
        return "another size", [list(blocks[0].shape)]
    wrong = differing(whole, blocks[0]) - failed
    silent, wrong = wrong & tiles, wrong - tiles
    if whole.checked:
        wrong |= silent
    else:
        wrong |= {place for place in silent if certainly_bad(whole, data, place)}
    return "unknowable" if silent else "noticed" if failed else "same", sorted(wrong)


def say(line: dict) -> None:
    print(json.dumps(line), flush=True)  # noqa: T201


def main(source: str, folder: str, first: str, count: str, seconds: str) -> None:
    whole = original(Path(source))
    if hasattr(signal, "setitimer"):
        with contextlib.suppress(ImportError, ValueError):
            import resource

            resource.setrlimit(resource.RLIMIT_AS, (4 * 2**30, 4 * 2**30))
    for seed in range(int(first), int(first) + int(count)):
        say({"seed": seed})
        data, changed = mutated(whole, seed)
        path = Path(folder) / f"{seed}{Path(source).suffix}"
        path.write_bytes(data)
        if hasattr(signal, "setitimer"):
            # By default this signal ends the process, even inside a decoder that hangs.
            signal.setitimer(signal.ITIMER_REAL, float(seconds))
        outcome, wrong = judge(whole, path, data, changed)
        if hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, 0)
        path.unlink()
        say({"seed": seed, "outcome": outcome, "wrong": wrong})


if __name__ == "__main__":
    main(*sys.argv[1:])
