"""Several holes at once, and methods by name."""

from __future__ import annotations

import numpy as np
import pytest

from napari_histoaug.diffusion import PRESETS, evaluations
from napari_histoaug.generation import GenerationError, Generator, inpaint, inpaint_many
from napari_histoaug.generation.methods import WAYS, Way


def holes_and_images(n: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    rng = np.random.default_rng(3)
    images = [rng.integers(0, 256, (96, 96, 3), dtype=np.uint8) for _ in range(n)]
    y, x = np.mgrid[:96, :96]
    holes = [(y - 48 - i) ** 2 + (x - 48 + i) ** 2 < 81 for i in range(n)]
    return images, holes


def test_a_batch_is_what_each_is_alone(generator: Generator) -> None:
    images, holes = holes_and_images(3)
    # One of them needs a larger window, so it goes through the network on its own.
    big = np.random.default_rng(1).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    images.append(big)
    holes.append(np.pad(np.ones((50, 50), bool), 103))
    sizes: list[int] = []
    generator.unet.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    ticks: list[tuple[int, int]] = []
    together = inpaint_many(
        generator, images, holes, steps=2, seeds=[5, 6, 7, 8],
        progress=lambda done, total: ticks.append((done, total)),
    )  # fmt: skip
    assert sorted(sizes) == [1, 1, 3, 3]
    assert ticks == [(1, 4), (2, 4), (3, 4), (4, 4)]
    for image, hole, seed, found in zip(images, holes, [5, 6, 7, 8], together, strict=True):
        alone = inpaint(generator, image, hole, steps=2, seed=seed)
        assert found.seed == seed
        assert (found.changed == alone.changed).all()
        # Half precision sums in another order; a level or two of 256.
        assert np.abs(found.image.astype(int) - alone.image).max() <= 4


def test_a_batch_may_be_limited_and_its_order_does_not_matter(generator: Generator) -> None:
    images, holes = holes_and_images(3)
    forward = inpaint_many(generator, images, holes, steps=1, seeds=[1, 2, 3], batch=2)
    back = inpaint_many(generator, images[::-1], holes[::-1], steps=1, seeds=[3, 2, 1], batch=2)
    for a, b in zip(forward, back[::-1], strict=True):
        assert np.abs(a.image.astype(int) - b.image).max() <= 4


def test_numbers_that_differ_are_a_sentence(generator: Generator) -> None:
    images, holes = holes_and_images(2)
    with pytest.raises(GenerationError, match="2 images, 1 holes and 2 seeds"):
        inpaint_many(generator, images, holes[:1])


@pytest.mark.parametrize("name", ["fast", "turbo", "draft"])
def test_presets_are_methods_by_name(
    generator: Generator, image: np.ndarray, hole: np.ndarray, name: str
) -> None:
    result = inpaint(generator, image, hole, method=name)
    assert result.method == name
    assert result.steps == PRESETS[name].parameters["steps"]
    assert result.evaluations == PRESETS[name].evaluations
    again = inpaint(generator, image, hole, method=result.method, steps=result.steps)
    assert (again.image == result.image).all()


def test_the_paper_s_setting_is_known_without_running_it(generator: Generator) -> None:
    way = Way.of(generator, "paper")
    assert way.evaluations(generator) == 2410
    assert (way.method, way.steps) == ("repaint", 250)
    assert set(WAYS) == {"pixel-time", "repaint", "langevin", *PRESETS}


@pytest.mark.parametrize(("method", "steps"), [("repaint", 250), ("langevin", 50)])
def test_the_record_says_levels_not_evaluations(
    generator: Generator, method: str, steps: int
) -> None:
    way = Way.of(generator, method)
    assert way.steps == steps
    assert way.evaluations(generator) == evaluations(method) > steps


def test_impossible_steps_are_a_sentence(
    generator: Generator, image: np.ndarray, hole: np.ndarray
) -> None:
    with pytest.raises(GenerationError, match="number of steps has to be 1 to 1000"):
        inpaint(generator, image, hole, steps=0)
