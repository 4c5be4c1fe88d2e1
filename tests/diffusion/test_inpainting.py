from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from napari_histoaug.diffusion import (
    METHODS,
    SOLVERS,
    SamplingError,
    SeededNoise,
    add_noise,
    evaluations,
    linear_schedule,
    sample,
    sample_inpainting,
    spaced_timesteps,
)
from napari_histoaug.diffusion.langevin import langevin_step
from napari_histoaug.errors import Cancelled, HistoaugError

SHORT: dict[str, dict[str, Any]] = {
    "pixel-time": {"steps": 6},
    "repaint": {"steps": 6, "jump_length": 2, "jump_n_sample": 2},
    "langevin": {"steps": 4, "corrections": 2},
}


def bent(x: Tensor, t: Tensor, hole: Tensor) -> Tensor:
    """Nonlinear and blind to its batch: every image is seen with its own mean."""
    return (
        0.4 * x / (1 + x**2) + 0.1 * x.mean((1, 2, 3), keepdim=True) + t.reshape(-1, 1, 1, 1) / 3000
    )


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_known_pixels_come_back_untouched(scene, method: str, dtype: torch.dtype):
    known, hole = scene[0].to(dtype), scene[1]
    before = known.clone()
    out = sample_inpainting(bent, known, hole, method, **SHORT[method])
    outside = (~hole).expand_as(known)
    assert out.dtype == dtype
    assert torch.equal(out[outside], before[outside])
    assert torch.equal(known, before)
    assert (out[~outside] != before[~outside]).float().mean() > 0.9
    assert not out.requires_grad


@pytest.mark.parametrize("method", METHODS)
def test_what_the_hole_covers_is_never_looked_at(scene, method: str):
    known, hole = scene
    poisoned = torch.where(hole, torch.full_like(known, float("nan")), known)
    clean = sample_inpainting(bent, known, hole, method, **SHORT[method])
    assert torch.equal(sample_inpainting(bent, poisoned, hole, method, **SHORT[method]), clean)


@pytest.mark.parametrize("method", METHODS)
def test_without_a_hole_nothing_is_evaluated(scene, method: str):
    def never(*_: Any) -> Tensor:
        raise AssertionError("evaluated")

    known = scene[0]
    out = sample_inpainting(never, known, torch.zeros_like(scene[1]), method, cancelled=never)
    assert torch.equal(out, known)
    assert out.data_ptr() != known.data_ptr()


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_hole_everywhere_is_plain_sampling(scene, solver: str):
    known, hole = scene[0], torch.ones_like(scene[1])
    options: dict[str, Any] = {"steps": 7, "solver": solver, "eta": 0.3, "seed": 5}
    plain = sample(bent, tuple(known.shape), dtype=torch.float64, **options)
    assert torch.equal(sample_inpainting(bent, known, hole, **options), plain)
    once = sample_inpainting(
        bent, known, hole, "repaint", jump_n_sample=1, spacing="quadratic", **options
    )
    assert torch.equal(once, plain)
    if solver != "dpmpp-2m":  # Langevin corrections leave a multistep solver no history
        bare = sample_inpainting(bent, known, hole, "langevin", corrections=0, **options)
        assert torch.equal(bare, plain)


def test_pixel_time_shows_the_network_clean_surroundings(scene):
    known, hole = scene
    seen: list[int] = []

    def watch(x: Tensor, t: Tensor, given: Tensor) -> Tensor:
        outside = (~hole).expand_as(known)
        assert torch.equal(x[outside], known[outside])
        assert torch.equal(given, hole)
        assert t.shape == (3,)
        assert t.dtype == torch.int64
        assert x.dtype == known.dtype
        seen.append(int(t[0]))
        return bent(x, t, given)

    sample_inpainting(watch, known, hole, steps=9, solver="ancestral")
    assert seen == spaced_timesteps(linear_schedule(), 9, "quadratic")


@pytest.mark.parametrize("method", METHODS)
def test_levels_may_be_given_by_hand(scene, method: str):
    known, hole = scene
    options: dict[str, Any] = {"jump_length": 2, "jump_n_sample": 2, "corrections": 1}
    placed = sample_inpainting(
        bent, known, hole, method, steps=6, spacing="karras", seed=3, **options
    )
    levels = spaced_timesteps(linear_schedule(), 6, "karras")
    given = sample_inpainting(bent, known, hole, method, timesteps=levels, seed=3, **options)
    assert torch.equal(given, placed)
    assert evaluations(method, timesteps=levels, **options) == (
        evaluations(method, steps=6, spacing="karras", **options)
    )


def test_pixel_time_ignores_noise_predicted_for_known_pixels(scene):
    known, hole = scene

    def wild(x: Tensor, t: Tensor, given: Tensor) -> Tensor:
        noise = x.where(~given, torch.zeros_like(x)).mean((1, 2, 3), keepdim=True) + 0.1 * x
        return torch.where(given, noise, torch.full_like(x, 1e9))

    def tame(x: Tensor, t: Tensor, given: Tensor) -> Tensor:
        return torch.where(given, wild(x, t, given), torch.zeros_like(x))

    assert torch.equal(
        sample_inpainting(wild, known, hole, steps=5), sample_inpainting(tame, known, hole, steps=5)
    )


@pytest.mark.parametrize("method", METHODS)
def test_an_image_does_not_depend_on_its_batch(scene, method: str):
    known, hole = scene
    options: dict[str, Any] = {**SHORT[method], "solver": "ancestral"}
    together = sample_inpainting(bent, known, hole, method, seed=[4, 8, 15], **options)
    for i, seed in enumerate([4, 8, 15]):
        alone = sample_inpainting(
            bent, known[i : i + 1], hole[i : i + 1], method, seed=seed, **options
        )
        torch.testing.assert_close(together[i : i + 1], alone, atol=1e-12, rtol=0)
    turned = sample_inpainting(
        bent, known.flip(0), hole.flip(0), method, seed=[15, 8, 4], **options
    )
    torch.testing.assert_close(turned.flip(0), together, atol=1e-12, rtol=0)


@pytest.mark.parametrize("seeds", [(4, 8, 15), range(3)])
def test_whole_images_take_a_seed_each_in_any_order(seeds: Any):
    def run(seed: Any, count: int) -> Tensor:
        options: dict[str, Any] = {"steps": 4, "solver": "ancestral", "dtype": torch.float64}
        return sample(bent, (count, 2, 8, 8), seed=seed, **options)

    together = run(seeds, 3)
    alone = torch.cat([run(seed, 1) for seed in seeds])
    torch.testing.assert_close(together, alone, atol=1e-12, rtol=0)
    turned = run(list(seeds)[::-1], 3).flip(0)
    torch.testing.assert_close(together, turned, atol=1e-12, rtol=0)


@pytest.mark.parametrize("method", METHODS)
def test_a_shared_seed_numbers_the_images(scene, method: str):
    known, hole = (t[:1].expand(3, -1, -1, -1) for t in scene)
    three = sample_inpainting(bent, known, hole, method, seed=2, **SHORT[method])
    one = sample_inpainting(bent, known[:1], hole[:1], method, seed=2, **SHORT[method])
    torch.testing.assert_close(three[:1], one, atol=1e-12, rtol=0)
    assert not torch.allclose(three[0], three[1])
    other = sample_inpainting(bent, known[:1], hole[:1], method, seed=3, **SHORT[method])
    assert not torch.allclose(other, one)


@pytest.mark.parametrize("method", METHODS)
def test_progress_and_preview_follow_every_evaluation(scene, method: str):
    known, hole = scene
    log: list[str] = []
    counts: list[tuple[int, int]] = []

    def watch(x: Tensor, t: Tensor, given: Tensor) -> Tensor:
        log.append("network")
        return bent(x, t, given)

    def preview(done: int, total: int, x0: Tensor) -> None:
        assert torch.equal(x0[(~hole).expand_as(x0)], known[(~hole).expand_as(x0)])
        assert bool(x0.isfinite().all())
        log.append(f"preview {done}/{total}")

    def cancelled() -> bool:
        log.append("asked")
        return False

    sample_inpainting(
        watch,
        known,
        hole,
        method,
        progress=lambda done, total: counts.append((done, total)),
        cancelled=cancelled,
        preview=preview,
        **SHORT[method],
    )
    total = evaluations(method, **SHORT[method])
    assert counts == [(i + 1, total) for i in range(total)]
    expected = [[f"asked network preview {i + 1}/{total}"] for i in range(total)]
    assert " ".join(log) == " ".join(line for part in expected for line in part)


@pytest.mark.parametrize("method", METHODS)
def test_cancel_stops_before_the_next_evaluation(scene, method: str):
    known, hole = scene
    calls = 0

    def count(x: Tensor, t: Tensor, given: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return bent(x, t, given)

    with pytest.raises(Cancelled):
        sample_inpainting(count, known, hole, method, cancelled=lambda: calls == 3, **SHORT[method])
    assert calls == 3


def test_known_evaluation_counts():
    assert evaluations() == 20
    assert evaluations("repaint") == 2410
    assert evaluations("langevin", 17, corrections=2) == 51
    # the two cleanest of 50 quadratic levels round to the same timestep
    assert evaluations("langevin", 50, corrections=4) == 49 * 5
    assert evaluations("langevin", 50, corrections=4, spacing="linear") == 250
    assert evaluations(steps=20, strength=0.5) == 10


def test_nothing_is_clipped_unless_asked(scene):
    known, hole = scene

    def far(x: Tensor, t: Tensor, given: Tensor) -> Tensor:
        return -3.0 + 0 * x

    free = sample_inpainting(far, known, hole, steps=5)
    held = sample_inpainting(far, known, hole, steps=5, clip=(-1.0, 1.0))
    inside = hole.expand_as(known)
    assert free[inside].abs().max() > 1.0
    assert held[inside].abs().max() <= 1.0


def test_precision_follows_the_images_and_little_else(scene):
    known, hole = scene
    fine = sample_inpainting(bent, known, hole, steps=10, solver="ancestral")
    coarse = sample_inpainting(bent, known.float(), hole, steps=10, solver="ancestral")
    torch.testing.assert_close(coarse.double(), fine, atol=1e-4, rtol=1e-4)


def test_a_start_is_noised_to_the_level_of_its_strength(scene):
    known, hole = scene
    start = torch.full_like(known, 2.0)
    seen: list[tuple[int, Tensor]] = []

    def watch(x: Tensor, t: Tensor, given: Tensor) -> Tensor:
        seen.append((int(t[0]), x))
        return bent(x, t, given)

    drawn = torch.randn_like(known)
    sample_inpainting(
        watch, known, hole, steps=20, start=start, strength=0.4, noise=lambda shape: drawn
    )
    levels = spaced_timesteps(linear_schedule(), 20, "quadratic")[12:]
    assert [t for t, _ in seen] == levels
    wanted = add_noise(start, drawn, linear_schedule().alpha_bar_at(levels[0]))
    inside = hole.expand_as(known)
    assert torch.equal(seen[0][1][inside], wanted[inside])


def test_a_langevin_step_moves_by_the_score():
    """On N(0, v) data with an exact score one step maps the variance as the closed form says."""
    a, v, size = 0.3, 0.5, 0.8
    x, noise = torch.eye(2, dtype=torch.float64)  # basis: response to x and to the noise
    total = a * v + 1 - a
    moved = langevin_step(x, math_gain(a, v) * x, a, size, noise)
    h = size * (1 - a)
    torch.testing.assert_close(moved, (1 - h / total) * x + (2 * h) ** 0.5 * noise)


def math_gain(a: float, v: float) -> float:
    """E[x0 | x] / x for N(0, v) data."""
    return a**0.5 * v / (a * v + 1 - a)


@pytest.mark.parametrize(
    "wrong",
    [
        {"method": "magic"},
        {"solver": "magic"},
        {"spacing": "magic"},
        {"steps": 0},
        {"eta": 1.5},
        {"method": "langevin", "corrections": -1},
        {"method": "langevin", "langevin_size": 2.0},
        {"method": "repaint", "jump_length": 0},
        {"strength": 0.5},
        {"timesteps": []},
        {"timesteps": [5, 5, 0]},
        {"timesteps": [1000, 0]},
        {"timesteps": [5, -1]},
        {"timesteps": [5, 0], "steps": 2},
    ],
)
def test_impossible_requests_are_one_sentence(scene, wrong: dict[str, Any]):
    with pytest.raises(HistoaugError) as caught:
        sample_inpainting(bent, *scene, **wrong)
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)


def test_wrong_tensors_are_refused(scene):
    known, hole = scene
    for bad in (hole.float(), hole[:1], hole.expand(-1, 2, -1, -1)):
        with pytest.raises(SamplingError):
            sample_inpainting(bent, known, bad)
    with pytest.raises(SamplingError):
        sample_inpainting(bent, known.to(torch.uint8), hole)
    with pytest.raises(SamplingError):
        sample_inpainting(lambda x, t, h: x[:, :1], known, hole)
    with pytest.raises(SamplingError):
        sample_inpainting(bent, known, hole, start=known[:1])


@pytest.mark.parametrize("method", METHODS)
def test_gradients_are_recorded_only_for_known_pixels_that_ask(scene, method: str):
    known, hole = scene
    weight = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)

    def network(x: Tensor, t: Tensor, given: Tensor) -> Tensor:
        return weight * bent(x, t, given)

    quiet = sample_inpainting(network, known, hole, method, **SHORT[method])
    assert not quiet.requires_grad
    asking = known.clone().requires_grad_()
    assert sample_inpainting(network, asking, hole, method, **SHORT[method]).requires_grad


@pytest.mark.parametrize("method", ["repaint", "langevin"])
def test_pasted_noise_is_not_the_noise_of_the_moves(scene, method: str):
    """Known pixels never repeat the noise that the run started from."""
    known, hole = scene
    seen: list[tuple[float, Tensor]] = []

    def watch(x: Tensor, t: Tensor, given: Tensor) -> Tensor:
        seen.append((linear_schedule().alpha_bar_at(int(t[0])), x))
        return bent(x, t, given)

    sample_inpainting(watch, known, hole, method, **SHORT[method])
    start = SeededNoise(0, torch.float64)(tuple(known.shape))
    outside = (~hole).expand_as(known)
    for alpha_bar, x in seen[1:]:
        pasted = ((x - alpha_bar**0.5 * known) / (1 - alpha_bar) ** 0.5)[outside]
        assert abs(torch.corrcoef(torch.stack([pasted, start[outside]]))[0, 1]) < 0.3
