"""Files made to hurt: each ends in one sentence, or in a slide, soon and without much memory."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_histoaug.slides import SlideError, open_slide
from napari_histoaug.slides.errors import TileError
from napari_histoaug.slides.tiff_reader import TiffReader

pytestmark = pytest.mark.timeout(60)


def sentence(path: Path) -> str:
    with pytest.raises(SlideError) as caught:
        open_slide(path)
    text = str(caught.value)
    assert text.endswith(".")
    assert "\n" not in text
    return text


def tiff(entries: list[tuple[int, int, int, int]], *, next_directory: int = 0) -> bytes:
    """A little-endian classic TIFF of one directory at byte 8."""
    table = b"".join(struct.pack("<HHII", *entry) for entry in sorted(entries))
    return (
        b"II*\0" + struct.pack("<IH", 8, len(entries)) + table + struct.pack("<I", next_directory)
    )


def image_entries(**change: int) -> list[tuple[int, int, int, int]]:
    """One uncompressed grey 64 x 64 tile at byte 4096."""
    values = {
        "width": 64, "height": 64, "bits": 8, "compression": 1, "photometric": 1, "samples": 1,
        "tile_width": 64, "tile_height": 64, "offset": 4096, "count": 4096,
    } | change  # fmt: skip
    tags = [256, 257, 258, 259, 262, 277, 322, 323, 324, 325]
    return [(tag, 4, 1, value) for tag, value in zip(tags, values.values(), strict=True)]


def write(tmp_path, data: bytes, size: int = 8192, name: str = "a.tif") -> Path:
    path = tmp_path / name
    path.write_bytes(data.ljust(size, b"\x80"))
    return path


def test_the_file_made_here_is_good(tmp_path):
    with open_slide(write(tmp_path, tiff(image_entries()))) as slide:
        assert (slide.read_block(0, 0, 0, 64, 64) == 0x80).all()


@pytest.mark.parametrize("seed", range(20))
def test_cut_at_a_random_place(tmp_path, make_pyramid_tiff, seed):
    made = make_pyramid_tiff(shapes=[(400, 500), (200, 250)])
    data = made.path.read_bytes()
    cut = int(np.random.default_rng(seed).integers(1, len(data)))
    text = sentence(write(tmp_path, data[:cut], cut, "cut.tif"))
    assert "cut.tif" in text
    if cut >= 8:
        assert "truncated" in text


def test_directories_in_a_circle(tmp_path):
    with open_slide(write(tmp_path, tiff(image_entries(), next_directory=8))) as slide:
        assert len(slide.levels) == 1
    entries = [*image_entries(), (330, 4, 1, 8)]  # a sub-directory that is its own parent
    with open_slide(write(tmp_path, tiff(entries))) as slide:
        assert (slide.read_block(0, 0, 0, 64, 64) == 0x80).all()


def test_an_endless_chain_of_directories(tmp_path):
    size = 10_000
    step = 2 + 12 + 4
    chain = b"".join(
        struct.pack("<HHHIII", 1, 256, 4, 1, 64, 8 + (index + 1) * step) for index in range(size)
    )
    path = write(tmp_path, b"II*\0" + struct.pack("<I", 8) + chain, 8 + len(chain) + 64)
    assert "absurdly many" in sentence(path)


def test_directories_that_share_one_huge_table(tmp_path):
    # 1,000 tags that each claim the same 4 MB: more reading than any slide needs.
    entries = [(324, 4, 2**20, 16384)] * 1000
    path = write(tmp_path, tiff(entries), 16384 + 2**22)
    assert "absurdly" in sentence(path)


@pytest.mark.parametrize(
    "change",
    [
        {"width": 2**31, "height": 2**31},
        {"width": 2**32 - 1},
        {"tile_width": 2**31, "tile_height": 2**31},
        {"width": 2**16, "height": 2**16, "tile_width": 2**16, "tile_height": 2**16},
        {"width": 0},
        {"height": 0},
        {"tile_width": 0},
        {"bits": 7},
        {"samples": 60_000},
        {"compression": 31_337},
        {"photometric": 99},
        {"offset": 2**32 - 100},
        {"count": 2**32 - 1},
    ],
    ids=str,
)
def test_absurd_tags(tmp_path, change):
    path = write(tmp_path, tiff(image_entries(**change)))
    try:
        with open_slide(path) as slide:
            # Whatever opens shows hatching for what it cannot know, and says so.
            slide.read_block(0, 0, 0, 32, 32)
            assert slide.failures
    except SlideError as error:
        assert "a.tif" in str(error)  # noqa: PT017


def read_tile(path: Path) -> np.ndarray:
    reader = TiffReader(path)
    try:
        return reader.read(0, 0, 0, 64, 64)
    finally:
        reader.close()


def test_a_deflate_bomb_stays_in_its_tile(tmp_path):
    import tracemalloc

    bomb = zlib.compress(bytes(2**28), 9)
    path = write(
        tmp_path,
        tiff(image_entries(compression=8, count=len(bomb))).ljust(4096, b"\0") + bomb,
        4096 + len(bomb),
    )
    tracemalloc.start()
    with pytest.raises(TileError):
        read_tile(path)
    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()


@pytest.mark.parametrize("codec", ["jpeg", "jpeg2000"])
def test_a_stream_larger_than_its_tile_is_refused(tmp_path, codec):
    import imagecodecs

    large = np.zeros((512, 512), np.uint8)
    encode = {"jpeg": imagecodecs.jpeg8_encode, "jpeg2000": imagecodecs.jpeg2k_encode}[codec]
    data = bytes(encode(large))
    number = {"jpeg": 7, "jpeg2000": 34712}[codec]
    path = write(
        tmp_path,
        tiff(image_entries(compression=number, count=len(data))).ljust(4096, b"\0") + data,
        4096 + len(data),
    )
    with pytest.raises(TileError):
        read_tile(path)


def test_a_jpeg_of_endless_scans_is_refused(tmp_path):
    scans = b"\xff\xd8" + b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00" * 500
    path = write(
        tmp_path,
        tiff(image_entries(compression=7, count=len(scans))).ljust(4096, b"\0") + scans,
        8192 + len(scans),
    )
    with pytest.raises(TileError, match="scans"):
        read_tile(path)


@pytest.mark.parametrize("steps", [(1, 4, 2), (1, 4, 2, 4)])
def test_levels_in_the_wrong_order(tmp_path, steps):
    path = tmp_path / "a.tif"
    image = np.random.default_rng(0).integers(0, 256, (512, 512, 3), dtype=np.uint8)
    with tifffile.TiffWriter(path) as writer:
        for index, step in enumerate(steps):
            writer.write(
                image[::step, ::step], tile=(64, 64), photometric="rgb", compression="zlib",
                subfiletype=int(index > 0), metadata=None,
            )  # fmt: skip
    with open_slide(path) as slide:
        assert [level.shape[0] for level in slide.levels] == [512, 256, 128]
        for level in slide.levels:
            step = 512 // level.shape[0]
            block = slide.read_block(slide.levels.index(level), 0, 0, *level.shape)
            assert (block == image[::step, ::step]).all()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_pipes_and_devices_are_not_waited_for(tmp_path):
    pipe = tmp_path / "pipe.svs"
    os.mkfifo(pipe)
    assert "not an ordinary file" in sentence(pipe)
    assert "not an ordinary file" in sentence(Path(os.devnull))


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")
def test_links(tmp_path, make_pyramid_tiff):
    made = make_pyramid_tiff()
    good, lost, circle = (tmp_path / name for name in ("good.svs", "lost.svs", "circle.svs"))
    good.symlink_to(made.path)
    lost.symlink_to(tmp_path / "nowhere.svs")
    circle.symlink_to(circle)
    with open_slide(good) as slide:
        assert (slide.read_block(0, 0, 0, 700, 900) == made.levels[0]).all()
    assert "no file" in sentence(lost)
    assert "circle.svs" in sentence(circle)


def test_a_name_no_file_can_have(tmp_path):
    with pytest.raises(SlideError, match="cannot be read"):
        open_slide(str(tmp_path / "a\0b.svs"))


def mirax(tmp_path, index: str | None) -> Path:
    path = tmp_path / "a.mrxs"
    path.write_bytes(b"\xff\xd8\xff" + bytes(500))
    (tmp_path / "a").mkdir()
    if index is not None:
        (tmp_path / "a" / "Slidedat.ini").write_text(index, "utf-8-sig")
    return path


def test_mirax_folders_are_looked_at(tmp_path):
    assert "without Slidedat.ini" in sentence(mirax(tmp_path, None))


def test_mirax_data_files_are_looked_for(tmp_path):
    index = "[DATAFILE]\nFILE_COUNT = 2\nFILE_0 = Data0000.dat\nFILE_1 = Data0001.dat\n"
    path = mirax(tmp_path, index)
    (tmp_path / "a" / "Data0000.dat").write_bytes(b"x")
    text = sentence(path)
    assert "lacks 1 of its data files" in text
    assert "Data0001.dat" in text


def test_a_mirax_index_cannot_point_out_of_its_folder(tmp_path):
    (tmp_path / "secret.dat").write_bytes(b"x")
    text = sentence(mirax(tmp_path, "[DATAFILE]\nFILE_0 = ../secret.dat\n"))
    assert "lacks 1 of its data files" in text


def test_a_lying_ending_is_said(make_pyramid_tiff):
    made = make_pyramid_tiff(name="a.ndpi")
    with open_slide(made.path) as slide:
        assert "its content is believed" in slide.notes[0]


def test_one_uncompressed_piece_is_cut_into_strips(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (1500, 1400, 3), dtype=np.uint8)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, image, photometric="rgb", metadata=None, rowsperstrip=1500)
    with open_slide(path) as slide:
        assert slide.tile_shapes[0][0] < 1500
        assert (slide.read_block(0, 0, 0, 1500, 1400) == image).all()
        assert (slide.read_block(0, 700, 300, 100, 100) == image[700:800, 300:400]).all()
