"""Accepting, undoing and reopening edits."""

from __future__ import annotations

import errno
import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import zarr
from scipy import ndimage

from napari_histoaug.edits import EditError, EditStore
from napari_histoaug.edits import location as location_module
from napari_histoaug.errors import HistoaugError
from napari_histoaug.slides import open_slide


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_opening_touches_nothing(slide):
    store = EditStore.open(slide)
    assert store.folder == slide.path.parent / "secret-name.histoaug"
    assert not store.folder.exists()
    assert store.edits == []
    assert not store.can_undo
    assert not store.can_redo
    assert store.undo() is None
    assert store.redo() is None


def test_only_changed_pixels_differ_and_the_slide_keeps_its_bytes(slide, make_edit):
    before, bytes_before = slide.read_block(0, 0, 0, 701, 903), slide.path.read_bytes()
    edit = make_edit()
    store = EditStore.open(slide)
    assert store.accept(*edit.parts) == edit.record
    after = store.read_block(slide, 0, 0, 701, 903)
    expected = before.copy()
    expected[101:251, 203:324][edit.changed] = edit.image[edit.changed]
    assert (after == expected).all()
    assert (after != before).any()
    mask = np.zeros((701, 903), bool)
    mask[101:251, 203:324] = edit.changed
    assert (store.synthetic(-10, -20, 800, 1000)[10:711, 20:923] == mask).all()
    assert store.synthetic(-10, -20, 800, 1000).sum() == mask.sum()
    assert slide.path.read_bytes() == bytes_before


def test_later_edits_paint_over_earlier_ones(slide, make_edit):
    first, second = make_edit((100, 200, 80, 80), 1), make_edit((140, 240, 80, 80), 2)
    store = EditStore.open(slide)
    expected = slide.read_block(0, 0, 0, 701, 903)
    for edit in (first, second):
        store.accept(*edit.parts)
        y, x, height, width = edit.record.box
        expected[y : y + height, x : x + width][edit.changed] = edit.image[edit.changed]
    assert (store.read_block(slide, 0, 0, 701, 903) == expected).all()


def test_undo_redo_and_a_new_edit_ends_redo(slide, make_edit):
    store = EditStore.open(slide)
    plain = slide.read_block(0, 0, 0, 701, 903)
    first, second = make_edit(seed=1), make_edit((10, 10, 40, 40), 2)
    store.accept(*first.parts)
    one = store.read_block(slide, 0, 0, 701, 903)
    store.accept(*second.parts)
    assert store.undo() == second.record
    assert (store.read_block(slide, 0, 0, 701, 903) == one).all()
    assert store.undo() == first.record
    assert (store.read_block(slide, 0, 0, 701, 903) == plain).all()
    assert store.redo() == first.record
    assert store.edits == [first.record]
    assert store.can_redo
    third = make_edit((300, 300, 30, 30), 3)
    store.accept(*third.parts)
    assert not store.can_redo
    assert store.redo() is None
    again = EditStore.open(slide)
    assert again.edits == [first.record, third.record]
    assert not again.can_redo


def test_reopening_replays_every_step(slide, make_edit):
    store = EditStore.open(slide)
    edits = [make_edit((10 + 60 * i, 20, 50, 50), i) for i in range(4)]
    for edit in edits:
        store.accept(*edit.parts)
    store.undo()
    store.undo()
    store.redo()
    again = EditStore.open(open_slide(slide.path))
    assert again.edits == [edit.record for edit in edits[:3]]
    assert again.can_redo
    assert (
        again.read_block(slide, 0, 0, 701, 903) == store.read_block(slide, 0, 0, 701, 903)
    ).all()
    assert again.redo() == edits[3].record


def test_journal_only_grows(slide, make_edit):
    store = EditStore.open(slide)
    journal = store.folder / "journal.jsonl"
    contents = b""
    for step in (lambda: store.accept(*make_edit(seed=1).parts), store.undo, store.redo):
        step()
        assert journal.read_bytes().startswith(contents)
        assert len(journal.read_bytes()) > len(contents)
        contents = journal.read_bytes()
    events = [json.loads(line) for line in contents.splitlines()]
    assert [event["event"] for event in events] == ["accept", "undo", "redo"]
    assert events[0]["record"]["seed"] == 1
    assert all(event["time"] and event["id"] == events[0]["id"] for event in events)


@pytest.mark.parametrize("keep", [1, 20, -1])
def test_a_torn_last_line_is_ignored_and_then_cut_off(slide, make_edit, keep):
    store = EditStore.open(slide)
    first, second, third = (make_edit((10, 60 * i, 50, 50), i) for i in range(3))
    store.accept(*first.parts)
    whole = (store.folder / "journal.jsonl").read_bytes()
    store.accept(*second.parts)
    line = (store.folder / "journal.jsonl").read_bytes()[len(whole) :]
    (store.folder / "journal.jsonl").write_bytes(whole + line[:keep])
    again = EditStore.open(slide)
    assert again.edits == [first.record]
    again.accept(*third.parts)
    assert EditStore.open(slide).edits == [first.record, third.record]


def test_a_damaged_line_in_the_middle_is_a_sentence(slide, make_edit):
    store = EditStore.open(slide)
    store.accept(*make_edit(seed=1).parts)
    journal = store.folder / "journal.jsonl"
    journal.write_bytes(b"{nonsense}\n" + journal.read_bytes())
    with pytest.raises(EditError, match=r"Line 1 of .* is damaged"):
        EditStore.open(slide)


def test_unfinished_folders_are_ignored(slide, make_edit):
    store = EditStore.open(slide)
    edit = make_edit()
    store.accept(*edit.parts)
    (store.folder / "edits" / ".part-x" / "0").mkdir(parents=True)
    (store.folder / "edits" / "orphan.ome.zarr").mkdir()
    assert EditStore.open(slide).edits == [edit.record]


def test_missing_pixels_are_a_sentence(slide, make_edit):
    store = EditStore.open(slide)
    edit = make_edit()
    store.accept(*edit.parts)
    (store.folder / "edits" / f"{edit.record.id}.ome.zarr" / "zarr.json").unlink()
    with pytest.raises(EditError, match="missing"):
        EditStore.open(slide)


def test_each_edit_is_an_ome_zarr_group_at_its_place(slide, make_edit):
    store = EditStore.open(slide)
    edit = make_edit()
    store.accept(*edit.parts)
    path = store.folder / "edits" / f"{edit.record.id}.ome.zarr"
    group = zarr.open_group(str(path), mode="r")
    ome = group.attrs["ome"]
    assert ome["version"] == "0.5"
    image = ome["multiscales"][0]
    assert [axis["name"] for axis in image["axes"]] == ["c", "y", "x"]
    scale, translation = image["datasets"][0]["coordinateTransformations"]
    assert scale["scale"] == [1.0, 0.5, 0.5]
    assert translation["translation"] == [0.0, 101 * 0.5, 203 * 0.5]
    assert (group["0"][:] == np.moveaxis(edit.image, -1, 0)).all()
    assert group["labels"].attrs["ome"]["labels"] == ["changed", "hole"]
    mask = group["labels/changed/0"]
    assert mask.dtype == np.uint8
    assert (mask[:] == edit.changed).all()
    assert group.attrs["histoaug"]["synthetic"] is True


def test_the_painted_mask_is_kept_with_the_edit(slide, make_edit):
    first, second = make_edit(), make_edit(seed=1)
    hole = ndimage.binary_erosion(first.changed)
    assert 0 < hole.sum() < first.changed.sum()
    store = EditStore.open(slide)
    store.accept(*first.parts, hole)
    store.accept(*second.parts)
    again = EditStore.open(slide)
    assert (again.painted(first.record) == hole).all()
    assert (again.painted(second.record) == second.changed).all()


def test_a_painted_mask_outside_the_generated_pixels_is_refused(slide, make_edit):
    edit = make_edit()
    with pytest.raises(EditError, match="does not lie inside"):
        EditStore.open(slide).accept(*edit.parts, ~edit.changed)


def test_nothing_written_names_the_slide(slide, make_edit):
    store = EditStore.open(slide)
    store.accept(*make_edit().parts)
    store.undo()
    written = files_below(store.folder)
    assert len(written) > 6
    for path in written:
        assert b"secret-name" not in path.read_bytes(), path
        assert str(slide.path.parent).encode() not in path.read_bytes(), path
        assert "secret-name" not in str(path.relative_to(store.folder))


def test_the_edits_of_another_slide_are_refused(slide, make_edit, make_pyramid_tiff):
    EditStore.open(slide).accept(*make_edit().parts)
    make_pyramid_tiff(shapes=[(701, 903)], name="secret-name.tif", seed=9)
    with open_slide(slide.path) as other, pytest.raises(EditError, match="belong to another slide"):
        EditStore.open(other)


def test_two_windows_on_one_store_see_each_other(slide, make_edit):
    here, there = EditStore.open(slide), EditStore.open(slide)
    first, second = make_edit((10, 10, 40, 40), 1), make_edit((90, 90, 40, 40), 2)
    here.accept(*first.parts)
    there.accept(*second.parts)
    assert there.edits == [first.record, second.record]
    assert here.undo() == second.record
    assert EditStore.open(slide).edits == [first.record]


def test_a_pickled_store_paints_the_same(slide, make_edit, tmp_path):
    for folder in (None, tmp_path / "elsewhere"):
        store = EditStore.open(slide, folder)
        store.accept(*make_edit().parts)
        other = pickle.loads(pickle.dumps(store))
        assert other == store
        assert (
            other.read_block(slide, 50, 50, 300, 300) == store.read_block(slide, 50, 50, 300, 300)
        ).all()
        assert other.edits == store.edits


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda i, c, r: (i[1:], c, r), "do not fit"),
        (lambda i, c, r: (i, c[:, 1:], r), "do not fit"),
        (lambda i, c, r: (i.astype(np.uint16), c, r), "not uint8"),
        (lambda i, c, r: (i, c & False, r), "changes no pixel"),
        (lambda i, c, r: (i, c, r.model_copy(update={"box": (601, 800, 150, 121)})), "inside"),
        (lambda i, c, r: (i, c, r.model_copy(update={"box": (-1, 0, 150, 121)})), "inside"),
        (lambda i, c, r: (i, c, r.model_copy(update={"slide_sha256": "0" * 64})), "another slide"),
    ],
)
def test_an_edit_that_does_not_fit_is_refused(slide, make_edit, spoil, sentence):
    store = EditStore.open(slide)
    with pytest.raises(EditError, match=sentence):
        store.accept(*spoil(*make_edit().parts))
    assert not store.folder.exists()


def test_an_edit_is_accepted_once(slide, make_edit):
    store = EditStore.open(slide)
    edit = make_edit()
    store.accept(*edit.parts)
    with pytest.raises(EditError, match="accepted before"):
        store.accept(*edit.parts)
    assert store.edits == [edit.record]


def forbid(monkeypatch, *folders: Path) -> None:
    """Make folders read only, for root as well."""
    make, access = Path.mkdir, os.access

    def inside(path) -> bool:
        return any(Path(path).is_relative_to(folder) for folder in folders)

    def mkdir(self, *args, **options):
        if inside(self) and not self.exists():
            raise PermissionError(errno.EACCES, "Permission denied", str(self))
        return make(self, *args, **options)

    monkeypatch.setattr(Path, "mkdir", mkdir)
    monkeypatch.setattr(os, "access", lambda p, mode: not inside(p) and access(p, mode))


def test_a_read_only_slide_folder_sends_edits_to_the_user(slide, make_edit, monkeypatch):
    forbid(monkeypatch, slide.path.parent)
    store = EditStore.open(slide)
    edit = make_edit()
    store.accept(*edit.parts)
    assert store.folder == location_module.among_user_data(slide)
    assert store.folder.name == slide.sha256()
    assert not (slide.path.parent / "secret-name.histoaug").exists()
    assert EditStore.open(slide).edits == [edit.record]
    monkeypatch.undo()


def test_neither_place_writable_is_a_sentence(slide, make_edit, monkeypatch):
    user = location_module.among_user_data(slide).parent
    forbid(monkeypatch, slide.path.parent, user)
    store = EditStore.open(slide)
    with pytest.raises(HistoaugError, match=r"neither beside the slide .* nor in your own data"):
        store.accept(*make_edit().parts)
    assert store.edits == []


@pytest.mark.skipif(os.name != "posix", reason="needs a file size limit")
@pytest.mark.parametrize("what", ["crop", "journal"])
def test_a_write_that_fails_leaves_nothing(slide, make_edit, what):
    import resource

    store = EditStore.open(slide)
    first, second = make_edit((10, 10, 40, 40), 1), make_edit(seed=2)
    if what == "journal":
        # The journal is longer than every file of the small edits, so only it hits the limit.
        for index in range(12):
            store.accept(*make_edit((10, 10, 8, 8), index).parts)
    store.accept(*first.parts)
    if what == "journal":
        second = make_edit((10, 10, 8, 8), 99)
    before = {path: path.read_bytes() for path in files_below(store.folder)}
    active = store.edits
    journal = store.folder / "journal.jsonl"
    limit = 10_000 if what == "crop" else journal.stat().st_size + 100
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, old[1]))
    try:
        with pytest.raises(EditError, match="disk is full"):
            store.accept(*second.parts)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
    assert {path: path.read_bytes() for path in files_below(store.folder)} == before
    assert store.edits == active
    store.accept(*second.parts)
    assert EditStore.open(slide).edits == [*active, second.record]
