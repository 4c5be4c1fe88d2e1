"""Steps of the networks whose usual form costs a CPU more than it has to; results are the same.

Elsewhere than on a CPU, and where torch.compile rewrites them anyhow, the usual forms are used.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

#: Positions of an image from which a doubling and the convolution after it are cheaper in one:
#: used, and taught, which is done in batches. The size of a batch must not decide, since an image
#: is to come out the same in any.
_MANY_POSITIONS, _MANY_TAUGHT = 1024, 64
#: Positions of an image below which PyTorch normalises a group after the other.
_WALKED = 1024


def _on_cpu(x: Tensor) -> bool:
    return x.device.type == "cpu" and not torch.compiler.is_compiling()


def taught_on_cpu(x: Tensor) -> bool:
    """Whether a gradient will be asked of `x` (B, C, H, W), in channels_last, on a CPU."""
    laid_out = x.is_contiguous(memory_format=torch.channels_last)
    return _on_cpu(x) and torch.is_grad_enabled() and x.requires_grad and laid_out


def _rows(x: Tensor) -> Tensor:
    """(B, C, H, W) as (B, H W, C); a view in the layout channels_last."""
    return x.permute(0, 2, 3, 1).flatten(1, 2)


def _spread(values: Tensor, like: Tensor) -> Tensor:
    """(B, C) as (B, C, 1, 1), in the dtype of `like`."""
    return values.to(like.dtype)[:, :, None, None]


class GroupNorm(nn.GroupNorm):
    """Group normalisation (Wu and He 2018) with a backward pass made for channels_last.

    PyTorch's walks through the few channels of each group, position by position; this one sums
    all channels at once, as products of matrices. The forward pass of small maps in bfloat16,
    for which PyTorch walks, too, sums them so as well.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (B, C, H, W)."""
        if not taught_on_cpu(x):
            return super().forward(x)
        out: Tensor = _GroupNorm.apply(x, self.num_groups, self.weight, self.bias, self.eps)
        return out


class _GroupNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, groups: int, weight: Tensor | None, bias: Tensor | None, eps: float
    ) -> Tensor:
        batch, channels, height, width = x.shape
        if x.dtype == torch.bfloat16 and height * width < _WALKED:
            out, mean, rstd = _normalised(x, groups, weight, bias, eps)
        else:
            out, mean, rstd = torch.native_group_norm(
                x, weight, bias, batch, channels, height * width, groups, eps
            )
        ctx.save_for_backward(x, weight, mean, rstd)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, rstd = ctx.saved_tensors
        mean, rstd = mean.float()[:, :, None], rstd.float()[:, :, None]
        batch, channels, height, width = x.shape
        parts = (batch, mean.shape[1], -1)
        rows = _rows(grad)
        one = rows.new_ones(batch, 1, height * width)
        total = torch.bmm(one, rows).float().view(parts)
        along = torch.bmm(one, rows * _rows(x)).float().view(parts)
        scale = rstd.expand_as(total)
        if weight is not None:
            scale = scale * weight.float().view(1, *parts[1:])
        # dx = scale g - (x - mean) rstd^2 <scale g (x - mean)> - <scale g>, means over the group.
        count = channels // parts[1] * height * width
        pull = (scale * total).sum(2, keepdim=True) / count
        slope = ((scale * along).sum(2, keepdim=True) / count - pull * mean) * rstd**2
        spread = [
            _spread(each.expand_as(total).flatten(1), x)
            for each in (slope * mean - pull, -slope, scale)
        ]
        into_x = torch.addcmul(spread[0], x, spread[1]).addcmul_(grad, spread[2])
        if weight is None:
            return into_x, None, None, None, None
        into_weight = ((along - total * mean) * rstd).sum(0).flatten()
        return into_x, None, into_weight, total.sum(0).flatten(), None


def _normalised(
    x: Tensor, groups: int, weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Group normalisation of `x` with the mean and 1 / deviation (B, groups), all in float32."""
    batch, channels, height, width = x.shape
    each = (batch, groups, channels // groups)
    count = each[2] * height * width
    rows = _rows(x).float()
    mean = rows.sum(1).view(each).sum(2) / count
    rows = rows - mean[:, :, None].expand(each).reshape(batch, 1, channels)
    rstd = ((rows * rows).sum(1).view(each).sum(2) / count + eps).rsqrt()
    scale = rstd[:, :, None].expand(each).reshape(batch, 1, channels)
    if weight is None or bias is None:
        out = rows * scale
    else:
        out = torch.addcmul(bias.float(), rows, scale * weight.float())
    out = out.to(x.dtype).view(batch, height, width, channels).permute(0, 3, 1, 2)
    return out, mean, rstd


def affine_between(x: Tensor, at_zero: Tensor, at_one: Tensor, share: Tensor) -> Tensor:
    """``x (1 + scale) + shift`` by two pairs of scale and shift, mixed position by position.

    Parameters
    ----------
    x : Tensor, (B, C, H, W)
    at_zero, at_one : Tensor, (B, 2 C)
        Scales, then shifts, where `share` is 0, and where it is 1.
    share : Tensor, (B, 1, H, W)
        0 to 1; nothing is learnt about it.

    Returns
    -------
    Tensor, (B, C, H, W)
        In the dtype of `x`.
    """
    share = share.to(x.dtype)
    if not taught_on_cpu(x):
        return _between(x, at_zero, at_one, share)
    out: Tensor = _AffineBetween.apply(x, at_zero, at_one, share)
    return out


def _between(x: Tensor, at_zero: Tensor, at_one: Tensor, share: Tensor) -> Tensor:
    # Mixing the two results is mixing scales and shifts, but never builds a map of either: three
    # passes over x, and lerp is exact where the share is 0 or 1.
    ends = []
    for end in (at_zero, at_one):
        scale, shift = _spread(end, x).chunk(2, dim=1)
        ends.append(torch.addcmul(shift, x, 1 + scale))
    return torch.lerp(ends[0], ends[1], share)


class _AffineBetween(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, at_zero: Tensor, at_one: Tensor, share: Tensor) -> Tensor:
        ctx.save_for_backward(x, at_zero, at_one, share)
        return _between(x, at_zero, at_one, share)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, at_zero, at_one, share = ctx.saved_tensors
        rows = _rows(grad)
        # What flows to either end: one sum over positions weighted by 1 - share, one by share.
        weights = torch.cat([1 - share, share], 1).flatten(2)
        shifts = torch.bmm(weights, rows)
        scales = torch.bmm(weights, rows * _rows(x))
        into_zero, into_one = torch.cat([scales, shifts], 2).unbind(1)
        start, end = (_spread(each, x).chunk(2, dim=1)[0] for each in (at_zero, at_one))
        into_x = (grad * (1 + start)).addcmul_(grad * share, end - start)
        return into_x, into_zero.to(at_zero.dtype), into_one.to(at_one.dtype), None


def doubled(x: Tensor, convolution: nn.Conv2d) -> Tensor:
    """Repeat every position 2 x 2, then convolve by 3 x 3.

    A convolution sees each position up to four times after that; a transposed one, whose kernel
    holds the sums of its weights, counts it once, which is 16 products instead of 36.
    """
    least = _MANY_TAUGHT if taught_on_cpu(x) else _MANY_POSITIONS
    if not _on_cpu(x) or x.shape[2] * x.shape[3] < least:
        out: Tensor = convolution(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        return out
    weight = convolution.weight
    sums = sum(F.pad(weight, (a, 1 - a, b, 1 - b)) for a in (0, 1) for b in (0, 1))
    assert isinstance(sums, Tensor)
    kernel = sums.flip(2, 3).transpose(0, 1)
    return F.conv_transpose2d(x, kernel, convolution.bias, stride=2, padding=1)
