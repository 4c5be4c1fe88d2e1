"""Where edits are kept when there is no folder beside the slide, and when a hash is needed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from napari_histoaug.edits import EditError, EditStore
from napari_histoaug.edits.location import among_user_data, create
from napari_histoaug.slides import Slide, open_slide
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
