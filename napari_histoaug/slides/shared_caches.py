"""Decoded tiles kept by this process: one bounded cache for all slides of a kind.

A cache a slide would make twenty open slides twenty times as hungry. The caches of a process
are never used by its forked children, whose copies of the locks may be held by nobody.
"""

from __future__ import annotations

import functools
import os

import openslide

from napari_histoaug.slides.cache import ArrayCache

_TILE_BYTES = 32 * 2**20
_OPENSLIDE_BYTES = 32 * 2**20


def tile_cache() -> ArrayCache:
    """Return the cache of tiles decoded by ourselves."""
    return _tile_cache(os.getpid())


def openslide_cache() -> openslide.OpenSlideCache:
    """Return the cache that all OpenSlide handles share."""
    return _openslide_cache(os.getpid())


@functools.cache
def _tile_cache(process: int) -> ArrayCache:
    return ArrayCache(_TILE_BYTES)


@functools.cache
def _openslide_cache(process: int) -> openslide.OpenSlideCache:
    return openslide.OpenSlideCache(_OPENSLIDE_BYTES)
