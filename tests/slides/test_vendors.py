"""Vendors' formats through OpenSlide, on files made here: places, gaps, bounds, exact pixels."""

from __future__ import annotations

import struct
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile

from napari_histoaug.slides import open_slide

NANOMETRES = 500
SCAN = """<image name="{name}" uuid="urn:uuid:{name}">
<creationDate>2020-01-01T00:00:00Z</creationDate><device model="Leica SCN400" version="1"/>
<pixels sizeX="{width}" sizeY="{height}">{dimensions}</pixels>
<view sizeX="{across}" sizeY="{down}" offsetX="{left}" offsetY="{top}" spacingZ="0"/>
<scanSettings>
<objectiveSettings><objective>{objective}</objective></objectiveSettings>
<illuminationSettings><numericalAperture>0.4</numericalAperture>
<illuminationSource>brightfield</illuminationSource></illuminationSettings>
</scanSettings></image>"""
COLLECTION = """<?xml version="1.0"?>
<scn xmlns="http://www.leica-microsystems.com/scn/2010/10/01" uuid="urn:uuid:0">
<collection name="PLANTED" uuid="urn:uuid:1" sizeX="{across}" sizeY="{down}">
<barcode>UExBTlRFRA==</barcode>{scans}</collection></scn>"""


def scan(name: str, levels: list[np.ndarray], first: int, view: tuple, objective: float) -> str:
    """Describe one scan of a Leica collection; `view` is (top, left, down, across) in nm."""
    dimensions = "".join(
        f'<dimension sizeX="{a.shape[1]}" sizeY="{a.shape[0]}" r="{r}" ifd="{first + r}"/>'
        for r, a in enumerate(levels)
    )
    top, left, down, across = view
    return SCAN.format(
        name=name, width=levels[0].shape[1], height=levels[0].shape[0], dimensions=dimensions,
        top=top, left=left, down=down, across=across, objective=objective,
    )  # fmt: skip


def leica(path: Path, levels: list[np.ndarray], place: tuple[int, int], glass: tuple[int, int]):
    """Write an SCN: tissue whose corner is at `place` of a glass of (height, width) pixels."""
    random = np.random.default_rng(9)
    macro = random.integers(0, 256, (glass[0] // 5, glass[1] // 5, 3), dtype=np.uint8)
    whole = (0, 0, *(side * NANOMETRES for side in glass))
    inside = tuple(side * NANOMETRES for side in (*place, *levels[0].shape[:2]))
    scans = scan("macro", [macro], 0, whole, 0.6) + scan("main", levels, 1, inside, 20)
    description = COLLECTION.format(down=whole[2], across=whole[3], scans=scans)
    with tifffile.TiffWriter(path, bigtiff=True) as writer:
        for index, image in enumerate([macro, *levels]):
            writer.write(
                image, tile=(128, 128), photometric="rgb", compression="deflate", metadata=None,
                description=description if index == 0 else None,
                resolution=(1e7 / NANOMETRES, 1e7 / NANOMETRES), resolutionunit="CENTIMETER",
            )  # fmt: skip
    return path


@pytest.mark.parametrize("name", ["a.scn", "a.tif"])
def test_leica_tissue_lies_where_its_bounds_say(tmp_path, name):
    random = np.random.default_rng(0)
    shapes = [(600, 800, 3), (300, 400, 3)]
    levels = [random.integers(0, 256, shape, dtype=np.uint8) for shape in shapes]
    with open_slide(leica(tmp_path / name, levels, (100, 50), (1000, 1200))) as slide:
        assert slide.vendor == "leica"
        assert slide.bounds == (100, 50, 600, 800)
        assert slide.mpp == (0.5, 0.5)
        for index, image in enumerate(levels):
            height, width = slide.levels[index].shape
            assert (height, width) == (1000 >> index, 1200 >> index)
            top, left = 100 >> index, 50 >> index
            tissue = (slice(top, top + image.shape[0]), slice(left, left + image.shape[1]))
            expected = np.full((height, width, 3), 255, np.uint8)
            expected[tissue] = image
            valid = np.zeros((height, width), bool)
            valid[tissue] = True
            assert (slide.read_block(index, 0, 0, height, width) == expected).all()
            assert (slide.read_valid(index, 0, 0, height, width) == valid).all()
        assert "PLANTED" not in repr(vars(slide)) + repr(vars(slide._reader))
        assert "PLANTED" not in repr(vars(slide._reader._handle.current))


MIRAX = """[GENERAL]
SLIDE_VERSION = 01.02
SLIDE_ID = {identity}
SLIDE_NAME = PLANTED
IMAGENUMBER_X = {across}
IMAGENUMBER_Y = {down}
OBJECTIVE_MAGNIFICATION = 20
CameraImageDivisionsPerSide = 1
[HIERARCHICAL]
HIER_COUNT = 1
NONHIER_COUNT = 0
INDEXFILE = Index.dat
HIER_0_NAME = Slide zoom level
HIER_0_COUNT = {levels}
{sections}[DATAFILE]
FILE_COUNT = 1
FILE_0 = Data0000.dat
"""
ZOOM = """[ZOOM_{level}]
OVERLAP_X = 0
OVERLAP_Y = 0
MICROMETER_PER_PIXEL_X = {mpp}
MICROMETER_PER_PIXEL_Y = {mpp}
IMAGE_FORMAT = PNG
IMAGE_FILL_COLOR_BGR = 15790330
IMAGE_CONCAT_FACTOR = {concat}
DIGITIZER_WIDTH = {side}
DIGITIZER_HEIGHT = {side}
"""
SIDE, ACROSS, DOWN = 256, 4, 3
HOLE = (1, 2)  # the camera left this place out
FILL = (0xFA, 0xF0, 0xF0)  # IMAGE_FILL_COLOR_BGR, as red, green, blue


def mirax(path: Path, images: list[dict[tuple[int, int], np.ndarray]]) -> Path:
    """Write a MIRAX slide: for every zoom level its images by (row, column) of level 0."""
    folder = path.with_suffix("")
    folder.mkdir()
    path.write_bytes(imagecodecs.jpeg8_encode(np.zeros((16, 16, 3), np.uint8)))
    identity, data, pages = "0123456789ABCDEF", bytearray(16), []
    for level in images:
        page = struct.pack("<ii", len(level), 0)
        for (row, column), image in level.items():
            encoded = imagecodecs.png_encode(image)
            page += struct.pack("<4i", row * ACROSS + column, len(data), len(encoded), 0)
            data += encoded
        pages.append(page)
    start = len("01.02") + len(identity) + 8
    index = struct.pack("<ii", start, 0)
    heads = start + 4 * len(pages)
    body = heads + 8 * len(pages)
    index += b"".join(struct.pack("<i", heads + 8 * i) for i in range(len(pages)))
    for i in range(len(pages)):
        index += struct.pack("<ii", 0, body + sum(map(len, pages[:i])))
    index = ("01.02" + identity).encode() + index + b"".join(pages)
    sections = "".join(f"HIER_0_VAL_{i}_SECTION = ZOOM_{i}\n" for i in range(len(images)))
    for i in range(len(images)):
        sections += ZOOM.format(level=i, mpp=0.25 * 2**i, concat=int(i > 0), side=SIDE)
    document = MIRAX.format(
        identity=identity, across=ACROSS, down=DOWN, levels=len(images), sections=sections
    )
    (folder / "Slidedat.ini").write_text(document)
    (folder / "Index.dat").write_bytes(index)
    (folder / "Data0000.dat").write_bytes(data)
    return path


@pytest.fixture
def mirax_slide(tmp_path):
    """A MIRAX slide of two levels, and the pixels and the places it holds of each."""
    random = np.random.default_rng(0)
    full = random.integers(0, 256, (DOWN * SIDE, ACROSS * SIDE, 3), dtype=np.uint8)
    full = full.reshape(DOWN, SIDE, ACROSS, SIDE, 3).swapaxes(1, 2)
    fine = {place: full[place] for place in np.ndindex(DOWN, ACROSS) if place != HOLE}
    coarse = {
        (row, column): random.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
        for row in range(0, DOWN, 2) for column in range(0, ACROSS, 2)
    }  # fmt: skip
    return mirax(tmp_path / "a.mrxs", [fine, coarse]), fine, coarse


def test_mirax_images_lie_in_their_places_and_gaps_are_no_data(mirax_slide):
    path, fine, coarse = mirax_slide
    with open_slide(path) as slide:
        assert slide.vendor == "mirax"
        assert slide.mpp == (0.25, 0.25)
        assert slide.levels[0].shape == (DOWN * SIDE, ACROSS * SIDE)
        block = slide.read_block(0, 0, 0, *slide.levels[0].shape)
        valid = slide.read_valid(0, 0, 0, *slide.levels[0].shape)
        for row, column in np.ndindex(DOWN, ACROSS):
            part = np.s_[row * SIDE : (row + 1) * SIDE, column * SIDE : (column + 1) * SIDE]
            there = (row, column) != HOLE
            assert (block[part] == (fine[row, column] if there else FILL)).all()
            assert (valid[part] == there).all()
        low = slide.read_block(1, 0, 0, *slide.levels[1].shape)
        for (row, column), image in coarse.items():
            y, x = row * SIDE // 2, column * SIDE // 2
            height = min(SIDE, low.shape[0] - y)
            part = low[y : y + height, x : x + SIDE]
            seen = slide.read_valid(1, y, x, *part.shape[:2])
            assert (part[seen] == image[:height][seen]).all()
