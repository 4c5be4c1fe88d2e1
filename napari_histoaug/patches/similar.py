"""Slides that look alike: a hash of the thumbnail that survives another scan or encoding."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.fft import dctn

_SIDE, _KEPT = 32, 8


def thumbnail_hash(image: NDArray[np.uint8]) -> str:
    """Return a perceptual hash of an image, 16 hex digits.

    The signs, against their median, of the 64 lowest coefficients of the cosine transform of a
    thumbnail of 32 x 32 grey values; C. Zauner, "Implementation and benchmarking of perceptual
    image hash functions" (2010), calls it pHash.

    Parameters
    ----------
    image : uint8 (H, W, 3)
    """
    small = Image.fromarray(image).convert("L").resize((_SIDE, _SIDE), Image.Resampling.BOX)
    low = dctn(np.asarray(small, np.float64))[:_KEPT, :_KEPT].ravel()
    bits = np.packbits(low > np.median(low))
    return bits.tobytes().hex()


def distance(a: str, b: str) -> int:
    """Return how many of the 64 bits of two hashes differ."""
    return (int(a, 16) ^ int(b, 16)).bit_count()
