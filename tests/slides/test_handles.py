"""One handle a file a process: shared, renewed after errors, closed with its last reader."""

from __future__ import annotations

import gc
import multiprocessing
import os
import pickle
import shutil
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from napari_histoaug.slides import open_slide
from napari_histoaug.slides.openslide_reader import OpenSlideReader
from napari_histoaug.slides.positional_file import PositionalFile
from napari_histoaug.slides.slide import Slide

needs_proc = pytest.mark.skipif(
    not Path("/proc/self/fd").exists(), reason="open files are listed by Linux's /proc"
)


def open_files(path: Path) -> int:
    """Count this process's descriptors of a file."""
    gc.collect()
    found = 0
    for entry in Path("/proc/self/fd").iterdir():
        try:
            found += entry.readlink() == path.resolve()
        except OSError:
            continue
    return found


@needs_proc
def test_slides_of_one_file_share_its_handle_until_the_last_is_closed(make_pyramid_tiff):
    made = make_pyramid_tiff()
    slides = [open_slide(made.path) for _ in range(4)]
    slides.append(pickle.loads(pickle.dumps(slides[0])))
    slides.append(open_slide(made.path, color_space="srgb"))
    assert open_files(made.path) == 1
    for slide in slides[:-1]:
        slide.close()
    assert (slides[-1].read_block(0, 0, 0, 700, 900) == made.levels[0]).all()
    slides[-1].close()
    assert open_files(made.path) == 0


@needs_proc
def test_a_slide_nobody_closes_lets_go_of_its_file(make_pyramid_tiff):
    made = make_pyramid_tiff()
    for _ in range(3):
        open_slide(made.path).read_block(0, 0, 0, 10, 10)
    assert open_files(made.path) == 0


def test_another_name_of_a_file_is_the_same_file_and_its_copy_is_not(make_pyramid_tiff, tmp_path):
    made = make_pyramid_tiff()
    link, copy = tmp_path / "link.tif", tmp_path / "copy.tif"
    link.symlink_to(made.path)
    shutil.copy(made.path, copy)
    one, same, other = (open_slide(path)._reader._handle for path in (made.path, link, copy))
    assert same is one
    assert other is not one


def test_a_file_written_anew_gets_a_new_handle(make_pyramid_tiff):
    old = open_slide(make_pyramid_tiff().path)
    made = make_pyramid_tiff(seed=9)
    os.utime(made.path, ns=(0, old.fingerprint[1] + 10**9))
    with open_slide(made.path) as new:
        assert (new.read_block(0, 0, 0, 700, 900) == made.levels[0]).all()


def test_openslide_is_opened_once_a_file(make_pyramid_tiff):
    made = make_pyramid_tiff()
    readers = [OpenSlideReader(made.path) for _ in range(3)]
    assert len({id(reader._open_slide()) for reader in readers}) == 1
    own = readers[0].reopen(own=True)
    assert own._open_slide() is not readers[0]._open_slide()
    readers[0].close()
    assert (readers[1].read(0, 0, 0, 700, 900) == made.levels[0]).all()


def spoil_first_tile(made) -> None:
    import tifffile

    with tifffile.TiffFile(made.path) as tiff:
        offset, count = tiff.pages[0].dataoffsets[0], tiff.pages[0].databytecounts[0]
    with made.path.open("r+b") as file:
        file.seek(offset)
        file.write(b"\x5a" * count)


def test_an_error_in_one_slide_leaves_the_others_a_working_handle(make_pyramid_tiff):
    made = make_pyramid_tiff(shapes=[(512, 512)])
    spoil_first_tile(made)
    # OpenSlide's handle refuses everything after its first error.
    first, second = (Slide(made.path, OpenSlideReader(made.path)) for _ in range(2))
    before = second._reader._open_slide()
    first.read_block(0, 0, 0, 512, 512)
    assert len(first.failures) == 1
    assert second._reader._open_slide() is not before
    assert second._reader._open_slide() is first._reader._open_slide()
    good = second.read_block(0, 256, 256, 256, 256)
    assert (good == made.levels[0][256:, 256:]).all()
    assert second.failures == []
    with Slide(made.path, OpenSlideReader(made.path)) as third:  # opened after the error
        assert third.levels == first.levels


@pytest.mark.parametrize("reader", [None, OpenSlideReader])
def test_many_threads_and_slides_of_one_damaged_file(make_pyramid_tiff, reader):
    made = make_pyramid_tiff(shapes=[(512, 512)])
    spoil_first_tile(made)
    wrong = []

    def work(seed: int) -> None:
        random = np.random.default_rng(seed)
        for _ in range(8):
            slide = open_slide(made.path) if reader is None else Slide(made.path, reader(made.path))
            with slide:
                slide.read_block(0, 0, 0, 100, 100)
                y, x = random.integers(128, 400, 2)
                block = slide.read_block(0, y, x, 100, 100)
                wrong.append((block != made.levels[0][y : y + 100, x : x + 100]).any())
                wrong.append([failure[:3] for failure in slide.failures] != [(0, 0, 0)])

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(wrong) == 64
    assert not any(wrong)


@pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux only")
def test_a_forked_child_opens_the_file_once_for_all_its_slides(make_pyramid_tiff):
    made = make_pyramid_tiff()
    slides = [open_slide(made.path) for _ in range(3)]
    inherited: PositionalFile = slides[0]._reader._handle.current

    def child(queue) -> None:
        blocks = [slide.read_block(0, 0, 0, 700, 900) for slide in slides]
        handles = {id(slide._reader._handle.current) for slide in slides}
        same = all((block == made.levels[0]).all() for block in blocks)
        queue.put((same, len(handles), id(inherited) in handles))

    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    process = context.Process(target=child, args=(queue,))
    process.start()
    assert queue.get() == (True, 1, False)
    process.join()
