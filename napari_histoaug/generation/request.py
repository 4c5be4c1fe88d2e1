"""One hole made ready for the network, and the network's state brought back into the image."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from torch import Tensor

from napari_histoaug.generation.composite import (
    MOST_BEYOND,
    composite,
    feather,
    match_rim,
    prefill,
)
from napari_histoaug.generation.detail import kept, with_detail
from napari_histoaug.generation.donor_fit import place
from napari_histoaug.generation.donors import Donor
from napari_histoaug.generation.generator import GenerationError, Generator
from napari_histoaug.generation.labels import soft_labels
from napari_histoaug.generation.space import decode, encode, pixels_of, state_hole
from napari_histoaug.generation.window import (
    Mpp,
    Window,
    resize_hole,
    resize_image,
    scale_to,
    scaled_shape,
    window_around,
)

Image = npt.NDArray[np.uint8]
Bool = npt.NDArray[np.bool_]

RIM = 8.0  # px of the network over which real and generated tissue are blended
DECODED = 48  # px around what is made that are decoded with it, to measure the colour step on


@dataclass(frozen=True)
class Request:
    """A hole in an image, and what to put there.

    Parameters
    ----------
    generator : Generator
    image : uint8, (H, W, 3)
    hole : bool, (H, W)
    value : int
        Label-mask value of the class.
    mpp : float or (float, float), optional
        Of `image`.
    two_times : bool
        Whether the network is told of clean surroundings (pixel-time) or of noise everywhere.
    donor : Donor, optional
        A real vessel to start from.
    seed : int
    """

    generator: Generator
    image: Image
    hole: Bool
    value: int
    mpp: Mpp | None
    two_times: bool
    donor: Donor | None = None
    seed: int = 0

    @cached_property
    def scale(self) -> tuple[float, float]:
        """Factors (y, x) from the image to the network's pixels."""
        return scale_to(self.mpp, self.generator.mpp)

    @cached_property
    def small(self) -> Image:
        """The image at the network's pixel size."""
        return resize_image(self.image, scaled_shape(self.hole.shape, self.scale))

    @cached_property
    def small_hole(self) -> Bool:
        """The hole at the network's pixel size."""
        return resize_hole(self.hole, scaled_shape(self.hole.shape, self.scale))

    @cached_property
    def window(self) -> Window:
        """What the network looks at."""
        return window_around(self.small_hole, self.generator.stride, self.generator.index.patch)

    @cached_property
    def crop(self) -> Image:
        """The image in the window."""
        return self.window.cut(self.small).astype(np.uint8)

    @cached_property
    def state_hole(self) -> Tensor:
        """The cells that are made, bool (1, 1, h, w)."""
        return state_hole(self.generator, self.window.cut_hole(self.small_hole))

    @cached_property
    def made(self) -> Bool:
        """The window's pixels that are made."""
        return pixels_of(self.generator, self.state_hole)

    @cached_property
    def filled(self) -> Image:
        """The window without what the hole held."""
        return prefill(self.crop, self.made)

    @cached_property
    def known(self) -> Tensor:
        """The state (1, C, h, w) of the window without what the hole held."""
        return encode(self.generator, self.filled)

    @cached_property
    def placed(self) -> tuple[Image, Bool] | None:
        """The window with the donor in the hole, and the pixels that are the donor's."""
        if self.donor is None:
            return None
        hole = self.window.cut_hole(self.small_hole)
        return place(self.donor, self.filled, hole, self.made, self.generator.mpp, self.seed)

    @cached_property
    def start(self) -> Tensor | None:
        """The state (1, C, h, w) with the donor in the hole."""
        return None if self.placed is None else encode(self.generator, self.placed[0])

    @cached_property
    def labels(self) -> Tensor:
        """Soft labels (classes + 2, h, w)."""
        classes = len(self.generator.classes)
        hole = self.window.cut_hole(self.small_hole)
        # Around the painted shape, inside what is made anew, is plain tissue. Outside, a network
        # with two-level time is told nothing; the other methods denoise everywhere and know the
        # label of the surroundings as tissue.
        said = np.where(hole, self.value, 0)
        if self.two_times:
            said = np.where(self.made, said, classes + 1)
        return soft_labels(said.astype(np.uint8), classes, self.generator.factor)

    @cached_property
    def weight(self) -> npt.NDArray[np.float32]:
        """Share of generated pixels in the image."""
        return feather(self.hole, min(RIM / max(self.scale), MOST_BEYOND))

    @cached_property
    def decoded(self) -> tuple[slice, slice]:
        """The cells that are decoded: those made, with some of the surroundings."""
        around = -(-DECODED // self.generator.factor)
        made = self.state_hole[0, 0].cpu().numpy()
        spans = []
        for axis in (1, 0):
            at = np.flatnonzero(made.any(axis))
            spans.append(slice(max(int(at[0]) - around, 0), int(at[-1]) + 1 + around))
        return spans[0], spans[1]

    def in_place(self, state: Tensor) -> tuple[Image, Bool]:
        """The image with a state (1, C, h, w) in its hole, and which pixels changed."""
        return composite(self.image, self._back(self._window_of(state)), self.weight)

    def _window_of(self, state: Tensor) -> Image:
        cells, factor = self.decoded, self.generator.factor
        made = decode(self.generator, state[:, :, cells[0], cells[1]])
        top, left = cells[0].start * factor, cells[1].start * factor
        part = slice(top, top + made.shape[0]), slice(left, left + made.shape[1])
        if self.placed is not None and self.generator.autoencoder is not None:
            made = self._detailed(made, state, part)
        window = self.crop.copy()
        window[part] = match_rim(self.crop[part], made, self.made[part])
        return window

    def _detailed(self, made: Image, state: Tensor, part: tuple[slice, slice]) -> Image:
        """What was decoded, with the fine detail of the donor and of the surroundings."""
        assert self.placed is not None
        assert self.start is not None
        placed, reached = self.placed
        share = kept(self.start, state.to(self.start), self.generator.factor)[part]
        share = np.where(self.made[part] & ~reached[part], 0, share).astype(np.float32)
        return with_detail(made, placed[part], self._start_decoded, share)

    @cached_property
    def _start_decoded(self) -> Image:
        """The start as the autoencoder shows it, as large as what is decoded of a result."""
        assert self.start is not None
        return decode(self.generator, self.start[:, :, self.decoded[0], self.decoded[1]])

    def _back(self, made: Image) -> Image:
        """Put the window's pixels into the resampled image and bring that back to full size."""
        whole = self.small.copy()
        self.window.paste(whole, made)
        return resize_image(whole, self.hole.shape)


def checked(image: Image, hole: Bool) -> tuple[Image, Bool]:
    """Return image and hole as arrays of the right kind.

    Raises
    ------
    GenerationError
        When they are not, or there is no hole.
    """
    image, hole = np.asarray(image), np.asarray(hole, dtype=bool)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise GenerationError(
            f"The image must be 8-bit RGB (height, width, 3), not {image.dtype} {image.shape}."
        )
    if hole.shape != image.shape[:2]:
        raise GenerationError(
            f"The hole is {hole.shape}, the image {image.shape[:2]}; they must agree."
        )
    if not hole.any():
        raise GenerationError("There is no hole to fill; paint a mask first.")
    return image, hole
