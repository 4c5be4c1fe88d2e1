"""Inpainting: what changes, what must not, what is told on the way, what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from scipy import ndimage

from napari_histoaug.diffusion import evaluations
from napari_histoaug.errors import Cancelled
from napari_histoaug.generation import GenerationError, Generator, inpaint, load_generator

Image = npt.NDArray[np.uint8]
Hole = npt.NDArray[np.bool_]


@pytest.mark.parametrize("mpp", [None, 0.5, 0.25, (0.25, 0.4), 1.0])
def test_only_the_dilated_hole_changes(
    generator: Generator, image: Image, hole: Hole, mpp: float | tuple[float, float] | None
) -> None:
    result = inpaint(generator, image, hole, mpp=mpp, steps=2)
    assert result.image.dtype == np.uint8
    assert (result.image == image)[~result.changed].all()
    assert result.changed[hole].all()
    beyond = ndimage.distance_transform_edt(~hole)[result.changed].max()
    assert 0 < beyond <= 32
    assert (result.image != image)[hole].any(axis=-1).mean() > 0.5


@pytest.mark.parametrize("corner", [(0, 0), (0, 180), (160, 0), (160, 180)])
def test_a_hole_may_touch_the_edge(
    generator: Generator, image: Image, corner: tuple[int, int]
) -> None:
    hole = np.zeros(image.shape[:2], bool)
    hole[corner[0] : corner[0] + 20, corner[1] : corner[1] + 20] = True
    result = inpaint(generator, image, hole, steps=2)
    assert result.changed[hole].all()
    assert (result.image == image)[~result.changed].all()


def test_everything_may_be_hole(generator: Generator, image: Image) -> None:
    result = inpaint(generator, image, np.ones(image.shape[:2], bool), steps=2)
    assert result.changed.all()


def test_five_hundred_random_holes_leave_every_other_byte_alone(
    latent_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = load_generator(latent_folder, device="cpu")
    monkeypatch.setattr("napari_histoaug.generation.window.CONTEXT", 8)
    rng = np.random.default_rng(1)
    image = rng.integers(0, 256, (56, 64, 3), dtype=np.uint8)
    tried = 0
    while tried < 500:
        seeds = rng.random((56, 64)) < rng.choice([0.0002, 0.002, 0.02])
        grown = int(rng.integers(0, 9))
        hole = ndimage.binary_dilation(seeds, iterations=grown) if grown else seeds
        if not hole.any():
            continue
        tried += 1
        result = inpaint(generator, image, hole, steps=1, seed=tried)
        beyond = ndimage.distance_transform_edt(~hole)
        assert (result.image == image)[beyond > 8].all()
        assert (result.image == image)[~result.changed].all()
        assert not result.changed[beyond > 8].any()
        assert result.changed[hole].all()


def test_the_same_request_gives_the_same_pixels(
    generator: Generator, image: Image, hole: Hole
) -> None:
    first = inpaint(generator, image, hole, steps=3, seed=7)
    again = inpaint(generator, image, hole, steps=3, seed=7)
    other = inpaint(generator, image, hole, steps=3, seed=8)
    assert (first.image == again.image).all()
    assert (first.image != other.image).any()


def test_the_label_matters(generator: Generator, image: Image, hole: Hole) -> None:
    vessel = inpaint(generator, image, hole, label="blood_vessel", steps=2)
    tissue = inpaint(generator, image, hole, label="background", steps=2)
    assert (vessel.image != tissue.image).any()


def test_evaluations_are_counted_at_the_network(
    generator: Generator, image: Image, hole: Hole
) -> None:
    calls: list[int] = []
    handle = generator.unet.register_forward_hook(lambda *_: calls.append(1))
    ticks: list[tuple[int, int]] = []
    result = inpaint(
        generator, image, hole, progress=lambda done, total: ticks.append((done, total))
    )
    handle.remove()
    assert result.steps == generator.default_steps == 4
    assert result.evaluations == len(calls) == 4
    assert ticks == [(1, 4), (2, 4), (3, 4), (4, 4)]


@pytest.mark.parametrize(("method", "steps"), [("repaint", 14), ("langevin", 3)])
def test_repaint_and_langevin_fill_the_hole_too(
    generator: Generator, image: Image, hole: Hole, method: str, steps: int
) -> None:
    result = inpaint(generator, image, hole, method=method, steps=steps)
    assert (result.image == image)[~result.changed].all()
    assert result.method == method
    assert result.evaluations == evaluations(method, steps) > steps


def test_previews_have_the_image_s_shape_and_its_bytes_outside(
    generator: Generator, image: Image, hole: Hole
) -> None:
    shown: list[Image] = []
    result = inpaint(generator, image, hole, steps=12, preview=shown.append, preview_every=1)
    assert shown
    assert all((p == image)[~result.changed].all() for p in shown)


def test_cancel_stops_before_the_next_evaluation(
    generator: Generator, image: Image, hole: Hole
) -> None:
    ticks: list[int] = []
    with pytest.raises(Cancelled):
        inpaint(
            generator,
            image,
            hole,
            progress=lambda done, _: ticks.append(done),
            cancelled=lambda: len(ticks) >= 2,
        )
    assert ticks == [1, 2]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"hole": np.zeros((180, 200), bool)}, "no hole"),
        ({"hole": np.ones((10, 10), bool)}, "must agree"),
        ({"image": np.zeros((180, 200), np.uint8)}, "8-bit RGB"),
        ({"image": np.zeros((180, 200, 3), np.float32)}, "8-bit RGB"),
        ({"label": "bone"}, "does not know 'bone'"),
        ({"method": "magic"}, "no method 'magic'"),
    ],
)
def test_bad_requests_get_a_sentence(
    generator: Generator, image: Image, hole: Hole, change: dict[str, object], sentence: str
) -> None:
    request = {"image": image, "hole": hole, **change}
    with pytest.raises(GenerationError, match=sentence):
        inpaint(generator, **request)  # type: ignore[arg-type]
