"""One distinct sentence for each file that cannot be used, and damaged tiles inside good ones."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_histoaug.slides import SlideError, open_slide
from napari_histoaug.slides.damage import hatched


def sentence(path: Path) -> str:
    with pytest.raises(SlideError) as caught:
        open_slide(path)
    text = str(caught.value)
    assert path.name in text
    assert text.endswith(".")
    assert "\n" not in text
    return text


def test_every_problem_has_its_own_sentence(tmp_path, make_pyramid_tiff):
    empty = tmp_path / "empty.svs"
    empty.touch()
    text = tmp_path / "notes.svs"
    text.write_text("These are notes about a slide.\n" * 100)
    mirax = tmp_path / "lost.mrxs"
    mirax.write_bytes(b"\xff\xd8\xff" + bytes(500))
    folder = tmp_path / "folder"
    folder.mkdir()
    dicom = tmp_path / "report.dcm"
    dicom.write_bytes(bytes(128) + b"DICM" + bytes(200))
    deep = tmp_path / "deep.tif"
    tifffile.imwrite(deep, np.zeros((64, 64, 3), np.uint16), photometric="rgb", tile=(64, 64))
    inks = tmp_path / "inks.tif"
    tifffile.imwrite(inks, np.zeros((64, 64, 4), np.uint8), photometric="separated", tile=(64, 64))
    stack = tmp_path / "stack.ome.tif"
    tifffile.imwrite(stack, np.zeros((5, 64, 64), np.uint8), metadata={"axes": "ZYX"})
    problems = {
        sentence(tmp_path / "missing.svs"): "no file",
        sentence(empty): "empty",
        sentence(text): "is not a slide",
        sentence(mirax): "no data folder",
        sentence(folder): "without an OME-Zarr image",
        sentence(dicom): "DICOM",
        sentence(deep): "16 bits",
        sentence(inks): "CMYK",
        sentence(stack): "stack",
    }
    assert len(problems) == 9
    for found, expected in problems.items():
        assert expected in found


def test_a_forbidden_file(make_pyramid_tiff, monkeypatch):
    path = make_pyramid_tiff().path
    if os.geteuid() == 0:  # root may read everything, so let the system call refuse
        real = Path.open

        def refuse(self, *args, **options):
            if self == path:
                raise PermissionError(13, "Permission denied", str(path))
            return real(self, *args, **options)

        monkeypatch.setattr(Path, "open", refuse)
    else:
        path.chmod(0)
    assert "not allowed to read" in sentence(path)


@pytest.mark.parametrize("bigtiff", [False, True])
def test_a_truncated_file_says_how_much_is_missing(tmp_path, bigtiff):
    path = tmp_path / "cut.tif"
    image = np.random.default_rng(0).integers(0, 256, (1000, 1200, 3), dtype=np.uint8)
    with tifffile.TiffWriter(path, bigtiff=bigtiff) as writer:
        writer.write(image, tile=(256, 256), photometric="rgb", metadata=None)
        writer.write(
            image[::2, ::2], tile=(256, 256), photometric="rgb", subfiletype=1, metadata=None
        )
    whole = path.read_bytes()
    with open_slide(path) as slide:
        assert len(slide.levels) == 2
    path.write_bytes(whole[:-1_000_000])
    assert "truncated: at least 1.000 MB are missing" in sentence(path)
    path.write_bytes(whole[:-1])
    assert "truncated" in sentence(path)
    path.write_bytes(whole[:200])
    assert "truncated" in sentence(path)


@pytest.mark.parametrize("fraction", [0.5, 0.9, 0.999])
@pytest.mark.parametrize(
    "name",
    [
        "CMU-1-Small-Region.svs",
        "tcga-cr-7395-01a-01-ts1.svs",
        "OS-1-detail.ome.tif",
        "fluorescence_ndpi/test3-DAPI-2-387.ndpi",
    ],
)
def test_real_truncated_files(shared_data, tmp_path, name, fraction):
    data = (shared_data / "wsi" / name).read_bytes()
    path = tmp_path / Path(name).name
    path.write_bytes(data[: int(len(data) * fraction)])
    assert "truncated" in sentence(path)


def test_random_bytes_are_a_sentence(tmp_path, make_pyramid_tiff):
    good = make_pyramid_tiff(shapes=[(300, 300)]).path.read_bytes()
    random = np.random.default_rng(0)
    for index in range(60):
        data = bytearray(good[: random.integers(4, len(good))] if index % 2 else good)
        for _ in range(20):
            data[random.integers(2, min(len(data), 400))] = random.integers(256)
        path = tmp_path / "fuzz.tif"
        path.write_bytes(data)
        try:
            with open_slide(path) as slide:
                assert slide.read_block(0, 0, 0, 50, 50).shape == (50, 50, 3)
        except SlideError as error:
            assert "fuzz.tif" in str(error)  # noqa: PT017


def destroy_tile(path: Path, page: int, index: int) -> None:
    with tifffile.TiffFile(path) as tiff:
        offset = tiff.pages[page].dataoffsets[index]
        count = tiff.pages[page].databytecounts[index]
    data = bytearray(path.read_bytes())
    data[offset : offset + min(count, 60)] = b"\x5a" * min(count, 60)
    path.write_bytes(data)


@pytest.mark.parametrize("shapes", [[(600, 700), (300, 350)], [(601, 703), (300, 351)]])
@pytest.mark.parametrize("compression", ["jpeg", "deflate"])
@pytest.mark.parametrize("level", [0, 1])
def test_damaged_tiles_are_recorded_hatched_and_left_alone(
    make_pyramid_tiff, shapes, compression, level
):
    made = make_pyramid_tiff(shapes=shapes, compression=compression)
    columns = -(-shapes[level][1] // 128)
    for row, column in [(1, 1), (2, 0)]:
        destroy_tile(made.path, level, row * columns + column)
    expected = made.levels[level].copy()
    height, width = shapes[level]
    for row, column in [(1, 1), (2, 0)]:
        y, x = row * 128, column * 128
        part = expected[y : y + 128, x : x + 128]
        part[:] = hatched(y, x, *part.shape[:2])
    with open_slide(made.path) as slide:
        for _ in range(2):
            assert (slide.read_block(level, 0, 0, height, width) == expected).all()
        assert {failure[:3] for failure in slide.failures} == {(level, 1, 1), (level, 2, 0)}
        assert len(slide.failures) == 2
        assert all(failure.message for failure in slide.failures)
        other = 1 - level
        assert (slide.read_block(other, 0, 0, *shapes[other]) == made.levels[other]).all()


def test_one_thread_s_damage_is_not_blamed_on_another_s_tile(make_pyramid_tiff):
    from concurrent.futures import ThreadPoolExecutor

    made = make_pyramid_tiff(shapes=[(1280, 1280)])
    bad = [(1, 1), (4, 7), (8, 3), (9, 9)]
    for row, column in bad:
        destroy_tile(made.path, 0, row * 10 + column)
    with open_slide(made.path) as slide, ThreadPoolExecutor(8) as pool:
        places = [(row, column) for row in range(10) for column in range(10)] * 3
        blocks = pool.map(lambda p: slide.read_block(0, p[0] * 128, p[1] * 128, 128, 128), places)
        for (row, column), block in zip(places, blocks, strict=True):
            y, x = row * 128, column * 128
            if (row, column) in bad:
                assert (block == hatched(y, x, 128, 128)).all()
            else:
                assert (block == made.levels[0][y : y + 128, x : x + 128]).all()
        assert {failure[1:3] for failure in slide.failures} == set(bad)


def test_closing_while_others_read_is_a_sentence_for_them(make_pyramid_tiff):
    import threading

    slide = open_slide(make_pyramid_tiff(shapes=[(1280, 1280)]).path)
    reading, endings = threading.Barrier(5), []

    def read_on():
        reading.wait()
        try:
            while True:
                slide.read_block(0, 0, 0, 1280, 1280)
        except SlideError as error:
            endings.append(str(error))

    threads = [threading.Thread(target=read_on) for _ in range(4)]
    for thread in threads:
        thread.start()
    reading.wait()
    slide.close()
    for thread in threads:
        thread.join()
    assert len(endings) == 4
    assert all("closed" in ending for ending in endings)
