"""Damage inside good slides: noticed by strict decoding, recorded, tried again, and limited."""

from __future__ import annotations

import os

import numpy as np
import pytest
import tifffile

from napari_histoaug.slides import SlideError, open_slide
from napari_histoaug.slides.damage import hatched
from napari_histoaug.slides.openslide_reader import OpenSlideReader
from napari_histoaug.slides.positional_file import PositionalFile
from napari_histoaug.slides.slide import Slide


def spoil(path, index, change, page=0):
    """Change the bytes of one stored tile."""
    with tifffile.TiffFile(path) as tiff:
        offset = tiff.pages[page].dataoffsets[index]
        count = tiff.pages[page].databytecounts[index]
    data = bytearray(path.read_bytes())
    data[offset : offset + count] = change(bytes(data[offset : offset + count]))
    path.write_bytes(data)


def body_lost(tile: bytes) -> bytes:
    """The second half of the compressed pixels is gone, the headers are whole."""
    half = len(tile) // 2
    return tile[:half] + bytes(len(tile) - half)


@pytest.mark.parametrize("compression", ["jpeg", "deflate"])
def test_a_damaged_body_is_noticed_not_shown(make_pyramid_tiff, compression):
    made = make_pyramid_tiff(shapes=[(512, 512)], compression=compression)
    spoil(made.path, 5, body_lost)
    expected = made.levels[0].copy()
    expected[128:256, 128:256] = hatched(128, 128, 128, 128)
    with open_slide(made.path) as slide:
        assert (slide.read_block(0, 0, 0, 512, 512) == expected).all()
        assert [failure[:3] for failure in slide.failures] == [(0, 1, 1)]
        assert not slide.read_valid(0, 128, 128, 128, 128).any()
        assert slide.read_valid(0, 0, 0, 512, 512).sum() == 512 * 512 - 128 * 128


def test_damage_in_the_body_of_a_real_slide(shared_data, tmp_path):
    source = shared_data / "wsi" / "CMU-1-Small-Region.svs"
    path = tmp_path / "a.svs"
    path.write_bytes(source.read_bytes())
    spoil(path, 61, body_lost)
    with open_slide(path) as slide, open_slide(source) as good:
        block, expected = (s.read_block(0, 0, 0, 2967, 2220) for s in (slide, good))
        row, column = divmod(61, 10)
        assert [failure[:3] for failure in slide.failures] == [(0, row, column)]
        y, x = row * 240, column * 240
        expected[y : y + 240, x : x + 240] = hatched(y, x, 240, 240)
        assert (block == expected).all()


def test_a_passing_error_is_tried_again_on_a_fresh_handle(make_pyramid_tiff, monkeypatch):
    made = make_pyramid_tiff(shapes=[(512, 512)])
    slide = open_slide(made.path)
    first = slide._reader._handle.current
    real = PositionalFile.read_at

    def tired(self, *place):
        if self is first:
            raise OSError("the network was away")
        return real(self, *place)

    monkeypatch.setattr(PositionalFile, "read_at", tired)
    assert (slide.read_block(0, 0, 0, 512, 512) == made.levels[0]).all()
    assert slide.failures == []
    slide.close()


def test_openslide_recovers_from_its_first_error(make_pyramid_tiff):
    made = make_pyramid_tiff(shapes=[(512, 512)])
    spoil(made.path, 5, lambda tile: b"\x5a" * len(tile))
    with Slide(made.path, OpenSlideReader(made.path)) as slide:
        expected = np.concatenate([made.levels[0][:256, :256]])
        for _ in range(2):
            block = slide.read_block(0, 0, 0, 512, 512)
            assert (block[256:] == made.levels[0][256:]).all()
            assert (block[:128, :128] == expected[:128, :128]).all()
        assert all(failure.level == 0 for failure in slide.failures)
        assert len(slide.failures) > 0


def test_more_than_one_in_a_thousand_tissue_tiles_stops_the_work(make_pyramid_tiff):
    made = make_pyramid_tiff(shapes=[(4096, 4096)], tile=128, compression=None)
    boxes = [(y, x, 256, 256) for y in range(0, 3841, 128) for x in range(0, 3841, 128)]
    with open_slide(made.path) as slide:
        slide.check_failures(0, boxes)
        slide._failures |= {(0, 3, 3): (0, 3, 3, "x")}
        slide.check_failures(0, boxes)  # 1 of 1,024
        slide._failures |= {(1, 4, 4): (1, 4, 4, "x")}
        slide.check_failures(0, boxes)  # another level's
        slide._failures |= {(0, 4, 4): (0, 4, 4, "x")}
        with pytest.raises(SlideError, match=r"2 of its 1024 tissue tiles .* more than 0\.1%"):
            slide.check_failures(0, boxes)
        # Damage outside the tissue does not count.
        slide.check_failures(0, [(1024, 1024, 512, 512)])


def test_a_file_that_changes_or_goes_is_a_sentence(make_pyramid_tiff):
    made = make_pyramid_tiff()
    with open_slide(made.path) as slide:
        status = made.path.stat()
        os.utime(made.path, ns=(status.st_atime_ns, status.st_mtime_ns + 10**9))
        with pytest.raises(SlideError, match="changed"):
            slide.read_block(0, 0, 0, 10, 10)
    with open_slide(made.path) as slide:
        made.path.unlink()
        with pytest.raises(SlideError, match="has gone"):
            slide.read_block(0, 0, 0, 10, 10)
