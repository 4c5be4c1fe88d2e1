"""Sets of slides: whole patients, even classes, nothing in two of them."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_histoaug.patches import PatchError, assign_splits, check_splits
from napari_histoaug.patches.manifest import ClassSummary, SlideEntry
from napari_histoaug.patches.similar import distance, thumbnail_hash
from napari_histoaug.patches.splits import crossings

from .conftest import pink_square

SHARES = {"train": 0.7, "validation": 0.15, "test": 0.15}


def entry(number, patient=None, vessel=1.0, fat=0.0, sha256=None):
    return SlideEntry(
        source=f"s{number}", status="done", slide_id=f"i{number}", patches=10,
        slide_sha256=sha256 or f"h{number}", patient_group=patient,
        classes={"vessel": ClassSummary(in_patches=vessel), "fat": ClassSummary(in_patches=fat)},
    )  # fmt: skip


@given(
    patients=st.lists(st.integers(0, 12), min_size=1, max_size=40),
    areas=st.lists(st.floats(0, 1e6), min_size=40, max_size=40),
    seed=st.integers(0, 5),
)
def test_a_patient_is_in_one_set_and_every_slide_in_some(patients, areas, seed):
    slides = [entry(i, f"p{p}", areas[i]) for i, p in enumerate(patients)]
    found = assign_splits(slides, SHARES, seed=seed)
    assert set(found) == {s.source for s in slides}
    for patient in set(patients):
        assert len({found[f"s{i}"] for i, p in enumerate(patients) if p == patient}) == 1


def test_every_class_is_shared_out_evenly():
    slides = [entry(i, f"p{i}", vessel=1 + i % 7, fat=5.0 * (i % 10 == 0)) for i in range(100)]
    found = assign_splits(slides, SHARES)
    for name, most in (("vessel", 0.06), ("fat", 0.101)):  # ten slides have fat
        total = sum(s.classes[name].in_patches for s in slides)
        for split, share in SHARES.items():
            got = sum(s.classes[name].in_patches for s in slides if found[s.source] == split)
            assert abs(got / total - share) <= most


def test_the_same_slides_are_divided_the_same_way():
    slides = [entry(i, f"p{i}") for i in range(20)]
    again = assign_splits(list(reversed(slides)), SHARES)
    assert assign_splits(slides, SHARES) == again
    assert assign_splits(slides, SHARES, seed=1) != again


def test_slides_stand_for_patients_only_when_none_is_named():
    said: list[str] = []
    assign_splits([entry(i) for i in range(9)], SHARES, say=said.append)
    assert "slide by slide" in said[0]
    with pytest.raises(PatchError, match="1 of 2 slides name no patient"):
        assign_splits([entry(0, "p"), entry(1)], SHARES)
    assign_splits([entry(0, "p"), entry(1)], SHARES, group_by="slide")


def test_held_out_slides_take_their_patients_along():
    slides = [entry(i, f"p{i // 2}") for i in range(12)]
    found = assign_splits(slides, SHARES, held_out={"s3": "test"})
    assert found["s2"] == found["s3"] == "test"
    with pytest.raises(PatchError, match="held out for test and validation"):
        assign_splits(slides, SHARES, held_out={"s2": "validation", "s3": "test"})


def test_the_same_bytes_under_two_patients_stay_together():
    slides = [entry(0, "a", sha256="x"), entry(1, "b"), entry(2, "b", sha256="x"), entry(3, "a")]
    found = assign_splits([*slides, *(entry(i, f"p{i}") for i in range(4, 9))], SHARES)
    assert len({found[f"s{i}"] for i in range(4)}) == 1


def rows(*patches):
    names = ("patient_group", "slide_sha256", "split", "row", "column", "out_size")
    return pa.table({n: [p[i] for p in patches] for i, n in enumerate(names)})


def test_a_patient_in_two_sets_is_refused():
    table = rows(("p", "a", "train", 0, 0, 64), ("p", "b", "test", 0, 0, 64))
    with pytest.raises(PatchError, match="patient p would be in test and train"):
        check_splits(table)


def test_overlapping_patches_in_two_sets_are_refused_and_others_are_not():
    near = rows((None, "a", "train", 0, 60, 64), (None, "a", "test", 0, 123, 64))
    with pytest.raises(PatchError, match="Overlapping patches"):
        check_splits(near)
    assert crossings(near)[1][0].splits == ("test", "train")
    check_splits(rows((None, "a", "train", 0, 60, 64), (None, "a", "test", 0, 124, 64)))


def test_rescans_look_alike_and_other_slides_do_not():
    image = pink_square(200, 300, 30)
    image[40:90, 60:200] = (90, 60, 140)
    other = image[::-1, ::-1].copy()
    darker = (image[::2, ::2] * 0.95).astype("uint8")
    assert distance(thumbnail_hash(image), thumbnail_hash(darker)) <= 4
    assert distance(thumbnail_hash(image), thumbnail_hash(other)) > 12
