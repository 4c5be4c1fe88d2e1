"""Geometry of one inpaint: resampling to the network's pixel size, and the window it looks at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

Image = npt.NDArray[np.uint8]
Bool = npt.NDArray[np.bool_]
Mpp = float | tuple[float, float]

SAME_SIZE = 0.02  # pixel sizes closer than this share are taken as equal
CONTEXT = 64  # px of surroundings the network should see around a hole


def scale_to(mpp: Mpp | None, target: tuple[float, float]) -> tuple[float, float]:
    """Factors (y, x) by which an image at `mpp` grows to reach `target` micrometres per pixel."""
    if mpp is None:
        return 1.0, 1.0
    own = (mpp, mpp) if isinstance(mpp, int | float) else mpp
    scale = (own[0] / target[0], own[1] / target[1])
    if all(abs(s - 1) <= SAME_SIZE for s in scale):
        return 1.0, 1.0
    return scale


def scaled_shape(shape: tuple[int, int], scale: tuple[float, float]) -> tuple[int, int]:
    """Return the shape of an image after scaling, at least one pixel a side."""
    return max(1, round(shape[0] * scale[0])), max(1, round(shape[1] * scale[1]))


def resize_image(image: Image, shape: tuple[int, int]) -> Image:
    """Resample RGB (H, W, 3) to `shape`, bicubic, with a low-pass filter when it shrinks."""
    if image.shape[:2] == shape:
        return image
    x = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].float()
    y = F.interpolate(x, shape, mode="bicubic", antialias=True, align_corners=False)
    return y[0].permute(1, 2, 0).round().clamp(0, 255).to(torch.uint8).numpy()


def resize_labels(labels: npt.NDArray[np.uint8], shape: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Resample a label mask (H, W) to `shape` by nearest pixel centre."""
    if labels.shape == shape:
        return labels
    x = torch.from_numpy(np.ascontiguousarray(labels))[None, None].float()
    return F.interpolate(x, shape, mode="nearest-exact")[0, 0].to(torch.uint8).numpy()


def resize_hole(hole: Bool, shape: tuple[int, int]) -> Bool:
    """Resample a hole (H, W) to `shape` so that no hole pixel is lost: any overlap counts."""
    if hole.shape == shape:
        return hole
    rows, columns = (_overlaps(n, m) for n, m in zip(hole.shape, shape, strict=True))
    return (rows.T @ hole.astype(np.float32) @ columns) > 0


def _overlaps(source: int, target: int) -> npt.NDArray[np.float32]:
    """1 where pixel i of `source` overlaps pixel j of `target`, float32 (source, target)."""
    low = np.arange(source)[:, None] * (target / source)
    high = (np.arange(source)[:, None] + 1) * (target / source)
    j = np.arange(target)[None]
    return ((high > j + 1e-9) & (low < j + 1 - 1e-9)).astype(np.float32)


@dataclass(frozen=True)
class Window:
    """A rectangle of an image, possibly reaching beyond it, that the network looks at."""

    y: int
    x: int
    height: int
    width: int

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width)."""
        return self.height, self.width

    def cut(self, image: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        """Cut the window from (H, W, ...); beyond the image its edge pixels are repeated."""
        rows = np.clip(np.arange(self.y, self.y + self.height), 0, image.shape[0] - 1)
        columns = np.clip(np.arange(self.x, self.x + self.width), 0, image.shape[1] - 1)
        return image[np.ix_(rows, columns)]

    def cut_hole(self, hole: Bool) -> Bool:
        """Cut the window from a hole (H, W); beyond the image nothing is hole."""
        result = np.zeros(self.shape, bool)
        y0, x0 = max(self.y, 0), max(self.x, 0)
        y1, x1 = min(self.y + self.height, hole.shape[0]), min(self.x + self.width, hole.shape[1])
        result[y0 - self.y : y1 - self.y, x0 - self.x : x1 - self.x] = hole[y0:y1, x0:x1]
        return result

    def paste(self, target: Image, content: Image) -> None:
        """Write the part of `content` (height, width, 3) that lies inside `target` (H, W, 3)."""
        y0, x0 = max(self.y, 0), max(self.x, 0)
        y1, x1 = (
            min(self.y + self.height, target.shape[0]),
            min(self.x + self.width, target.shape[1]),
        )
        target[y0:y1, x0:x1] = content[y0 - self.y : y1 - self.y, x0 - self.x : x1 - self.x]


def window_around(hole: Bool, stride: int, least: int) -> Window:
    """Return the window for a hole: `CONTEXT` around, at least `least`, multiples of `stride`."""
    rows, columns = np.flatnonzero(hole.any(1)), np.flatnonzero(hole.any(0))
    spans = []
    for at, size in ((rows, hole.shape[0]), (columns, hole.shape[1])):
        wanted = max(int(at[-1] - at[0] + 1) + 2 * CONTEXT, least)
        length = -(-wanted // stride) * stride
        start = int(at[0] + at[-1] + 1 - length) // 2
        # Real surroundings are better than repeated edges: move inside where there is room.
        start = int(np.clip(start, min(0, size - length), max(0, size - length)))
        spans.append((start, length))
    (y, height), (x, width) = spans
    return Window(y, x, height, width)
