"""Fixtures shared by every room's tests."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, settings

# A busy machine shall not fail a test: no time limits an example, and slow drawing is no fault.
settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


class PyramidTiff(NamedTuple):
    """A TIFF made by a test.

    Attributes
    ----------
    path : pathlib.Path
        The file.
    levels : list of numpy.ndarray
        The decoded pixels of every level, as tifffile reads them whole; uint8 (H, W, 3).
    """

    path: Path
    levels: list[np.ndarray]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real slides and tissue; tests that need it are skipped where it is absent."""
    if not (SHARED_DATA / "MANIFEST.md").is_file():
        pytest.skip("the shared real data is not on this machine")
    return SHARED_DATA


@pytest.fixture(autouse=True)
def _own_user_folders(tmp_path_factory: pytest.TempPathFactory, monkeypatch) -> None:
    """Keep a test run away from the salt and the edits of the person who runs it."""
    home = tmp_path_factory.mktemp("user")
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(home / name.lower()))
    if os.name == "nt":
        monkeypatch.setenv("LOCALAPPDATA", str(home))


def tissue_like(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Patches of colour with grain: a pixel differs from nearly all its neighbours, uint8 RGB."""
    random = np.random.default_rng(seed)
    patches = random.integers(100, 220, (height // 16 + 1, width // 16 + 1, 3), dtype=np.uint8)
    image = patches.repeat(16, axis=0)[:height].repeat(16, axis=1)[:, :width]
    return image + random.integers(0, 36, image.shape, dtype=np.uint8)


def write_pyramid_tiff(
    path: Path,
    shapes: list[tuple[int, int]],
    *,
    tile: int = 128,
    compression: str | None = "jpeg",
    mpp: float | None = 0.5,
    seed: int = 0,
) -> PyramidTiff:
    """Write one tiled TIFF page a level (reduced images after the first) with unrelated pixels."""
    if compression == "jpeg":
        options: dict = {"compression": "jpeg", "compressionargs": {"level": 90}}
        photometric = "ycbcr"
    else:
        options = {"compression": compression}
        photometric = "rgb"
    if mpp is not None:
        options |= {"resolution": (1e4 / mpp, 1e4 / mpp), "resolutionunit": "CENTIMETER"}
    with tifffile.TiffWriter(path) as writer:
        for index, (height, width) in enumerate(shapes):
            writer.write(
                tissue_like(height, width, seed + index),
                tile=(tile, tile),
                photometric=photometric,
                subfiletype=int(index > 0),
                metadata=None,
                **options,
            )
    # Under a plain name: tifffile believes endings such as .ndpi.
    with path.open("rb") as file, tifffile.TiffFile(file, name="plain.tif") as tiff:
        return PyramidTiff(path, [page.asarray() for page in tiff.pages])


@pytest.fixture
def make_pyramid_tiff(tmp_path: Path) -> Callable[..., PyramidTiff]:
    """Factory of small tiled pyramid TIFFs with known pixels.

    ``make(shapes=[(700, 900), (350, 450)], name="slide.tif", tile=128, compression="jpeg",
    mpp=0.5, seed=0)`` writes the file into the test's own folder; compression is "jpeg",
    "deflate", "lzw" or None, mpp is in micrometres (None writes no resolution).
    """

    def make(
        shapes: list[tuple[int, int]] | None = None, name: str = "slide.tif", **options: object
    ) -> PyramidTiff:
        shapes = shapes or [(700, 900), (350, 450)]
        return write_pyramid_tiff(tmp_path / name, shapes, **options)  # type: ignore[arg-type]

    return make
