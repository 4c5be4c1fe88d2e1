"""The torch data set: the same patches from the slides and from every form, in any process."""

from __future__ import annotations

import importlib.util
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from napari_histoaug.annotations import write_geojson
from napari_histoaug.edits import EditRecord, EditStore
from napari_histoaug.learning import PatchDataset, TileSampler
from napari_histoaug.patches import PatchError
from napari_histoaug.patches.manifest import read_table, write_table
from napari_histoaug.patches.run import ExtractConfig, Here, run_extraction
from napari_histoaug.slides import open_slide

_where = Path(__file__).parents[1] / "patches" / "conftest.py"
_spec = importlib.util.spec_from_file_location("patch_pieces", _where)
assert _spec is not None
assert _spec.loader is not None
pieces = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(pieces)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two slides, one with an accepted edit, and their patches in every form."""
    folder = tmp_path_factory.mktemp("data")
    names = "[{name: blood_vessel, color: [9, 9, 9]}, {name: fatty_tissue, color: [99, 9, 9]}]"
    (folder / "classes.yaml").write_text(f"classes: {names}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(folder / "user"))
        for number in range(2):
            path = folder / "slides" / f"{number}.tif"
            pieces.write_slide(path, pieces.pink_square(320, 384, 20, seed=number), halvings=1)
            write_geojson(pieces.discs(12, 320, 384, number), path.with_suffix(".geojson"))
        slide = open_slide(path)
        box = (100, 100, 40, 40)
        record = EditRecord(
            slide_sha256=slide.sha256(), box=box, label="blood_vessel", method="pixel-time"
        )
        everything = np.ones((40, 40), bool)
        EditStore.open(slide).accept(np.full((40, 40, 3), 9, np.uint8), everything, record)
        for form in ("zarr", "tar", "png"):
            config = ExtractConfig.model_validate({
                "slides": folder / "slides", "out": folder / form, "form": form, "part": 40,
                "classes": str(folder / "classes.yaml"),
                "patches": {"size": 64, "stride": 32, "mpp": 0.5}, "group_by": "slide",
                "splits": {"train": 0.5, "test": 0.5},
            })  # fmt: skip
            run_extraction(config, Here())
    return folder


@pytest.fixture(autouse=True)
def _same_user(folder, _own_user_folders, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "user"))


@pytest.fixture
def on_the_fly(folder):
    return PatchDataset(folder / "zarr" / "manifest.parquet", slides=folder / "slides")


def test_patches_are_those_of_the_slide(folder, on_the_fly):
    image, mask = on_the_fly[5]
    assert (image.dtype, mask.dtype) == (torch.uint8, torch.int64)
    table = read_table(folder / "zarr" / "manifest.parquet")
    table = table.filter(table["synthetic_frac"].to_numpy() == 0)
    row = table.slice(5, 1).to_pylist()[0]
    paths = sorted((folder / "slides").glob("*.tif"))
    (slide,) = (s for s in map(open_slide, paths) if s.slide_id() == row["slide_id"])
    expected = slide.read_block(0, row["y"], row["x"], 64, 64)
    np.testing.assert_array_equal(np.moveaxis(image.numpy(), 0, 2), expected)
    assert (mask == 1).float().mean() == pytest.approx(row["frac_blood_vessel"])


@pytest.mark.parametrize("form", ["zarr", "tar", "png"])
def test_every_form_holds_the_same(folder, on_the_fly, form):
    written = PatchDataset(folder / form / "manifest.parquet", form=form)
    assert len(written) == len(on_the_fly) > 50
    numbers = [0, len(written) - 1, 17, 3]
    for one, other in zip(
        written.__getitems__(numbers), on_the_fly.__getitems__(numbers), strict=True
    ):
        assert torch.equal(one[0], other[0])
        assert torch.equal(one[1], other[1])


def test_generated_pixels_are_left_out_unless_asked_for(folder, on_the_fly):
    table = read_table(folder / "zarr" / "manifest.parquet")
    generated = (table["synthetic_frac"].to_numpy() > 0).sum()
    assert generated > 0
    assert len(on_the_fly) == table.num_rows - generated
    path = folder / "zarr" / "manifest.parquet"
    every = PatchDataset(path, slides=folder / "slides", synthetic=True)
    assert len(every) == table.num_rows
    at = int(np.flatnonzero(table["synthetic_frac"].to_numpy() > 0)[0])
    assert (every[at][0] == 9).any()


def test_it_works_pickled_forked_and_spawned(on_the_fly):
    whole = [on_the_fly[n] for n in range(len(on_the_fly))]
    again = pickle.loads(pickle.dumps(on_the_fly))
    assert torch.equal(again[3][0], whole[3][0])
    for start in ("fork", "spawn"):
        loader = DataLoader(on_the_fly, batch_size=16, num_workers=1, multiprocessing_context=start)
        images = torch.cat([image for image, _ in loader])
        assert torch.equal(images, torch.stack([image for image, _ in whole]))


def test_the_order_by_tiles_is_a_shuffle(on_the_fly):
    sampler = TileSampler(on_the_fly, seed=1, mixed=2)
    first = list(sampler)
    assert sorted(first) == list(range(len(on_the_fly)))
    assert list(sampler) == first
    sampler.set_epoch(1)
    assert list(sampler) != first


def test_sets_do_not_share_slides_and_leaks_are_refused(folder, tmp_path):
    path = folder / "zarr" / "manifest.parquet"
    train, test = (PatchDataset(path, slides=folder / "slides", split=s) for s in ("train", "test"))
    assert set(train.sources).isdisjoint(test.sources)
    with pytest.raises(PatchError, match="no patch in the set 'dev'"):
        PatchDataset(path, slides=folder / "slides", split="dev")
    import pyarrow as pa

    table = read_table(path)
    mixed = pa.array(["train", "test"] * (table.num_rows // 2) + ["train"] * (table.num_rows % 2))
    at = table.schema.get_field_index("split")
    leaking = write_table(tmp_path / "m.parquet", table.set_column(at, "split", mixed))
    with pytest.raises(PatchError, match="Overlapping patches"):
        PatchDataset(leaking, slides=folder / "slides", split="train")


def test_moved_slides_are_found_by_their_bytes_and_missing_ones_are_said(folder, tmp_path):
    path = folder / "zarr" / "manifest.parquet"
    with pytest.raises(PatchError, match="needs the slides"):
        PatchDataset(path)
    for name in ("0.tif", "0.geojson"):
        (tmp_path / f"moved-{name}").write_bytes((folder / "slides" / name).read_bytes())
    with pytest.raises(PatchError, match="1 slides of"):
        PatchDataset(path, slides=tmp_path)
    for name in ("1.tif", "1.geojson"):
        (tmp_path / f"moved-{name}").write_bytes((folder / "slides" / name).read_bytes())
    moved = PatchDataset(path, slides=tmp_path)
    assert torch.equal(moved[2][0], PatchDataset(path, slides=folder / "slides")[2][0])


def test_edits_accepted_after_the_patches_were_planned_are_refused(folder, tmp_path):
    path = folder / "zarr" / "manifest.parquet"
    for name in ("0.tif", "0.geojson", "1.tif", "1.geojson"):
        (tmp_path / name).write_bytes((folder / "slides" / name).read_bytes())
    real = PatchDataset(path, slides=tmp_path)
    assert len(list(real)) == len(real)  # without any edits the real patches are what they were
    generated = PatchDataset(path, slides=tmp_path, synthetic=True)
    with pytest.raises(PatchError, match=r"edits of 1.tif have changed"):
        list(generated)
    with open_slide(tmp_path / "0.tif") as slide:
        record = EditRecord(
            slide_sha256=slide.sha256(), box=(100, 100, 40, 40), label="blood_vessel", method="x"
        )
        everything = np.ones((40, 40), bool)
        EditStore.open(slide).accept(np.full((40, 40, 3), 9, np.uint8), everything, record)
    with pytest.raises(PatchError, match=r"edits of 0.tif have changed"):
        list(PatchDataset(path, slides=tmp_path))
