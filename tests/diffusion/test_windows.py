"""Windows over a state of any size: no other result than one huge window, where that can be had."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import conv2d

from napari_histoaug.diffusion import (
    METHODS,
    FieldNoise,
    SamplingError,
    Window,
    Windowed,
    linear_schedule,
    noise_from_x0,
    sample_inpainting,
    x0_from_noise,
)
from napari_histoaug.diffusion.windows import taper, window_starts
from napari_histoaug.errors import Cancelled

SHORT: dict[str, dict[str, Any]] = {
    "pixel-time": {"steps": 5},
    "repaint": {"steps": 5, "jump_length": 2, "jump_n_sample": 2},
    "langevin": {"steps": 3, "corrections": 1},
}
KERNEL = torch.randn(2, 2, 3, 3, generator=torch.Generator().manual_seed(5)).double() / 6
RADIUS = 2  # of `local`: two convolutions of 3 x 3


def local(x: Tensor, t: Tensor, hole: Tensor) -> Tensor:
    """A translation-invariant network that sees 2 pixels far and pads with zeros."""
    inner = torch.tanh(conv2d(x + 0.1 * hole, KERNEL, padding=1))
    return conv2d(inner, KERNEL, padding=1) + t.reshape(-1, 1, 1, 1) / 3000


def in_windows(x: Tensor, t: Tensor, hole: Tensor, windows: Sequence[Window]) -> Tensor:
    assert len(x) == len(t) == len(hole) == len(windows)
    return local(x, t, hole)


@pytest.fixture
def field() -> tuple[Tensor, Tensor]:
    """Two float64 images (2, 2, 20, 33) and holes across window borders, one in a corner."""
    generator = torch.Generator().manual_seed(1)
    known = torch.randn(2, 2, 20, 33, generator=generator, dtype=torch.float64)
    hole = torch.zeros(2, 1, 20, 33, dtype=torch.bool)
    hole[0, :, 5:17, 4:30] = hole[1, :, :9, 25:] = True
    return known, hole


@pytest.mark.parametrize("align", [1, 4])
@pytest.mark.parametrize(("length", "size", "overlap"), [(33, 12, 5), (12, 12, 5), (64, 16, 8)])
def test_windows_cover_an_axis(length: int, size: int, overlap: int, align: int):
    starts = window_starts(length, size, overlap, align)
    assert starts[0] == 0
    assert starts[-1] == length - size
    assert all(0 < after - before <= size - overlap for before, after in pairwise(starts))
    assert all(start % align == 0 for start in starts[:-1])
    assert window_starts(length + 40, size, overlap, align)[: len(starts) - 1] == starts[:-1]


@pytest.mark.parametrize("margin", [0, 2])
def test_tapers_sum_to_one_and_weigh_no_margin(margin: int):
    length, size, overlap = 40, 16, 8
    starts = window_starts(length, size, overlap)
    total = torch.zeros(length, dtype=torch.float64)
    for start in starts:
        weight = taper(start, size, length, overlap, margin)
        assert bool((weight >= 0).all())
        assert bool((weight[:margin] == 0).all()) == (start > 0 or margin == 0)
        total[start : start + size] += weight
    torch.testing.assert_close(total, torch.ones_like(total), atol=1e-14, rtol=0)


def test_half_an_overlap_is_a_hann_window():
    hann = torch.signal.windows.hann(16, sym=False, dtype=torch.float64)
    shifted = 0.5 - 0.5 * torch.cos(2 * torch.pi * (torch.arange(16).double() + 0.5) / 16)
    torch.testing.assert_close(taper(8, 16, 64, 8, 0), shifted)
    assert (shifted - hann).abs().max() < 0.1


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("batch", [1, 3, 100])
def test_windows_of_a_local_network_give_what_one_huge_window_gives(field, method: str, batch: int):
    known, hole = field
    whole = sample_inpainting(
        local, known, hole, method, noise=FieldNoise(3, known.dtype), **SHORT[method]
    )
    network = Windowed(in_windows, (12, 14), overlap=6, margin=RADIUS, batch=batch)
    parts = sample_inpainting(
        network, known, hole, method, noise=FieldNoise(3, known.dtype), **SHORT[method]
    )
    torch.testing.assert_close(parts, whole, atol=1e-10, rtol=0)
    blind = Windowed(in_windows, (12, 14), overlap=6, batch=batch)
    other = sample_inpainting(
        blind, known, hole, method, noise=FieldNoise(3, known.dtype), **SHORT[method]
    )
    assert not torch.allclose(other, whole, atol=1e-4)


def test_a_state_smaller_than_a_window_is_one_window(field):
    known, hole = field
    network = Windowed(in_windows, (64, 64), overlap=32)
    t = torch.tensor([500, 20])
    assert network.windows(hole) == [Window(0, 0, 0), Window(1, 0, 0)]
    torch.testing.assert_close(network(known, t, hole), local(known, t, hole), atol=1e-12, rtol=0)


def test_averaging_noise_at_one_state_is_averaging_clean_predictions(field):
    """The weighted mean of the windows' x0, written out, against what `Windowed` does."""
    x, _ = field
    a, t = linear_schedule().alpha_bar_at(700), torch.tensor([700, 700])
    hole = torch.ones_like(x[:, :1], dtype=torch.bool)
    network = Windowed(in_windows, (12, 12), overlap=5)
    x0, total = torch.zeros_like(x), torch.zeros(20, 33, dtype=torch.float64)
    for y in window_starts(20, 12, 5):
        for c in window_starts(33, 12, 5):
            place = (..., slice(y, y + 12), slice(c, c + 12))
            weight = taper(y, 12, 20, 5, 0)[:, None] * taper(c, 12, 33, 5, 0)
            x0[place] += weight * x0_from_noise(x[place], local(x[place], t, hole[place]), a)
            total[place] += weight
    wanted = noise_from_x0(x, x0 / total, a)
    torch.testing.assert_close(network(x, t, hole), wanted, atol=1e-12, rtol=0)


def test_the_network_is_told_where_its_windows_lie_and_when(field):
    _, hole = field
    places = torch.arange(20 * 33, dtype=torch.float64).reshape(1, 1, 20, 33) + torch.tensor(
        [0.0, 1e4]
    ).reshape(2, 1, 1, 1)
    seen: list[Window] = []

    def look(x: Tensor, t: Tensor, part: Tensor, windows: Sequence[Window]) -> Tensor:
        assert len(windows) <= 3
        for i, (image, y, c) in enumerate(windows):
            assert torch.equal(x[i], places[image, :, y : y + 12, c : c + 14])
            assert torch.equal(part[i], hole[image, :, y : y + 12, c : c + 14])
            assert int(t[i]) == [600, 30][image]
        seen.extend(windows)
        return torch.zeros_like(x)

    network = Windowed(look, (12, 14), overlap=6, batch=3)
    network(places, torch.tensor([600, 30]), hole)
    assert seen == network.windows(hole)
    assert network.calls(hole) == -(-len(seen) // 3)


def test_windows_without_a_hole_are_not_evaluated(field):
    known, hole = field
    network = Windowed(in_windows, (12, 14), overlap=6)
    windows = network.windows(hole)
    everywhere = network.windows(torch.ones_like(hole))
    assert set(windows) < set(everywhere)
    assert not any(
        hole[n, :, y : y + 12, x : x + 14].any() for n, y, x in set(everywhere) - set(windows)
    )
    # and the pixels of the hole do not miss them
    t = torch.tensor([400, 400])

    class Eager(Windowed):
        def windows(self, hole: Tensor) -> list[Window]:
            return everywhere

    eager = Eager(in_windows, (12, 14), overlap=6)
    inside = hole.expand_as(known)
    assert torch.equal(network(known, t, hole)[inside], eager(known, t, hole)[inside])


def test_cancel_is_asked_before_every_batch(field):
    known, hole = field
    calls = 0

    def count(x: Tensor, t: Tensor, part: Tensor, windows: Sequence[Window]) -> Tensor:
        nonlocal calls
        calls += 1
        return x

    network = Windowed(count, (12, 14), overlap=6, batch=2, cancelled=lambda: calls == 2)
    with pytest.raises(Cancelled):
        sample_inpainting(network, known, hole)
    assert calls == 2


def test_the_dtype_of_the_state_is_kept(field):
    known, hole = field
    network = Windowed(lambda x, t, part, windows: x.float() / 2, (12, 14), overlap=6)
    for dtype in (torch.float32, torch.bfloat16):
        assert network(known.to(dtype), torch.tensor([5, 5]), hole).dtype == dtype


@pytest.mark.parametrize(
    "wrong",
    [{"overlap": 0}, {"overlap": 6, "margin": 3}, {"overlap": 6, "batch": 0}, {"overlap": 14}],
)
def test_impossible_windows_are_one_sentence(field, wrong: dict[str, int]):
    known, hole = field
    with pytest.raises(SamplingError, match=r"^[^\n]*\.$"):
        Windowed(in_windows, (12, 14), **wrong)(known, torch.tensor([5, 5]), hole)
    short = Windowed(lambda x, t, part, windows: x[:, :1], (12, 14), overlap=6)
    with pytest.raises(SamplingError):
        short(known, torch.tensor([5, 5]), hole)


def strip_covariance(make_world: Any, length: float, windows: bool) -> tuple[Tensor, Tensor]:
    """Covariance of sampled 2 x 40 strips, exactly, and of the data; windows are 2 x 16."""
    oracle = sys.modules[make_world.__module__]
    rows, columns, size = 2, 40, 16
    pixels, schedule = rows * columns, linear_schedule()
    cov = oracle.covariance(rows, columns, length)

    def ideal(x: Tensor, t: Tensor, hole: Tensor, places: Sequence[Window] = ()) -> Tensor:
        """E[noise | what this window sees]: the best that a network with this view can do."""
        a = schedule.alpha_bar_at(int(t[0]))
        gain = oracle.shrinkage(oracle.covariance(rows, x.shape[3], length), a)
        flat = x.reshape(len(x), -1)
        return noise_from_x0(flat, flat @ gain, a).reshape(x.shape)

    network = Windowed(ideal, (rows, size), overlap=8, batch=10**6) if windows else ideal
    start = torch.zeros(pixels, 1, rows, columns, dtype=torch.float64, requires_grad=True)
    known = torch.zeros_like(start, requires_grad=True)
    hole = torch.ones_like(start, dtype=torch.bool)
    out = sample_inpainting(network, known, hole, steps=20, noise=lambda shape: start)
    out.reshape(pixels, -1).diagonal().sum().backward()
    response = start.grad.reshape(pixels, -1)
    return response @ response.T, cov


@pytest.mark.parametrize(("length", "dip"), [(2.0, 0.012), (4.0, 0.03)])
def test_no_dip_of_variance_and_no_break_of_correlation_at_window_borders(
    make_world, length: float, dip: float
):
    """For structures up to a quarter of a window; windows sampled apart would lose half."""
    parts, cov = strip_covariance(make_world, length, windows=True)
    whole, _ = strip_covariance(make_world, length, windows=False)
    pixels = torch.arange(80).reshape(2, 40)
    variance = [(c.diagonal() / cov.diagonal()).reshape(2, 40).mean(0) for c in (parts, whole)]
    assert (variance[0] - variance[1]).abs().max() < dip
    across = [
        c[pixels[:, :-1], pixels[:, 1:]].mean(0) / c.diagonal().mean() for c in (parts, whole)
    ]
    assert (across[0] - across[1]).abs().max() < dip
    apart = taper(8, 16, 40, 8, 0)
    assert (apart[:8] ** 2 + (1 - apart[:8]) ** 2).min() < 0.53
