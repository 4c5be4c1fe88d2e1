"""Donors: real vessels to start from, cut from images and kept as pictures."""

from __future__ import annotations

import hashlib
import io
import os
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image as Pictures
from PIL import PngImagePlugin, UnidentifiedImageError
from scipy import ndimage

from napari_histoaug.generation.composite import density
from napari_histoaug.generation.generator import GenerationError

Image = npt.NDArray[np.uint8]
Bool = npt.NDArray[np.bool_]
Float = npt.NDArray[np.float64]

MARGIN = 32  # px of tissue kept around a donor: where its stain is measured
BUNDLED = Path(__file__).parents[1] / "models" / "donors"

LEAST = 64  # px; smaller vessels are no donors, and fewer pixels have no stain
STRENGTH = 0.25  # how far a donor is noised: nearly all of its detail stays
PALE = 0.15  # optical density; what is below it is glass, fat, or an empty lumen


@dataclass(frozen=True)
class Donor:
    """A real vessel with some tissue around it.

    Attributes
    ----------
    image : uint8, (H, W, 3)
    mask : bool, (H, W)
        The vessel.
    mpp : (float, float) or None
        Micrometres per pixel, (y, x); None when unknown.
    """

    image: Image
    mask: Bool
    mpp: tuple[float, float] | None = None

    @cached_property
    def id(self) -> str:
        """A name made of the pixels, so it says nothing of the slide."""
        digest = hashlib.sha256(repr((self.image.shape, self.mpp)).encode())
        digest.update(np.ascontiguousarray(self.image).tobytes())
        digest.update(np.ascontiguousarray(self.mask, np.uint8).tobytes())
        return digest.hexdigest()[:16]

    @cached_property
    def stain(self) -> Float | None:
        """Mean optical density (3,) of the tissue around the vessel; None where there is none."""
        return mean_stain(self.image, ~self.mask)


def mean_stain(image: Image, where: Bool) -> Float | None:
    """Mean optical density (3,) of the tissue in a part of an image; None where there is little.

    Parameters
    ----------
    image : uint8, (H, W, 3)
    where : bool, (H, W)
        What is pale there does not count.
    """
    densities = density(image[where])
    tissue = densities[densities.mean(1) > PALE]
    return tissue.mean(0, dtype=np.float64) if len(tissue) >= LEAST else None


def cut_donors(
    image: Image, mask: Bool, mpp: tuple[float, float] | None = None, margin: int = MARGIN
) -> list[Donor]:
    """Cut every connected vessel of a mask out of an image.

    Parameters
    ----------
    image : uint8, (H, W, 3)
    mask : bool, (H, W)
        Vessels; for instance a rasterised annotation. Those cut by the border are left out.
    mpp : (float, float), optional
    margin : int
        Pixels of tissue to keep around each.
    """
    numbered, _ = ndimage.label(mask, np.ones((3, 3)))
    donors = []
    for number, (rows, columns) in enumerate(ndimage.find_objects(numbered), start=1):
        ends = rows.start, mask.shape[0] - rows.stop, columns.start, mask.shape[1] - columns.stop
        if min(ends) < 1 or (numbered[rows, columns] == number).sum() < LEAST:
            continue
        part = (
            slice(max(rows.start - margin, 0), rows.stop + margin),
            slice(max(columns.start - margin, 0), columns.stop + margin),
        )
        donors.append(Donor(image[part].copy(), numbered[part] == number, mpp))
    return donors


def save_donor(donor: Donor, folder: Path) -> Path:
    """Write a donor as ``<id>.png``: its mask is the picture's alpha channel."""
    notes = PngImagePlugin.PngInfo()
    if donor.mpp is not None:
        notes.add_text("mpp", f"{donor.mpp[0]!r} {donor.mpp[1]!r}")
    alpha = np.where(donor.mask, 255, 0).astype(np.uint8)
    buffer = io.BytesIO()
    Pictures.fromarray(np.dstack([donor.image, alpha])).save(buffer, "PNG", pnginfo=notes)
    path = folder / f"{donor.id}.png"
    temporary = path.with_suffix(".part")
    temporary.write_bytes(buffer.getvalue())
    os.replace(temporary, path)
    return path


def read_donor(path: Path) -> Donor:
    """Read a donor.

    Raises
    ------
    GenerationError
        When the file is not a picture with a vessel in its alpha channel.
    """
    try:
        with Pictures.open(path) as picture:
            said = str(picture.info.get("mpp", ""))
            pixels = np.asarray(picture)
            mpp = tuple(float(part) for part in said.split())
    except (OSError, ValueError, UnidentifiedImageError, Pictures.DecompressionBombError) as error:
        raise GenerationError(f"The donor {path} cannot be read ({error}); remove it.") from None
    if pixels.ndim != 3 or pixels.shape[2] != 4 or not (pixels[..., 3] > 127).any():
        raise GenerationError(
            f"The donor {path} has no vessel in an alpha channel; make it with histoaug donors."
        )
    size = (mpp[0], mpp[1]) if len(mpp) == 2 and min(mpp) > 0 else None
    return Donor(pixels[..., :3].copy(), pixels[..., 3] > 127, size)


def read_donors(folder: Path) -> list[Donor]:
    """Read every donor of a folder, in a fixed order.

    Raises
    ------
    GenerationError
        When there is none, or one cannot be read.
    """
    # A folder that gains or loses a file is a newer one; files are named after their pixels.
    donors = list(_bank(folder, folder.stat().st_mtime_ns)) if folder.is_dir() else []
    if not donors:
        raise GenerationError(f"There are no donors in {folder}; make some with histoaug donors.")
    return donors


@lru_cache(maxsize=2)
def _bank(folder: Path, _changed: int) -> tuple[Donor, ...]:
    return tuple(read_donor(path) for path in sorted(folder.glob("*.png")))
