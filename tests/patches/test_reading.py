"""Patches as they are read, and as they come back from every form."""

from __future__ import annotations

import tarfile

import numpy as np
import pytest
import shapely

from napari_histoaug.annotations import Document, Feature
from napari_histoaug.edits import EditRecord, EditStore
from napari_histoaug.patches import PatchError, PatchSettings
from napari_histoaug.patches.forms import open_part, write_part
from napari_histoaug.patches.grid import patch_grid
from napari_histoaug.patches.labels import Labels
from napari_histoaug.patches.pixels import read_pixels
from napari_histoaug.patches.plan import plan_patches
from napari_histoaug.patches.reading import PatchReader
from napari_histoaug.slides import open_slide
from napari_histoaug.slides.resampling import area_mean

from .conftest import CLASSES, discs, labels_of, pink_square


@pytest.fixture
def slide(make_slide):
    return open_slide(make_slide(pink_square(512, 704, 60), halvings=2))


def read_all(slide, settings, document, tile=2048, store=None):
    labels = labels_of(document, store=store)
    plan = plan_patches(slide, labels, settings)
    reader = PatchReader(slide, plan.grid, labels, settings.size, store)
    return plan, list(reader.patches(plan.rows, plan.columns, tile))


def test_patches_are_the_pixels_of_the_slide(slide):
    plan, patches = read_all(slide, PatchSettings(size=64, stride=32), discs(20, 512, 704))
    assert [p.number for p in patches] == list(range(len(plan)))
    for patch in patches[::7]:
        row, column = int(plan.rows[patch.number]), int(plan.columns[patch.number])
        np.testing.assert_array_equal(patch.image, slide.read_block(0, row, column, 64, 64))
        assert (patch.mask == 1).sum() == plan.class_pixels[0, patch.number]
        assert (patch.mask == 2).sum() == plan.class_pixels[1, patch.number]


@pytest.mark.parametrize("mpp", [0.8, 1.3, 3.1])
def test_resampled_patches_are_area_means_of_the_next_finer_level(slide, mpp):
    settings = PatchSettings(size=32, stride=32, mpp=mpp, target_percent=0)
    plan, patches = read_all(slide, settings, None)
    level = {0.8: 0, 1.3: 1, 3.1: 2}[mpp]
    assert plan.grid.level == level
    height, width = slide.levels[level].shape
    whole = slide.read_block(level, 0, 0, height, width)
    ratio = (mpp / 0.5 / 2**level,) * 2
    for patch in patches[:5]:
        target = (int(plan.rows[patch.number]), int(plan.columns[patch.number]), 32, 32)
        mean = area_mean(whole, (0, 0), ratio, target)
        np.testing.assert_array_equal(patch.image, np.rint(mean).astype(np.uint8))


def test_what_a_patch_is_does_not_depend_on_the_blocks(slide):
    settings = PatchSettings(size=64, stride=16, mpp=0.7)
    document = discs(20, 512, 704)
    _, patches = read_all(slide, settings, document)
    for tile in (64, 150):
        _, others = read_all(slide, settings, document, tile)
        by_number = {p.number: p for p in others}
        assert len(by_number) == len(patches)
        for patch in patches:
            np.testing.assert_array_equal(patch.image, by_number[patch.number].image)
            np.testing.assert_array_equal(patch.mask, by_number[patch.number].mask)


def test_a_long_outline_is_painted_the_same_when_it_is_cut(slide):
    angles = np.linspace(0, 2 * np.pi, 3000, endpoint=False)
    radius = 150 + 40 * np.sin(30 * angles)
    star = shapely.Polygon(
        np.stack([350 + radius * np.cos(angles), 250 + radius * np.sin(angles)], axis=1)
    )
    labels = labels_of(Document.from_features([Feature.new(star, "blood_vessel")]))
    grid = patch_grid(slide, PatchSettings())
    whole = labels.mask(grid, (0, 0, 512, 704))
    rows, columns = np.mgrid[0:512, 0:704] + 0.5
    np.testing.assert_array_equal(whole > 0, shapely.contains_xy(star, columns, rows))
    for box in ((200, 300, 64, 64), (90, 330, 33, 70), (0, 0, 40, 40)):
        part = whole[box[0] : box[0] + box[2], box[1] : box[1] + box[3]]
        np.testing.assert_array_equal(labels.mask(grid, box), part)


def test_edits_are_seen_painted_and_counted(slide, tmp_path):
    store = EditStore.open(slide, tmp_path / "edits")
    box = (200, 300, 50, 40)
    changed = np.ones((50, 40), bool)
    hole = np.zeros((50, 40), bool)
    hole[10:40, 10:30] = True
    image = np.full((50, 40, 3), 7, np.uint8)
    record = EditRecord(
        slide_sha256=slide.sha256(), box=box, label="blood_vessel", method="pixel-time"
    )
    store.accept(image, changed, record, hole)
    settings = PatchSettings(size=64, stride=32, target_percent=0, tissue_percent=0)
    plan, patches = read_all(slide, settings, None, store=store)
    assert 0 < (plan.synthetic_pixels > 0).sum() < len(plan)
    for patch in patches:
        y, x = int(plan.rows[patch.number]), int(plan.columns[patch.number])
        assert plan.synthetic_pixels[patch.number] == store.synthetic(y, x, 64, 64).sum()
        np.testing.assert_array_equal(patch.image, store.read_block(slide, y, x, 64, 64))
        expected = np.zeros((512, 704), np.uint8)
        expected[210:240, 310:330] = 1
        np.testing.assert_array_equal(patch.mask, expected[y : y + 64, x : x + 64])


def test_edits_take_part_at_other_resolutions(slide, tmp_path):
    store = EditStore.open(slide, tmp_path / "edits")
    record = EditRecord(
        slide_sha256=slide.sha256(), box=(201, 303, 40, 40), label="blood_vessel", method="x"
    )
    everything = np.ones((40, 40), bool)
    store.accept(np.full((40, 40, 3), 7, np.uint8), everything, record, everything)
    grid = patch_grid(slide, PatchSettings(mpp=1.0))
    labels = Labels(None, CLASSES, store)
    box = (90, 140, 64, 64)
    image = read_pixels(slide, grid, box, store)
    mask = labels.mask(grid, box)
    synthetic = labels.synthetic(grid, box)
    # of the level-0 rows 201 to 240, rows 100 to 119 have a centre, and row 120 a pixel
    assert mask.sum() == 20 * 20
    assert synthetic.sum() == 21 * 21
    assert (image[11:30, 12:31] == 7).all()
    assert (labels.touched(grid, box)[0] >= (mask == 1)).all()
    unedited = read_pixels(slide, grid, box)
    np.testing.assert_array_equal(image[~synthetic], unedited[~synthetic])


@pytest.mark.parametrize("form", ["zarr", "tar", "png"])
def test_forms_bring_patches_back_and_are_the_same_each_time(slide, tmp_path, form):
    settings = PatchSettings(size=64, stride=32)
    plan, patches = read_all(slide, settings, discs(20, 512, 704))
    facts = [{"row": int(row)} for row in plan.rows]
    paths = [tmp_path / name / f"part{'.' + form if form != 'png' else ''}" for name in "ab"]
    for path in paths:
        write_part(path, form, iter(patches), facts, 64)
        part = open_part(path)
        assert len(part) == len(patches)
        for number in (0, len(patches) - 1, len(patches) // 2):
            image, mask = part[number]
            np.testing.assert_array_equal(image, patches[number].image)
            np.testing.assert_array_equal(mask, patches[number].mask)
        assert not list(path.parent.glob(".*"))
    assert contents(paths[0]) == contents(paths[1])
    if form == "tar":
        with tarfile.open(paths[0]) as tar:
            names = [member.name for member in tar][:3]
        assert names == ["000000.image.png", "000000.mask.png", "000000.json"]


def contents(path):
    """Return every file below a path, by name."""
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    return {str(file.relative_to(path)): file.read_bytes() for file in files}


def test_a_form_that_fails_leaves_nothing(slide, tmp_path):
    def broken():
        yield from read_all(slide, PatchSettings(size=64), discs(20, 512, 704))[1][:1]
        raise OSError(28, "No space left on device")

    for form in ("zarr", "tar", "png"):
        with pytest.raises(PatchError, match="No space left"):
            write_part(tmp_path / "parts" / "x", form, broken(), [{}, {}], 64)
        assert not list((tmp_path / "parts").iterdir())
    with pytest.raises(PatchError, match="missing or damaged"):
        open_part(tmp_path / "parts" / "x.zarr")
