"""Files made to hurt: each ends in one sentence, or in a slide, soon and without much memory."""

from __future__ import annotations

import contextlib
import os
import struct
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile

from napari_histoaug.slides import SlideError, open_slide
from napari_histoaug.slides.errors import TileError
from napari_histoaug.slides.tiff_reader import TiffReader
from napari_histoaug.slides.tile_headers import STATED_SIZE

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


def write_tile(tmp_path, data: bytes, **change: int) -> Path:
    """A TIFF whose only tile of 64 x 64 is this stream."""
    head = tiff(image_entries(count=len(data), **change)).ljust(4096, b"\0")
    return write(tmp_path, head + data, 4096 + len(data))


BOMBS = {
    "deflate": (8, lambda: zlib.compress(bytes(2**28), 9)),
    "lzma": (34925, lambda: imagecodecs.lzma_encode(bytes(2**25))),
    "zstd": (50000, lambda: imagecodecs.zstd_encode(bytes(2**28))),
    "lzw": (5, lambda: imagecodecs.lzw_encode(bytes(2**24))),
    "packbits": (32773, lambda: b"\x81\0" * 2**18),
}


@pytest.mark.parametrize("codec", BOMBS)
def test_a_bomb_stays_in_its_tile(tmp_path, codec):
    import tracemalloc

    number, make = BOMBS[codec]
    path = write_tile(tmp_path, make(), compression=number)
    tracemalloc.start()
    try:
        with contextlib.suppress(TileError):
            assert (read_tile(path) == 0).all()
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()


STREAMS = {
    "jpeg": (7, imagecodecs.jpeg8_encode),
    "jpeg2000": (34712, lambda image: imagecodecs.jpeg2k_encode(image, level=0)),
    "png": (34933, imagecodecs.png_encode),
    "webp": (50001, lambda image: imagecodecs.webp_encode(image, 90, lossless=False)),
    "webp lossless": (50001, lambda image: imagecodecs.webp_encode(image, lossless=True)),
    "jpegxl": (50002, lambda image: imagecodecs.jpegxl_encode(image, lossless=True)),
    "jpegxl in boxes": (
        50002, lambda image: imagecodecs.jpegxl_encode(image, lossless=True, usecontainer=True)
    ),
}  # fmt: skip


def stream_of(tmp_path, codec: str, height: int, width: int) -> tuple[Path, np.ndarray]:
    number, encode = STREAMS[codec]
    image = np.random.default_rng(0).integers(90, 120, (height, width, 3), dtype=np.uint8)
    path = write_tile(tmp_path, bytes(encode(image)), compression=number, photometric=2, samples=3)
    return path, image


@pytest.mark.parametrize("codec", STREAMS)
@pytest.mark.parametrize("size", [(512, 512), (65, 64), (64, 72), (128, 32), (32, 128)])
def test_a_stream_of_another_size_than_its_tile_is_refused(tmp_path, codec, size):
    path, _ = stream_of(tmp_path, codec, *size)
    with pytest.raises(TileError, match=f"a stream of {size[0]} x {size[1]} pixels"):
        read_tile(path)


@pytest.mark.parametrize("codec", STREAMS)
def test_a_stream_of_the_size_of_its_tile_is_read(tmp_path, codec):
    path, image = stream_of(tmp_path, codec, 64, 64)
    difference = read_tile(path).astype(int) - image
    assert abs(difference.mean()) < 1
    assert abs(difference).max() <= (0 if codec not in {"jpeg", "webp"} else 40)


@pytest.mark.parametrize(
    ("height", "width"), [(5, 7), (8, 8), (40, 33), (64, 128), (600, 400), (900, 1600), (20, 9000)]
)
def test_the_size_of_a_stream_is_read_from_its_header(height, width):
    image = np.zeros((height, width, 4), np.uint8)
    for number, encode in STREAMS.values():
        pixels = image[..., :3] if number == 7 else image
        data = bytes(encode(np.ascontiguousarray(pixels)))
        assert STATED_SIZE[number](data) == (height, width)


@pytest.mark.parametrize("codec", STREAMS)
def test_a_header_cut_short_is_no_stream(codec):
    number, encode = STREAMS[codec]
    data = bytes(encode(np.zeros((64, 64, 3), np.uint8)))
    for end in range(30):
        with contextlib.suppress(TileError):
            assert STATED_SIZE[number](data[:end]) == (64, 64)


def test_a_compression_without_a_size_to_check_is_refused(tmp_path):
    data = bytes(imagecodecs.jpegxr_encode(np.zeros((64, 64), np.uint8)))
    path = write_tile(tmp_path, data, compression=34934)
    assert "34934" in sentence(path)
    with pytest.raises(SlideError, match=r"compressed by JPEGXR \(34934\)"):
        TiffReader(path)


def test_a_jpeg_of_endless_scans_is_refused(tmp_path):
    frame = b"\xff\xc2\x00\x0b\x08\x00\x40\x00\x40\x01\x01\x11\x00"
    scans = b"\xff\xd8" + frame + b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00" * 500
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


@pytest.mark.parametrize("entry", ["beyond the end", "out of order", "last beyond the end"])
def test_a_dicom_table_that_would_crash_libdicom_is_refused(shared_data, tmp_path, entry):
    parts = (shared_data / "wsi" / "dicom_cmu1_small_region").glob("*.dcm")
    data = bytearray(max(parts, key=lambda part: part.stat().st_size).read_bytes())
    path = write(tmp_path, bytes(data), len(data), "a.dcm")
    with open_slide(path) as slide:
        slide.read_block(0, 0, 0, *slide.levels[0].shape)
        assert not slide.failures
    at = data.index(b"\xe0\x7f\x10\x00OB\0\0\xff\xff\xff\xff") + 12
    (length,) = struct.unpack_from("<I", data, at + 4)
    end = len(data) - at - 8 - length
    changes = {
        "beyond the end": (3, end + 1000), "out of order": (3, end - 1000),
        "last beyond the end": (length // 4 - 1, end - 7),
    }  # fmt: skip
    frame, offset = changes[entry]
    struct.pack_into("<I", data, at + 8 + 4 * frame, offset)
    assert "its table of frames" in sentence(write(tmp_path, bytes(data), len(data), "b.dcm"))


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
