"""A flattened slide: every pixel, every mark, in bounded pieces, whole or not at all."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
import zarr

from napari_histoaug.errors import Cancelled
from napari_histoaug.exports import ExportError, flatten_to_tiff, flatten_to_zarr, flattening
from napari_histoaug.slides import open_slide


def halved(array):
    """Means of 2 x 2 pixels, the plain way."""
    even = np.pad(array, [(0, n % 2) for n in array.shape[:2]] + [(0, 0)], mode="edge")
    parts = [even[y::2, x::2].astype(float) for y in (0, 1) for x in (0, 1)]
    return np.floor(np.mean(parts, axis=0) + 0.5).astype(np.uint8)


@pytest.fixture(params=[4, 1], ids=["wide blocks", "narrow blocks"])
def across(request, monkeypatch):
    monkeypatch.setattr(flattening, "_ACROSS", request.param)


def test_a_tiff_holds_the_edited_pixels_and_its_mask(edited, tmp_path, across):
    seen = []
    path = flatten_to_tiff(
        edited.slide, edited.store, tmp_path / "out" / "flat.ome.tif",
        progress=lambda done, total: seen.append((done, total)),
    )  # fmt: skip
    with tifffile.TiffFile(path) as tiff:
        image, mask = tiff.series
        assert [level.shape for level in image.levels] == [(1301, 1503, 3), (651, 752, 3)]
        np.testing.assert_array_equal(image.levels[0].asarray(), edited.whole)
        np.testing.assert_array_equal(image.levels[1].asarray(), halved(edited.whole))
        np.testing.assert_array_equal(mask.asarray() > 0, edited.generated)
        assert mask.name == "synthetic"
        said = tiff.ome_metadata
    assert "generated tissue" in said
    assert all(edit.id in said for edit in edited.store.edits)
    assert edited.slide.slide_id() in said
    assert seen == [(n + 1, len(seen)) for n in range(len(seen))]
    assert [p.name for p in path.parent.iterdir()] == ["flat.ome.tif"]


def test_the_tiff_opens_as_a_slide_again(edited, tmp_path):
    path = flatten_to_tiff(edited.slide, edited.store, tmp_path / "flat.ome.tif")
    with open_slide(path) as flat:
        assert [level.shape for level in flat.levels] == [(1301, 1503), (651, 752)]
        assert flat.mpp == pytest.approx(edited.slide.mpp)
        np.testing.assert_array_equal(flat.read_block(0, 0, 0, 1301, 1503), edited.whole)


def test_a_zarr_holds_the_edited_pixels_and_its_mask(edited, tmp_path, across):
    path = flatten_to_zarr(edited.slide, edited.store, tmp_path / "flat.ome.zarr")
    group = zarr.open_group(path, mode="r")
    np.testing.assert_array_equal(np.moveaxis(group["0"][:], 0, -1), edited.whole)
    np.testing.assert_array_equal(np.moveaxis(group["1"][:], 0, -1), halved(edited.whole))
    mask = group["labels/synthetic"]
    np.testing.assert_array_equal(mask["0"][:], edited.generated)
    small = halved(edited.generated[..., None].astype(np.uint8) * 255)[..., 0]
    np.testing.assert_array_equal(mask["1"][:], small > 0)
    facts = group.attrs["histoaug"]
    assert facts["synthetic"] is True
    assert [edit["id"] for edit in facts["edits"]] == [edit.id for edit in edited.store.edits]
    with open_slide(path) as flat:
        np.testing.assert_array_equal(flat.read_block(0, 0, 0, 1301, 1503), edited.whole)


@pytest.mark.parametrize("flatten", [flatten_to_tiff, flatten_to_zarr])
def test_cancelled_leaves_nothing(edited, tmp_path, flatten):
    asked = []

    def cancelled():
        asked.append(1)
        return len(asked) > 2

    with pytest.raises(Cancelled):
        flatten(edited.slide, edited.store, tmp_path / "out" / "flat", cancelled=cancelled)
    assert len(asked) == 3
    assert list((tmp_path / "out").iterdir()) == []


def test_what_is_there_is_not_replaced(edited, tmp_path):
    (tmp_path / "mine.tif").write_text("mine")
    with pytest.raises(ExportError, match=r"mine\.tif exists already"):
        flatten_to_tiff(edited.slide, edited.store, tmp_path / "mine.tif")
    assert (tmp_path / "mine.tif").read_text() == "mine"


def test_without_edits_there_is_nothing_to_flatten(edited, tmp_path):
    while edited.store.undo():
        pass
    with pytest.raises(ExportError, match="no accepted edit"):
        flatten_to_zarr(edited.slide, edited.store, tmp_path / "flat")
