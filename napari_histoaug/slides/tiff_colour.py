"""How the stored samples of a TIFF become 8-bit RGB: one stated rule a kind, or a refusal."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import tifffile

from napari_histoaug.slides.errors import PixelError, SlideError
from napari_histoaug.slides.reader import on_background

_GREY_INVERTED, _GREY, _RGB, _PALETTE, _SEPARATED, _YCBCR = 0, 1, 2, 3, 5, 6
#: JPEG and JPEG 2000, whose decoders turn YCbCr into RGB.
_DECODES_YCBCR = {6, 7, 34712, 33005}
_SAMPLES = {_GREY_INVERTED: {1}, _GREY: {1}, _RGB: {3, 4}, _PALETTE: {1}, _YCBCR: {3}}
_REFUSED = {_SEPARATED: "CMYK inks"}

#: Lowest and highest 16-bit value, shown as 0 and 255.
Window = tuple[float, float]


class Pixels(NamedTuple):
    """``rgb`` uint8 (H, W, 3); ``alpha`` uint8 (H, W), None where everything is opaque."""

    rgb: np.ndarray
    alpha: np.ndarray | None


@dataclass(frozen=True)
class ColourRule:
    """From decoded samples to RGB.

    Attributes
    ----------
    inverted : bool
        Zero is white.
    alpha : {"straight", "associated"} or None
        Meaning of the fourth sample; None drops it.
    palette : uint8 (256, 3) or None
        Colour of each value.
    window : (low, high) or None
        16-bit values shown as 0 and 255.
    """

    inverted: bool = False
    alpha: Literal["straight", "associated"] | None = None
    palette: np.ndarray | None = None
    window: Window | None = None

    def apply(self, samples: np.ndarray) -> Pixels:
        """Return RGB of decoded samples (H, W, 1, 3 or 4); the samples themselves when possible."""
        if self.window is not None:
            samples = _windowed(samples, self.window)
        if self.inverted:
            samples = 255 - samples
        if self.palette is not None:
            return Pixels(self.palette[samples[..., 0]], None)
        if samples.shape[-1] == 1:
            return Pixels(np.repeat(samples, 3, axis=-1), None)
        if samples.shape[-1] == 3 or self.alpha is None:
            return Pixels(samples[..., :3], None)
        return Pixels(samples[..., :3], samples[..., 3])

    def compose(self, pixels: Pixels, background: tuple[int, int, int]) -> np.ndarray:
        """Lay transparent pixels on the background colour."""
        if pixels.alpha is None:
            return pixels.rgb
        if self.alpha == "straight":
            return on_background(pixels.rgb, pixels.alpha, background)
        paper = (
            np.asarray(background, np.uint32) * (255 - pixels.alpha.astype(np.uint32))[..., None]
        )
        return np.minimum(pixels.rgb + (paper + 127) // 255, 255).astype(np.uint8)


def colour_rule(page: tifffile.TiffPage, path: Path, window: Window | None) -> ColourRule:
    """Return the rule for a page.

    Raises
    ------
    PixelError
        When its pixels have no faithful 8-bit RGB rendering.
    SlideError
        When tifffile cannot convert them but another reader may.
    """
    deep = page.dtype == np.uint16 and page.bitspersample == 16
    if not deep and (page.dtype != np.uint8 or page.bitspersample != 8):
        raise PixelError(_too_deep(path, page.bitspersample))
    photometric = int(page.photometric if page.photometric is not None else -1)
    if photometric in _REFUSED or (deep and photometric == _PALETTE):
        raise PixelError(
            f"{path.name} stores colours as {_REFUSED.get(photometric, 'a 16-bit palette')}, which "
            "cannot be shown faithfully; convert it to 8-bit RGB."
        )
    if deep and window is None:
        raise PixelError(_too_deep(path, 16))
    if photometric == _YCBCR and page.compression not in _DECODES_YCBCR:
        raise SlideError(
            f"{path.name} stores YCbCr colours in a way that only OpenSlide may be able to read; "
            "convert it to 8-bit RGB."
        )
    if page.samplesperpixel not in _SAMPLES.get(photometric, set()):
        name = getattr(page.photometric, "name", page.photometric)
        raise PixelError(
            f"{path.name} stores colours as {name} with {page.samplesperpixel} samples a pixel, "
            "which cannot be shown faithfully; convert it to 8-bit RGB."
        )
    return ColourRule(
        inverted=photometric == _GREY_INVERTED,
        alpha=_alpha(page),
        palette=_palette(page, path) if photometric == _PALETTE else None,
        window=window if deep else None,
    )


def _too_deep(path: Path, bits: object) -> str:
    return (
        f"{path.name} stores {bits} bits a channel; only 8-bit brightfield images can be used as "
        "they are, so convert it to 8-bit RGB, or open 16-bit values with a window (low, high)."
    )


def _windowed(samples: np.ndarray, window: Window) -> np.ndarray:
    low, high = window
    scaled = (samples.astype(np.float32) - low) * (255.0 / (high - low))
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)


def _palette(page: tifffile.TiffPage, path: Path) -> np.ndarray:
    colours = page.colormap
    if colours is None or colours.shape != (3, 256):
        raise PixelError(
            f"{path.name} stores colours as a palette that is missing or incomplete; "
            "convert it to 8-bit RGB."
        )
    # The tag holds 16-bit values, but some writers put 8-bit ones there.
    values = colours if colours.max() < 256 else colours >> 8
    return np.ascontiguousarray(values.T.astype(np.uint8))


def _alpha(page: tifffile.TiffPage) -> Literal["straight", "associated"] | None:
    kinds = tuple(int(kind) for kind in page.extrasamples or ())
    if kinds[:1] == (1,):
        return "associated"
    return "straight" if kinds[:1] == (2,) else None
