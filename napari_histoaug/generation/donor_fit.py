"""Which donor suits a hole, and how it is laid into it: turned, scaled, bent, stained."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_histoaug.generation.composite import density, from_density
from napari_histoaug.generation.donors import PALE, Donor, mean_stain

Image = npt.NDArray[np.uint8]
Bool = npt.NDArray[np.bool_]
Float = npt.NDArray[np.float64]
Mpp = float | tuple[float, float]

RING = 48  # px around a hole in which the stain to match is measured
ALIKE = 12  # donors that suit a hole best, among which a seed chooses
WEIGHTS = 2.0, 1.0  # of size and form: scaling blurs a vessel or makes its nuclei too small
FEW = 3  # of a small bank; else a quarter of it
SIZES = 0.5, 2.0  # how far a donor may be shrunk or enlarged, besides its pixel size
BENT = 0.75, 1.35  # how far its radius may be changed to follow the hole's outline
SECTORS = 64  # directions in which outlines are compared
SMOOTH = 3.0  # sectors; standard deviation over which their radii are evened out
LIGHTEST = 1.0  # percent of an image's pixels, which are glass if they are pale at all
STAINED = 0.6, 1.7  # by how much its stain may be made weaker or stronger


def choose(
    donors: Sequence[Donor],
    seed: int,
    hole: Bool | None = None,
    mpp: Mpp | None = None,
    image: Image | None = None,
) -> Donor:
    """The donor that a seed stands for.

    With a hole, it is one of those that suit it best, a quarter of the bank and a dozen at most:
    those that have to be scaled, bent and stained least to fill it. A capillary blown up to a vein
    is blurred, a vein shrunk to a capillary has nuclei too small, a round vessel drawn out to a
    long one or red cells as pale as fat are nothing real.

    Parameters
    ----------
    donors : sequence of Donor
    seed : int
    hole : bool, (H, W), optional
    mpp : float or (float, float), optional
        Micrometres per pixel of the hole.
    image : uint8, (H, W, 3), optional
        The tissue around the hole; without it stains are not compared.
    """
    bank = list(donors)
    if hole is not None and hole.any():
        unlike = _unlike(bank, hole, mpp, image)
        among = max(FEW, min(ALIKE, len(bank) // 4))
        bank = [bank[i] for i in np.argsort(unlike, kind="stable")[:among]]
    return bank[int(np.random.default_rng([seed, 1]).integers(len(bank)))]


def _unlike(donors: Sequence[Donor], hole: Bool, mpp: Mpp | None, image: Image | None) -> Float:
    """How far each donor is from what a hole asks for: lengths of logarithms of ratios, (N,)."""
    pixel = np.ones(2) if mpp is None else np.broadcast_to(np.asarray(mpp, float), 2)
    wanted = _form(hole, pixel)
    known = mpp is not None
    forms = [_form(d.mask, np.array(d.mpp) if known and d.mpp else pixel) for d in donors]
    unlike = np.square((np.array(forms) - wanted) * WEIGHTS).sum(1)
    stain = None if image is None else mean_stain(image, _ring(hole))
    if stain is not None:
        for i, donor in enumerate(donors):
            own = donor.stain
            unlike[i] += np.square(np.log(own / stain)).sum() if own is not None else 0.0
    return np.sqrt(unlike)


def _ring(hole: Bool) -> Bool:
    return ndimage.binary_dilation(hole, iterations=RING) & ~hole


def _form(mask: Bool, zoom: Float) -> Float:
    """Logarithms of the diameter and of how many times longer than wide a mask is."""
    _, area, _, (short, long) = _ellipse(mask, zoom)
    return np.array([0.5 * np.log(area), 0.5 * np.log(long / short)])


def place(
    donor: Donor,
    image: Image,
    hole: Bool,
    made: Bool,
    mpp: tuple[float, float],
    seed: int = 0,
) -> tuple[Image, Bool]:
    """Lay a donor into a hole: along it, as large as it, with its outline, in its stain.

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

    Returns
    -------
    placed : uint8, (H, W, 3)
    reached : bool, (H, W)
        The pixels of `made` that are the donor's.
    """
    y, x = (int(n) for n in np.argwhere(made).min(0))
    bottom, right = (int(n) + 1 for n in np.argwhere(made).max(0))
    part = slice(y, bottom), slice(x, right)
    at = source_of(donor, hole, mpp, seed)[:, *part]
    stained = match_stain(donor, image, _ring(made))
    last = np.array(donor.mask.shape)[:, None, None] - 1
    reached = np.zeros_like(made)
    reached[part] = made[part] & ((at >= 0) & (at <= last)).all(0)
    placed = image.copy()
    for channel in range(3):
        # Cubic: linear interpolation would take the sharpness that tells a real vessel.
        moved = ndimage.map_coordinates(
            stained[..., channel].astype(np.float32), at, order=3, mode="nearest"
        )
        moved = np.rint(moved).clip(0, 255).astype(np.uint8)
        placed[part][..., channel] = np.where(reached[part], moved, image[part][..., channel])
    return placed, reached


def source_of(donor: Donor, hole: Bool, mpp: tuple[float, float], seed: int = 0) -> Float:
    """Where in the donor every pixel of a hole's image is taken from: (2, H, W), (y, x).

    A likeness first (:func:`fit`); then every ray from the centre is stretched so that the donor's
    outline comes to lie on the hole's. For outlines seen whole from their centre that is exact;
    for others the areas in every direction agree.
    """
    matrix, offset = fit(donor, hole, mpp, seed)
    centre = np.argwhere(hole).mean(0)
    there = matrix @ centre + offset  # the donor's centre
    inside = (np.argwhere(donor.mask) - there) @ np.linalg.inv(matrix).T
    pixel = 1 / abs(np.linalg.det(matrix))
    own, wanted = _radii(inside, pixel), _radii(np.argwhere(hole) - centre, 1.0)
    bend = np.clip(own / wanted, *BENT)
    away = np.indices(hole.shape, float) - centre[:, None, None]
    sector = (np.arctan2(away[0], away[1]) / (2 * np.pi) % 1) * SECTORS - 0.5
    stretch = ndimage.map_coordinates(bend, sector[None], order=1, mode="grid-wrap")
    return np.einsum("ij,jyx->iyx", matrix, away * stretch) + there[:, None, None]


def _radii(away: Float, pixel: float) -> Float:
    """Radius of a shape in every direction, (SECTORS,): that of the circle's sector of its area.

    Parameters
    ----------
    away : (N, 2)
        Its pixels (y, x), seen from the centre.
    pixel : float
        The area of one.
    """
    sector = np.arctan2(away[:, 0], away[:, 1]) / (2 * np.pi) % 1 * SECTORS
    areas = np.bincount(sector.astype(int) % SECTORS, minlength=SECTORS) * pixel
    areas = ndimage.gaussian_filter1d(areas.astype(float), SMOOTH, mode="wrap")
    return np.asarray(np.sqrt(areas * SECTORS / np.pi).clip(1.0))


def fit(
    donor: Donor, hole: Bool, mpp: tuple[float, float], seed: int = 0
) -> tuple[Float, tuple[float, float]]:
    """The map from pixels of a hole to those of a donor: ``matrix @ (y, x) + offset``.

    Centres fall on each other, the longer axes too; areas become equal within limits.
    """
    rng = np.random.default_rng([seed, 2])
    end, mirror = rng.integers(2, size=2)
    zoom = np.divide(donor.mpp or mpp, mpp)  # the donor's pixels in pixels of the image
    (here, area, axis, _), (there, other, donor_axis, _) = (
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


def _ellipse(mask: Bool, zoom: Float) -> tuple[Float, float, Float, Float]:
    """Of a mask whose pixels are `zoom` large: centre (y, x), area, longer axis, variances."""
    at = np.argwhere(mask) * zoom
    centre = at.mean(0)
    spread = np.cov(at.T) if len(at) > 1 else np.zeros((2, 2))
    variances, directions = np.linalg.eigh(spread + 1e-9 * np.eye(2))
    return centre, float(len(at) * np.prod(zoom)), directions[:, -1], variances


def match_stain(donor: Donor, image: Image, ring: Bool) -> Image:
    """A donor's picture in the stain of other tissue: a factor on the density of each channel.

    Dye absorbs in proportion to how much of it there is (Beer and Lambert), so a factor makes the
    stain weaker, stronger or of another hue, and glass stays glass: the lightest pixels of the
    image say how white its scanner shows it. The factor is the ratio of the mean densities of the
    tissue around the hole and around the vessel; the vessel keeps being redder than its
    surroundings.

    Parameters
    ----------
    donor : Donor
    image : uint8, (H, W, 3)
    ring : bool, (H, W)
        The tissue around the hole.
    """
    own, wanted = donor.stain, mean_stain(image, ring)
    if own is None or wanted is None:
        return donor.image
    glass, here = _glass(donor.image), _glass(image)
    if glass is None or here is None:
        glass = here = 0.0
    factor = np.clip((wanted - here) / (own - glass), *STAINED)
    return from_density(((density(donor.image) - glass) * factor + here).astype(np.float32))


def _glass(image: Image) -> float | None:
    """Optical density of glass, from the lightest pixels; None where no glass is seen.

    Of all channels together: the few lightest pixels of dense tissue have the hue of its edges.
    """
    grey = density(image).mean(-1)
    glass = float(np.median(grey[grey <= np.percentile(grey, LIGHTEST)]))
    return glass if glass < PALE else None
