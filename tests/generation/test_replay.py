"""A record made again gives its pixels, or says that it does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest

from napari_histoaug.edits import EditRecord, EditStore
from napari_histoaug.generation import GenerationError, inpaint, load_generator, pace, synthesize
from napari_histoaug.generation.pace import measure_pace
from napari_histoaug.generation.replay import join_region, replay, values_for
from napari_histoaug.slides import Slide, open_slide

BOX = (100, 120, 96, 104)


@pytest.fixture
def store(make_pyramid_tiff: Callable) -> Iterator[tuple[Slide, EditStore]]:
    made = make_pyramid_tiff(shapes=[(400, 500), (200, 250)], name="a.tif")
    with open_slide(made.path) as slide:
        yield slide, EditStore.open(slide)


@pytest.fixture
def generator(pixel_folder):
    return load_generator(pixel_folder, device="cpu")


def hole_in(box):
    hole = np.zeros(box[2:], bool)
    hole[30:60, 30:70] = True
    return hole


def test_every_pixel_comes_out_the_same(store, generator):
    slide, edits = store
    for seed in (3, 4):  # the second one over the first
        before, hole = edits.read_block(slide, *BOX), hole_in(BOX)
        made = inpaint(generator, before, hole, mpp=slide.mpp, seed=seed)
        record = EditRecord.of(slide, BOX, made, generator.name, generator.sha256)
        edits.accept(made.image, made.changed, record, hole)
    for record in edits.edits:
        found = replay(generator, EditStore.open(slide), record)
        assert (found.differing, found.largest) == (0, 0)
        assert "every pixel is the same" in found.sentence
    assert edits.edits[0].seed == 3


def test_a_region_comes_out_the_same(store, generator):
    slide, edits = store
    before = edits.read_block(slide, *BOX)
    labels = hole_in(BOX).astype(np.uint8) * 2
    classes = ("unknown", "blood_vessel")
    values = values_for(generator, labels, classes)
    assert set(np.unique(values)) == {0, 1}
    made = synthesize(generator, values, slide.mpp, seed=5)
    image, changed = join_region(before, made.image)
    np.testing.assert_array_equal(image[~changed], before[~changed])
    np.testing.assert_array_equal(image[30:60, 30:60], made.image[30:60, 30:60])
    record = EditRecord(
        slide_sha256=slide.sha256(),
        box=BOX,
        label="blood_vessel",
        purpose="synthesise",
        classes=classes,
        method=made.method,
        steps=made.steps,
        seed=made.seed,
        model=generator.name,
        model_sha256=generator.sha256,
        mpp=slide.mpp,
    )
    edits.accept(image, changed, record, labels)
    assert replay(generator, edits, record).differing == 0


def test_other_pixels_and_other_models_are_told(store, generator):
    slide, edits = store
    before, hole = edits.read_block(slide, *BOX), hole_in(BOX)
    made = inpaint(generator, before, hole, mpp=slide.mpp, seed=3)
    record = EditRecord.of(slide, BOX, made, generator.name, generator.sha256)
    image = made.image.copy()
    image[40, 40] ^= 1
    edits.accept(image, made.changed, record, hole)
    found = replay(generator, edits, record)
    assert (found.differing, found.largest) == (1, 1)
    assert "1 pixel differs, by at most 1 grey level" in found.sentence
    other = record.model_copy(update={"model_sha256": "0" * 64})
    with pytest.raises(GenerationError, match="other weights"):
        replay(generator, edits, other)
    donor = record.model_copy(update={"donor": "abc"})
    with pytest.raises(GenerationError, match="real vessel abc"):
        replay(generator, edits, donor)


def test_the_pace_is_measured(generator):
    found = measure_pace(generator)
    assert found.evaluation > 0
    assert found.plain > 0
    assert found.seconds(20) > found.seconds(10) >= 10 * found.evaluation


@pytest.mark.parametrize(("guidance", "evaluation"), [(2.0, 2), (1.0, 1)])
def test_a_hole_without_a_class_is_timed_without_guidance(
    generator, guidance, evaluation, monkeypatch
):
    index = generator.index
    sampling = index.sampling.model_copy(update={"guidance": guidance})
    generator = replace(generator, index=index.model_copy(update={"sampling": sampling}))
    # A clock that counts the rows that the network has seen.
    rows = []
    generator.unet.register_forward_pre_hook(lambda unet, given: rows.append(len(given[0])))
    monkeypatch.setattr(pace.time, "perf_counter", lambda: float(sum(rows)))
    found = measure_pace(generator)
    assert (found.evaluation, found.plain) == (evaluation, 1)
    assert found.seconds(7, plain=True) == found.around + 7
