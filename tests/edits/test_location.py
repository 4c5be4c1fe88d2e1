"""Where edits are kept when there is no folder beside the slide, and when a hash is needed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from napari_histoaug.edits import EditError, EditStore
from napari_histoaug.edits.location import among_user_data, create
from napari_histoaug.slides import Slide, identity, open_slide
from napari_histoaug.slides.remote import RemoteSlide
from napari_histoaug.slides.zarr_reader import ZarrReader


@pytest.fixture
def remote(tmp_path):
    """A slide behind an address; its pixels are never asked for."""
    import numpy as np
    import zarr

    group = zarr.open_group(str(tmp_path / "image.zarr"), mode="w")
    group.create_array("0", data=np.zeros((30, 40, 3), np.uint8))
    axes = [{"name": name} for name in "yxc"]
    group.attrs["ome"] = {"multiscales": [{"axes": axes, "datasets": [{"path": "0"}]}]}
    reader = ZarrReader(tmp_path / "image.zarr")
    path = Path(os.devnull) / "image.zarr"
    return RemoteSlide("https://example.org/image.zarr", path, reader, b"{}", None)


def test_edits_of_a_slide_behind_an_address_are_among_the_user_s_data(remote):
    store = EditStore.open(remote)
    assert store.folder == among_user_data(remote)
    assert os.devnull not in str(store.folder)
    create([store.folder], remote)
    assert EditStore.open(remote).folder == store.folder


@pytest.fixture
def hashed(monkeypatch):
    """The slides that were hashed."""
    names = []
    real = Slide.sha256
    monkeypatch.setattr(Slide, "sha256", lambda slide: names.append(slide.name) or real(slide))
    return names


def test_a_slide_of_another_size_is_not_hashed(make_pyramid_tiff, hashed):
    first = make_pyramid_tiff(name="first.tif").path
    second = make_pyramid_tiff(name="second.tif", shapes=[(300, 300)]).path
    with open_slide(first) as slide:
        create([among_user_data(slide)], slide)
    hashed.clear()
    with open_slide(second) as slide:
        assert EditStore.open(slide).edits == []
        assert hashed == []
    with open_slide(first) as slide:
        assert EditStore.open(slide).folder == among_user_data(slide)


def test_a_store_that_knows_no_size_is_still_found(make_pyramid_tiff):
    path = make_pyramid_tiff().path
    with open_slide(path) as slide:
        folder = create([among_user_data(slide)], slide)
        marker = folder / "store.json"
        text = marker.read_text()
        assert f', "slide_bytes": {path.stat().st_size}' in text
        marker.write_text(text.replace(f', "slide_bytes": {path.stat().st_size}', ""))
        assert EditStore.open(slide).folder == folder


def test_edits_of_a_file_of_another_size_are_refused_without_hashing(
    make_pyramid_tiff, tmp_path, hashed
):
    path = make_pyramid_tiff().path
    with open_slide(path) as slide:
        create([tmp_path / "slide.histoaug"], slide)
    other = make_pyramid_tiff(name="other.tif", shapes=[(300, 300)]).path
    shutil.move(other, path)
    hashed.clear()
    with open_slide(path) as slide, pytest.raises(EditError, match="another slide"):
        EditStore.open(slide)
    assert hashed == []


@pytest.fixture
def moved(make_pyramid_tiff, make_edit, slide, monkeypatch, tmp_path):
    """A slide moved with the edits beside it, which counts as large."""
    edit = make_edit()
    EditStore.open(slide).accept(*edit.parts)
    monkeypatch.setattr(identity, "_LARGE", 1)
    place = tmp_path / "moved"
    place.mkdir()
    for path in (slide.path, slide.path.with_suffix(".histoaug")):
        shutil.move(path, place / path.name)
    with open_slide(place / slide.path.name) as opened:
        yield opened, edit


def test_a_moved_large_slide_can_be_opened_without_hashing(moved, monkeypatch):
    slide, edit = moved
    with monkeypatch.context() as patch:
        patch.setattr(identity, "content_sha256", pytest.fail)
        store = EditStore.open(slide, at_once=False)
        assert not store.settled
        assert store.edits == []
        box = edit.record.box
        plain = slide.read_block(0, *box)
        assert (store.read_block(slide, *box) == plain).all()
    store.settle()
    assert store.settled
    assert [record.id for record in store.edits] == [edit.record.id]
    assert (store.read_block(slide, *box)[edit.changed] == edit.image[edit.changed]).all()
    assert EditStore.open(slide, at_once=False).settled  # its hash is known now


def test_what_changes_edits_finds_the_earlier_ones_first(moved, make_edit):
    slide, edit = moved
    store = EditStore.open(slide, at_once=False)
    second = make_edit(box=(300, 300, 50, 50), seed=3)
    store.accept(*second.parts)
    assert [record.id for record in store.edits] == [edit.record.id, second.record.id]
    assert EditStore.open(slide, at_once=False).undo().id == second.record.id


def test_edits_of_another_slide_are_refused_when_they_are_looked_at(moved):
    slide, _ = moved
    with slide.path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\x7f")
    with open_slide(slide.path) as changed:
        store = EditStore.open(changed, at_once=False)
        with pytest.raises(EditError, match="belong to another slide"):
            store.settle()
        assert not store.settled
        assert store.edits == []


def test_without_any_edits_nothing_has_to_be_looked_for(slide, monkeypatch):
    monkeypatch.setattr(identity, "_LARGE", 1)
    monkeypatch.setattr(identity, "content_sha256", pytest.fail)
    assert EditStore.open(slide, at_once=False).settled
