"""What is computed more cheaply on a CPU equals its usual form, forwards and backwards."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_histoaug.models import cheaper
from napari_histoaug.models.cheaper import GroupNorm, affine_between, doubled


def image(*shape: int, seed: int = 0) -> Tensor:
    """Activations away from zero, laid out as in training."""
    generator = torch.Generator().manual_seed(seed)
    x = 2 * torch.randn(*shape, generator=generator) + 0.7
    return x.to(memory_format=torch.channels_last).requires_grad_()


def gradients(out: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
    into = torch.randn(out.shape, generator=torch.Generator().manual_seed(9))
    return torch.autograd.grad(out, inputs, into.to(out.dtype))


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("groups", [1, 3, 12])
def test_group_norm_learns_as_pytorch_does(groups: int, affine: bool) -> None:
    torch.manual_seed(0)
    ours, usual = GroupNorm(groups, 12, affine=affine), nn.GroupNorm(groups, 12, affine=affine)
    for parameter in ours.parameters():
        nn.init.normal_(parameter, mean=1.0)
    usual.load_state_dict(ours.state_dict())
    x = image(3, 12, 5, 7)
    assert torch.equal(ours(x), usual(x))
    found = gradients(ours(x), x, *ours.parameters())
    expected = gradients(usual(x), x, *usual.parameters())
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("side", [8, 40])
def test_group_norm_in_half_precision_is_as_near_to_the_truth_as_pytorch(
    side: int, affine: bool
) -> None:
    torch.manual_seed(0)
    ours, usual = GroupNorm(8, 32, affine=affine), nn.GroupNorm(8, 32, affine=affine)
    for parameter in ours.parameters():
        nn.init.normal_(parameter, mean=1.0)
    usual.load_state_dict(ours.state_dict())
    half = image(2, 32, side, side).detach().bfloat16().requires_grad_()
    x = half.detach().float().requires_grad_()
    made = usual(x)
    truth = made, *gradients(made, x)
    errors = []
    for norm in (ours, usual):
        out = norm(half)
        found = out, *gradients(out, half)
        assert out.is_contiguous(memory_format=torch.channels_last)
        errors.append([_distance(a, b) for a, b in zip(found, truth, strict=True)])
    assert errors[0][0] < 1.01 * errors[1][0]
    assert errors[0][1] < 2 * errors[1][1]


def _distance(found: Tensor, truth: Tensor) -> float:
    return float((found.detach().float() - truth.detach()).square().mean().sqrt())


def test_an_affine_map_between_two_learns_as_its_formula_does() -> None:
    torch.manual_seed(1)
    x, share = image(2, 6, 5, 7), torch.rand(2, 1, 5, 7)
    ends = [torch.randn(2, 12, requires_grad=True) for _ in range(2)]
    scale, shift = ((1 - share) * a + share * b for a, b in _maps(*ends))
    expected = x * (1 + scale) + shift
    found = affine_between(x, *ends, share)
    torch.testing.assert_close(found, expected)
    for one, other in zip(gradients(found, x, *ends), gradients(expected, x, *ends), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def _maps(at_zero: Tensor, at_one: Tensor) -> list[tuple[Tensor, Tensor]]:
    halves = (end[:, :, None, None].chunk(2, dim=1) for end in (at_zero, at_one))
    return list(zip(*halves, strict=True))


@pytest.mark.parametrize("size", [(3, 4), (33, 35)])
def test_a_doubling_and_its_convolution_are_one(size: tuple[int, int]) -> None:
    torch.manual_seed(2)
    convolution, x = nn.Conv2d(5, 4, 3, padding=1), image(1, 5, *size)
    found = doubled(x, convolution)
    expected = convolution(F.interpolate(x, scale_factor=2.0, mode="nearest"))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    inputs = (x, *convolution.parameters())
    for one, other in zip(gradients(found, *inputs), gradients(expected, *inputs), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(
    "call",
    [
        lambda x: GroupNorm(2, 4)(x),
        lambda x: affine_between(x, torch.ones(1, 8), torch.zeros(1, 8), torch.ones(1, 1, 40, 40)),
        lambda x: doubled(x, nn.Conv2d(4, 4, 3, padding=1)),
    ],
)
def test_a_network_being_compiled_keeps_the_usual_forms(
    call: Callable[[Tensor], Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    for name in ("_GroupNorm", "_AffineBetween"):
        monkeypatch.delattr(cheaper, name)
    monkeypatch.setattr(F, "conv_transpose2d", None)
    assert call(image(1, 4, 40, 40)).isfinite().all()
