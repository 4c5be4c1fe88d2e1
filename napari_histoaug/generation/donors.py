"""Donors: real vessels to start from, cut from images, kept as pictures, fitted into a hole."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image as Pictures
from PIL import PngImagePlugin, UnidentifiedImageError
from scipy import ndimage

from napari_histoaug.generation.composite import density, from_density
from napari_histoaug.generation.generator import GenerationError

Image = npt.NDArray[np.uint8]
Bool = npt.NDArray[np.bool_]
Float = npt.NDArray[np.float64]
Mpp = float | tuple[float, float]

MARGIN = 32  # px of tissue kept around a donor: where its stain is measured
RING = 32  # px around a hole in which the stain to match is measured
BUNDLED = Path(__file__).parents[1] / "models" / "donors"
ALIKE = 12  # donors of the most similar size, among which a seed chooses

LEAST = 64  # px; smaller vessels are no donors, fewer pixels no stain
SIZES = 0.5, 2.0  # how far a donor may be shrunk or enlarged, besides its pixel size
CONTRAST = 0.5, 2.0  # how far its contrast may be changed
FLAT = 0.01  # optical density; spreads below it say nothing of a contrast


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
    donors = [read_donor(path) for path in sorted(folder.glob("*.png"))]
    if not donors:
        raise GenerationError(f"There are no donors in {folder}; make some with histoaug donors.")
    return donors


def choose(
    donors: Sequence[Donor], seed: int, hole: Bool | None = None, mpp: Mpp | None = None
) -> Donor:
    """The donor that a seed stands for.

    Parameters
    ----------
    donors : sequence of Donor
    seed : int
    hole : bool, (H, W), optional
        Choose among the dozen that have to be scaled least to fill it: a capillary blown up to a
        vein is blurred.
    mpp : float or (float, float), optional
        Micrometres per pixel of the hole.
    """
    bank = list(donors)
    if hole is not None and hole.any():
        pixel = float(np.prod(np.broadcast_to(1.0 if mpp is None else mpp, 2)))
        areas = [
            donor.mask.sum() * (pixel if donor.mpp is None or mpp is None else np.prod(donor.mpp))
            for donor in bank
        ]
        scaling = np.abs(np.log(np.array(areas) / (hole.sum() * pixel)))
        bank = [bank[i] for i in np.argsort(scaling, kind="stable")[:ALIKE]]
    return bank[int(np.random.default_rng([seed, 1]).integers(len(bank)))]


def place(
    donor: Donor,
    image: Image,
    hole: Bool,
    made: Bool,
    mpp: tuple[float, float],
    seed: int = 0,
) -> Image:
    """Paste a donor into a hole: turned to lie along it, as large as it, in its stain.

    Parameters
    ----------
    donor : Donor
    image : uint8, (H, W, 3)
        The hole already filled in smoothly; seen where the donor does not reach.
    hole, made : bool, (H, W)
        The vessel to come, and the pixels that may change.
    mpp : (float, float)
        Of `image`.
    seed : int
        Which of the two ends comes first, and whether the donor is mirrored.
    """
    matrix, offset = fit(donor, hole, mpp, seed)
    ring = ndimage.binary_dilation(made, iterations=RING) & ~made
    stained = match_stain(donor.image, ~donor.mask, image, ring)
    where = {"matrix": matrix, "offset": offset, "output_shape": hole.shape}
    inside = np.ones(donor.mask.shape, np.float32)
    reached = ndimage.affine_transform(inside, **where, order=1) > 0.999
    placed = image.copy()
    for channel in range(3):
        moved = ndimage.affine_transform(stained[..., channel].astype(np.float32), **where, order=1)
        placed[..., channel] = np.where(made & reached, np.rint(moved), image[..., channel])
    return placed


def fit(
    donor: Donor, hole: Bool, mpp: tuple[float, float], seed: int = 0
) -> tuple[Float, tuple[float, float]]:
    """The map from pixels of a hole to those of a donor: ``matrix @ (y, x) + offset``.

    Centres fall on each other, the longer axes too; areas become equal within limits.
    """
    rng = np.random.default_rng([seed, 2])
    end, mirror = rng.integers(2, size=2)
    zoom = np.divide(donor.mpp or mpp, mpp)  # the donor's pixels in pixels of the image
    (here, area, axis), (there, other, donor_axis) = (
        _ellipse(hole, np.ones(2)),
        _ellipse(donor.mask, zoom),
    )
    size = float(np.clip(np.sqrt(area / other), *SIZES))
    flip = np.diag([1.0, -1.0 if mirror else 1.0])
    turned = np.arctan2(*(flip @ donor_axis)) - np.arctan2(*axis) + end * np.pi
    # Angles are measured from the x axis towards y, and vectors are (y, x).
    turn = np.array([[np.cos(turned), np.sin(turned)], [-np.sin(turned), np.cos(turned)]])
    matrix = np.diag(1 / zoom) @ flip @ turn / size
    offset = there / zoom - matrix @ here
    return matrix, (float(offset[0]), float(offset[1]))


def _ellipse(mask: Bool, zoom: Float) -> tuple[Float, float, Float]:
    """Centre (y, x), area and longer axis (y, x) of a mask whose pixels are `zoom` large."""
    at = np.argwhere(mask) * zoom
    centre = at.mean(0)
    _, directions = np.linalg.eigh(np.cov(at.T) + 1e-9 * np.eye(2) if len(at) > 1 else np.eye(2))
    return centre, float(len(at) * np.prod(zoom)), directions[:, -1]


def match_stain(donor: Image, around: Bool, image: Image, ring: Bool) -> Image:
    """Give a donor the stain of other tissue: mean and spread of optical density a channel.

    Reinhard et al. 2001, on optical densities, which add up where stains do. Measured on the tissue
    around the vessel and around the hole, so that the vessel keeps being redder than its
    surroundings.

    Parameters
    ----------
    donor : uint8, (h, w, 3)
    around : bool, (h, w)
        Its tissue outside the vessel.
    image : uint8, (H, W, 3)
    ring : bool, (H, W)
        The tissue around the hole.
    """
    if around.sum() < LEAST or ring.sum() < LEAST:
        return donor
    own, wanted = density(donor), density(image)[ring]
    mean, spread = own[around].mean(0), own[around].std(0)
    contrast = np.clip((wanted.std(0) + FLAT) / (spread + FLAT), *CONTRAST)
    return from_density(((own - mean) * contrast + wanted.mean(0)).astype(np.float32))
