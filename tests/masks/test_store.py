"""The sparse mask store against a dense array, and what survives a crash."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import zarr

from napari_histoaug.masks.chunk_files import CHUNK
from napari_histoaug.masks.history import StrokeHistory
from napari_histoaug.masks.store import MaskError, MaskStore

SHAPE = (2300, 1701)
CLASSES = ("blood_vessel", "fat")


@pytest.fixture
def store(tmp_path):
    return MaskStore(tmp_path / "slide.histoaug" / "painted.zarr", SHAPE, CLASSES, (0.5, 0.5))


def pooled(dense):
    padded = np.pad(dense, [(0, side % 2) for side in dense.shape])
    return padded.reshape(padded.shape[0] // 2, 2, padded.shape[1] // 2, 2).max(axis=(1, 3))


def levels_of(dense, count):
    out = [dense]
    while len(out) < count:
        out.append(pooled(out[-1]))
    return out


def whole(store, level):
    return store.read(level, (0, 0, *store.shapes[level]))


def scribble(random, store, dense):
    """Paint a random rectangle of random pixels at a random level, in the store and densely."""
    level = int(random.integers(len(store.shapes)))
    height, width = (int(n) for n in random.integers(1, 700, 2))
    y, x = (int(random.integers(-100, side)) for side in store.shapes[level])
    values = random.integers(0, 3, (height, width)).astype(np.uint8)
    changed = random.random((height, width)) < random.choice([0.01, 0.5, 1.0])
    change = store.write(level, (y, x, height, width), values, changed)
    rows, columns = np.nonzero(changed)
    for i, j in zip(rows + y, columns + x, strict=True) if changed.sum() < 4000 else ():
        if i >= 0 and j >= 0:
            place = np.s_[i << level : (i + 1) << level, j << level : (j + 1) << level]
            dense[place] = values[i - y, j - x]
    if changed.sum() >= 4000:
        step = 2**level
        big, mask = (np.kron(a, np.ones((step, step), a.dtype)) for a in (values, changed))
        top, left = y * step, x * step
        here = dense[max(top, 0) : top + big.shape[0], max(left, 0) : left + big.shape[1]]
        cut = np.s_[
            max(-top, 0) : max(-top, 0) + here.shape[0],
            max(-left, 0) : max(-left, 0) + here.shape[1],
        ]
        here[mask[cut] != 0] = big[cut][mask[cut] != 0]
    return change


def test_it_equals_a_dense_mask_at_every_level_through_undo_and_redo(store):
    random = np.random.default_rng(3)
    dense, history = np.zeros(SHAPE, np.uint8), StrokeHistory(store)
    states = [dense.copy()]
    for _ in range(8):
        change = scribble(random, store, dense)
        if change is not None:
            history.add(change)
            states.append(dense.copy())
    assert len(states) > 5
    assert store.shapes[-1] == (144, 107)
    for state in reversed(states):
        for level, expected in enumerate(levels_of(state, len(store.shapes))):
            np.testing.assert_array_equal(whole(store, level), expected)
        history.undo()
    assert store.is_bare
    assert not history.can_undo
    while history.redo():
        pass
    np.testing.assert_array_equal(whole(store, 0), states[-1])
    # a new stroke forgets what was undone
    history.undo()
    sevens = np.full((1, 1), 7, np.uint8)
    history.add(store.write(0, (0, 0, 1, 1), sevens, sevens > 0))
    assert not history.can_redo


def test_zarr_reads_it_and_no_empty_chunk_is_stored(store):
    ones = np.ones((40, 50), np.uint8)
    store.write(0, (500, 700, 40, 50), ones, ones > 0)
    group = zarr.open_group(store.folder, mode="r")
    (scale,) = group.attrs["ome"]["multiscales"]
    for level, dataset in enumerate(scale["datasets"]):
        array = group[dataset["path"]]
        assert (array.dtype, array.chunks, array.shape) == (
            np.uint8,
            (CHUNK, CHUNK),
            store.shapes[level],
        )
        np.testing.assert_array_equal(array[:], whole(store, level))
    assert sorted(p.relative_to(store.folder / "0").as_posix() for p in chunks(store, 0)) == [
        "c/0/1",
        "c/1/1",
    ]
    store.write(0, (400, 600, 300, 300), np.zeros((300, 300), np.uint8), np.ones((300, 300), bool))
    assert not any(chunks(store, level) for level in range(len(store.shapes)))
    assert store.is_bare


def chunks(store, level):
    return [path for path in (store.folder / str(level) / "c").rglob("*") if path.is_file()]


def test_a_stroke_of_one_pixel_survives_at_the_coarsest_level(store):
    store.write(0, (1234, 987, 1, 1), np.full((1, 1), 2, np.uint8), np.ones((1, 1), bool))
    assert whole(store, 2)[1234 // 4, 987 // 4] == 2


def test_it_is_there_again_with_its_classes(store):
    ones = np.ones((3, 3), np.uint8)
    store.write(0, (5, 5, 3, 3), ones, ones > 0)
    again = MaskStore(store.folder, SHAPE, (*CLASSES, "nerve"))
    np.testing.assert_array_equal(whole(again, 0), whole(store, 0))
    again.write(0, (9, 9, 3, 3), 3 * ones, ones > 0)
    with pytest.raises(MaskError, match="blood_vessel, fat, nerve"):
        MaskStore(store.folder, SHAPE, ("fat", "blood_vessel"))
    with pytest.raises(MaskError, match="another slide"):
        MaskStore(store.folder, (10, 10), CLASSES)


def test_damage_is_a_sentence(store):
    ones = np.ones((3, 3), np.uint8)
    store.write(0, (5, 5, 3, 3), ones, ones > 0)
    (path,) = chunks(store, 0)
    path.write_bytes(b"no chunk")
    with pytest.raises(MaskError, match="cannot be decoded"):
        whole(store, 0)
    (store.folder / "zarr.json").write_text("{}")
    with pytest.raises(MaskError, match="damaged"):
        MaskStore(store.folder, SHAPE, CLASSES)


def test_what_cannot_be_written_changes_nothing(store, monkeypatch):
    ones = np.ones((600, 600), np.uint8)
    store.write(0, (5, 5, 3, 3), ones[:3, :3], ones[:3, :3] > 0)
    before = [whole(store, level) for level in range(len(store.shapes))]
    put, left = store._files.put, [3]

    def full(chunk, data):
        left[0] -= 1
        if left[0] == 0:
            raise OSError(28, "No space left on device")
        put(chunk, data)

    monkeypatch.setattr(store._files, "put", full)
    with pytest.raises(MaskError, match="No space left"):
        store.write(0, (300, 300, 600, 600), 2 * ones, ones > 0)
    for level in range(len(store.shapes)):
        np.testing.assert_array_equal(whole(store, level), before[level])


def test_a_kill_in_the_middle_of_a_stroke_leaves_levels_that_agree(tmp_path):
    script = f"""
import os, sys
import numpy as np
from pathlib import Path
from napari_histoaug.masks.store import MaskStore
store = MaskStore(Path(sys.argv[1]), {SHAPE}, {CLASSES})
ones = np.ones((900, 900), np.uint8)
store.write(0, (10, 10, 30, 30), ones[:30, :30], ones[:30, :30] > 0)
put, left = store._files.put, [int(sys.argv[2])]
def dying(chunk, data):
    if left[0] == 0:
        os.kill(os.getpid(), 9)
    left[0] -= 1
    put(chunk, data)
store._files.put = dying
store.write(0, (300, 300, 900, 900), ones, ones > 0)
"""
    for number in (0, 3, 10):
        folder = tmp_path / str(number) / "painted.zarr"
        done = subprocess.run([sys.executable, "-c", script, str(folder), str(number)], check=False)
        assert done.returncode != 0
        assert json.loads((folder / "pending.json").read_text())
        store = MaskStore(folder, SHAPE, CLASSES)
        assert not (folder / "pending.json").exists()
        dense = whole(store, 0)
        # the stroke before is whole
        assert dense[10:40, 10:40].all()
        for level, expected in enumerate(levels_of(dense, len(store.shapes))):
            np.testing.assert_array_equal(whole(store, level), expected)
