"""The parts of an inpaint: windows, resampling, compositing, guidance, loading, synthesis."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from napari_histoaug.generation import (
    GenerationError,
    Generator,
    ModelError,
    load_generator,
    synthesize,
)
from napari_histoaug.generation.composite import (
    composite,
    density,
    feather,
    from_density,
    match_rim,
    prefill,
)
from napari_histoaug.generation.device import available_devices, pick_device
from napari_histoaug.generation.space import pixels_of, state_hole
from napari_histoaug.generation.window import (
    Window,
    resize_hole,
    scale_to,
    scaled_shape,
    window_around,
)


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 60), st.integers(1, 60), st.data())
@settings(max_examples=60, deadline=None)
def test_no_hole_pixel_is_lost_by_resampling(
    height: int, width: int, new_height: int, new_width: int, data: st.DataObject
) -> None:
    hole = np.zeros((height, width), bool)
    y, x = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    hole[y, x] = True
    found = resize_hole(hole, (new_height, new_width))
    centre = (int((y + 0.5) * new_height / height), int((x + 0.5) * new_width / width))
    assert found[centre]
    assert found.sum() <= (np.ceil(new_height / height) + 1) * (np.ceil(new_width / width) + 1)


@given(
    st.integers(20, 300),
    st.integers(20, 300),
    st.sampled_from([16, 32, 64]),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=60, deadline=None)
def test_windows_hold_the_hole_and_fit_the_network(
    height: int, width: int, stride: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    hole = np.zeros((height, width), bool)
    y, x = rng.integers(0, height - 10), rng.integers(0, width - 10)
    hole[y : y + rng.integers(1, height - y), x : x + rng.integers(1, width - x)] = True
    window = window_around(hole, stride, 128)
    assert window.height % stride == 0
    assert window.width % stride == 0
    assert min(window.shape) >= 128
    assert window.cut_hole(hole).sum() == hole.sum()
    image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    copy = image.copy()
    window.paste(copy, window.cut(image).astype(np.uint8))
    assert (copy == image).all()


def test_scales() -> None:
    assert scale_to(None, (0.5, 0.5)) == (1, 1)
    assert scale_to(0.499, (0.5, 0.5)) == (1, 1)
    assert scale_to((0.25, 1.0), (0.5, 0.5)) == (0.5, 2.0)
    assert scaled_shape((100, 30), (0.5, 2.0)) == (50, 60)


def test_windows_repeat_the_edge_outside() -> None:
    image = np.arange(4, dtype=np.uint8).reshape(2, 2)
    cut = Window(-1, -1, 4, 4).cut(image)
    assert cut.tolist() == [[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3]]


def test_the_feather_is_one_inside_and_zero_beyond_the_rim() -> None:
    hole = np.zeros((60, 60), bool)
    hole[20:40, 20:40] = True
    weight = feather(hole, 8)
    distance = ndimage.distance_transform_edt(~hole)
    assert (weight[hole] == 1).all()
    assert ((weight > 0) == (distance <= 8)).all()
    row = weight[30, 39:50]
    assert (np.diff(row) <= 0).all()


def test_compositing_copies_bytes_and_rounds() -> None:
    rng = np.random.default_rng(0)
    image, made = rng.integers(0, 256, (2, 20, 20, 3), dtype=np.uint8)
    weight = np.zeros((20, 20), np.float32)
    weight[5:10] = 1
    weight[10] = 0.5
    blended, changed = composite(image, made, weight)
    assert (blended[5:10] == made[5:10]).all()
    assert (blended[~changed] == image[~changed]).all()
    mean = (image[10].astype(float) + made[10]) / 2
    assert (np.abs(blended[10] - mean) <= 0.5).all()


def test_prefilling_forgets_the_hole() -> None:
    hole = np.zeros((64, 64), bool)
    hole[20:40, 20:40] = True
    image = np.full((64, 64, 3), (200, 120, 160), np.uint8)
    image[hole] = (255, 0, 0)
    assert (prefill(image, hole) == (200, 120, 160)).all()


def test_the_colour_error_of_the_decoder_is_taken_out() -> None:
    made = np.zeros((200, 200), bool)
    made[50:150, 50:150] = True
    image = np.full((200, 200, 3), (200, 120, 160), np.uint8)
    darker = from_density(density(image) + 0.05)
    found = match_rim(image, darker, made)
    assert np.abs(found.astype(int) - image).max() <= 1


def test_what_the_network_made_is_not_taken_for_an_error() -> None:
    made = np.zeros((120, 120), bool)
    made[40:80, 40:80] = True
    image = np.full((120, 120, 3), (200, 120, 160), np.uint8)
    vessel = image.copy()
    vessel[made] = (190, 40, 60)
    assert (match_rim(image, vessel, made) == vessel).all()


def test_optical_density_is_inverted_exactly() -> None:
    image = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
    assert (from_density(density(image)) == image).all()


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_no_hole_pixel_lies_in_a_kept_cell(latent_folder: Path, seed: int) -> None:
    generator = load_generator(latent_folder, device="cpu")
    hole = np.random.default_rng(seed).random((64, 96)) < 0.003
    covered = pixels_of(generator, state_hole(generator, hole, grow=0))
    grown = pixels_of(generator, state_hole(generator, hole, grow=1))
    assert covered[hole].all()
    # One cell more: at least its width beyond every hole pixel.
    near = ndimage.distance_transform_cdt(~hole, "chessboard") <= generator.cell
    assert grown[near & hole.any()].all()


@pytest.mark.parametrize("mpp", [None, 0.25])
def test_synthesis_follows_the_label_map_s_shape(generator: Generator, mpp: float | None) -> None:
    labels = np.zeros((70, 91), np.uint8)
    labels[20:50, 30:60] = 1
    result = synthesize(generator, labels, mpp=mpp, steps=2, seed=3)
    assert result.image.shape == (70, 91, 3)
    assert result.evaluations == 2
    again = synthesize(generator, labels, mpp=mpp, steps=2, seed=3)
    assert (result.image == again.image).all()
    other = synthesize(generator, np.zeros_like(labels), mpp=mpp, steps=2, seed=3)
    assert (result.image != other.image).any()


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        (np.full((8, 8), 2, np.uint8), "values 0 to 1 only"),
        (np.full((8, 8), -1), "values 0 to 1 only"),
        (np.zeros((8, 8, 3), np.uint8), "whole numbers"),
        (np.zeros((8, 8), np.float32), "whole numbers"),
    ],
)
def test_bad_label_maps_get_a_sentence(
    generator: Generator, labels: np.ndarray, sentence: str
) -> None:
    with pytest.raises(GenerationError, match=sentence):
        synthesize(generator, labels)


def test_generators_are_found_by_path_and_otherwise_named(
    pixel_folder: Path, tmp_path: Path
) -> None:
    assert load_generator(str(pixel_folder)).name == "small"
    with pytest.raises(ModelError, match="no model 'nothing-of-this-name'"):
        load_generator("nothing-of-this-name")
    with pytest.raises(ModelError, match=r"no model_index\.json"):
        load_generator(tmp_path)


def test_devices() -> None:
    assert available_devices()[-1] == "cpu"
    assert pick_device("cpu").type == "cpu"
    assert pick_device().type == available_devices()[0]
    with pytest.raises(ModelError, match="no device 'abacus'"):
        pick_device("abacus")
