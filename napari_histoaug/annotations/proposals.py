"""Vessel proposals for H&E fields that nobody annotated, from the colour of red blood cells.

Red cells are the only reliable sign of a vessel lumen without a network: they absorb blue and
green strongly and red hardly at all. A vessel is proposed where red cells cluster, together with
the pale lumen they float in and a ring of wall. Sizes are in pixels of about 0.5 um.

The proposals are training labels of limited quality, not annotations: see `propose_vessels`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

BoolImage = NDArray[np.bool_]
FloatImage = NDArray[np.float32]


@dataclass(frozen=True)
class ProposalSettings:
    """Thresholds of `propose_vessels`; lengths and areas in pixels (about 0.5 um each).

    Attributes
    ----------
    red_low : tuple of float
        Range of the lower limit of the red-cell score (optical density, see `red_cell_score`);
        within it the limit follows the spread of the field's own eosin.
    red_high : float
        A red spot must somewhere reach 1.5 times the lower limit and, in fields that hold strongly
        stained cells, nearly half their score, but never more than this.
    min_cell_area : int
        Red spots smaller than this are noise.
    min_cluster_area : int
        Red-cell area a vessel must contain.
    bridge : float
        Red cells closer than twice this belong to one lumen.
    pale_bridge : float
        The same where only pale pixels lie between them.
    pale_density : float
        Mean optical density below which a pixel can be lumen.
    max_lumen_area : int
        A larger pale region is a gap, a gland or the glass.
    min_lumen_red : float
        Red-cell area within `lumen_reach` of a pale region, relative to the pale region's area.
    lumen_reach : float
        How far from the pale region its red cells may lie.
    max_nuclei : float
        Share of nuclei in a vessel's inside above which it is free blood in tissue.
    max_vessel_area : int
        A larger red area is haemorrhage or congested pulp.
    wall : tuple of float
        Narrowest and widest wall ring.
    """

    red_low: tuple[float, float] = (0.05, 0.10)
    red_high: float = 0.22
    min_cell_area: int = 16
    min_cluster_area: int = 90
    bridge: float = 5.0
    pale_bridge: float = 20.0
    pale_density: float = 0.15
    max_lumen_area: int = 40_000
    min_lumen_red: float = 0.15
    lumen_reach: float = 8.0
    max_nuclei: float = 0.12
    max_vessel_area: int = 200_000
    wall: tuple[float, float] = (5.0, 11.0)


@dataclass(frozen=True)
class Proposals:
    """What `propose_vessels` found in one field.

    Attributes
    ----------
    labels : ndarray of uint8, (height, width)
        0 tissue, 1 blood vessel (lumen, red cells and wall).
    red_cells : ndarray of bool, (height, width)
        Every pixel that looks like a red cell, inside the labels or not.
    count : int
        Connected vessels.
    """

    labels: NDArray[np.uint8]
    red_cells: BoolImage
    count: int

    @property
    def area_fraction(self) -> float:
        """Share of the field labelled as vessel."""
        return float(self.labels.mean())

    @property
    def red_outside(self) -> float:
        """Share of the red-cell area that no label covers (0 when there is none)."""
        total = int(self.red_cells.sum())
        return float((self.red_cells & (self.labels == 0)).sum() / total) if total else 0.0


def optical_density(image: NDArray[np.uint8], sigma: float = 1.0) -> FloatImage:
    """Optical density (natural logarithm), smoothed.

    Parameters
    ----------
    image : ndarray of uint8, (height, width, 3)
        RGB.
    sigma : float
        Gaussian smoothing in pixels, against JPEG blocks; 0 for none.

    Returns
    -------
    ndarray of float32, (height, width, 3)
        0 for glass; at most about 3.4 for black.
    """
    # 250, not 255: glass of a scanned slide is never pure white
    table = -np.log(np.clip(np.arange(256), 8, 250) / 250.0).astype(np.float32)
    density = table[image]
    if sigma > 0:
        density = ndimage.gaussian_filter(density, (sigma, sigma, 0))
    return density


def red_cell_score(density: FloatImage) -> FloatImage:
    """How much redder than this field's eosin a pixel is.

    Eosin lies on a line: blue minus red density grows with green density at the same slope in pale
    and in dense tissue. Red cells lie above that line, nuclei below it.

    Parameters
    ----------
    density : ndarray of float32, (height, width, 3)
        From `optical_density`.

    Returns
    -------
    ndarray of float32, (height, width)
        Excess in optical density: about 0 for eosin, 0.2 to 0.7 for red cells.
    """
    red, green, blue = (density[..., i] for i in range(3))
    excess = blue - red
    eosin = (green > 0.2) & (red < 0.45) & (excess > -0.1)
    sample = excess[eosin] / green[eosin]
    # the clip keeps a field full of red cells (spleen) from being its own reference
    slope = float(np.clip(np.median(sample), 0.05, 0.3)) if sample.size > 1000 else 0.2
    return excess - slope * green


def red_cell_mask(density: FloatImage, settings: ProposalSettings | None = None) -> BoolImage:
    """Pixels that belong to red blood cells.

    Parameters
    ----------
    density : ndarray of float32, (height, width, 3)
        From `optical_density`.
    settings : ProposalSettings, optional
        Thresholds.

    Returns
    -------
    ndarray of bool, (height, width)
    """
    settings = settings or ProposalSettings()
    score = red_cell_score(density)
    low = _red_threshold(density, score, settings)
    # where red cells stain strongly, a weak spot is collagen or muscle
    strongest = float(np.percentile(score, 99.9))
    high = max(1.5 * low, min(0.45 * strongest, settings.red_high))
    # scanners halve the colour resolution: beside white a cell loses colour, collagen does not
    pale = ndimage.uniform_filter((density.mean(axis=-1) < settings.pale_density) * 1.0, 17)
    score = score / (1.25 - 0.9 * np.minimum(pale, 0.6))
    grown = score > low
    parts, count = ndimage.label(grown)
    if count == 0:
        return grown
    peak = ndimage.maximum(score, parts, np.arange(count + 1))
    area = np.bincount(parts.ravel(), minlength=count + 1)
    keep = (peak > high) & (area >= settings.min_cell_area)
    keep[0] = False
    return keep[parts]


def _red_threshold(density: FloatImage, score: FloatImage, settings: ProposalSettings) -> float:
    """Lower score limit of a red cell: a pale even field needs less excess than a strong one."""
    red, green = density[..., 0], density[..., 1]
    eosin = score[(green > 0.2) & (red < 0.45) & (score > -0.1)]
    if eosin.size < 1000:
        return settings.red_low[1]
    middle, upper = np.percentile(eosin, (50, 80))
    return float(np.clip(middle + 3.0 * (upper - middle), *settings.red_low))


def propose_vessels(
    image: NDArray[np.uint8], settings: ProposalSettings | None = None
) -> Proposals:
    """Propose blood vessels in an unannotated H&E field of about 0.5 um per pixel.

    Deterministic. Every proposed vessel contains red cells; empty vessels are missed on purpose,
    because without their cells they cannot be told from gaps, glands and fat.

    Parameters
    ----------
    image : ndarray of uint8, (height, width, 3)
        RGB.
    settings : ProposalSettings, optional
        Thresholds; the defaults suit 0.4 to 0.6 um per pixel.

    Returns
    -------
    Proposals
        Label map, red-cell mask and the number of vessels.

    Raises
    ------
    ValueError
        When `image` is not uint8 RGB.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"expected a uint8 RGB image, got {image.dtype} of shape {image.shape}")
    settings = settings or ProposalSettings()
    density = optical_density(image)
    red = red_cell_mask(density, settings)
    if not red.any():
        return Proposals(np.zeros(red.shape, np.uint8), red, 0)
    labels = _draw_vessels(density, red, settings)
    _, count = ndimage.label(labels)
    return Proposals(labels.astype(np.uint8), red, int(count))


def _draw_vessels(density: FloatImage, red: BoolImage, settings: ProposalSettings) -> BoolImage:
    """Outline the vessels around the red cells; shapes are found at half size, for speed."""
    height, width = red.shape
    small = _half(density.mean(axis=-1))
    cells = _half(red.astype(np.float32)) >= 0.5
    nuclei = (_half(density[..., 0]) > 0.6) & ~cells
    half = _halved(settings)
    core = _lumen(small < settings.pale_density, cells, half)
    core = _keep_vessels(core, cells, nuclei, half)
    ring = _add_wall(core, half.wall)
    soft = ndimage.gaussian_filter(ring.astype(np.float32), 1.5)
    soft = ndimage.zoom(soft, 2, order=1, grid_mode=True, mode="nearest")[:height, :width]
    return np.asarray(soft > 0.5)


def _half(values: FloatImage) -> FloatImage:
    """Mean of 2 x 2 pixels, an odd edge repeated."""
    height, width = values.shape
    padded = np.pad(values, ((0, height % 2), (0, width % 2)), mode="edge")
    return 0.25 * (padded[::2, ::2] + padded[1::2, ::2] + padded[::2, 1::2] + padded[1::2, 1::2])


def _halved(settings: ProposalSettings) -> ProposalSettings:
    """The same settings for an image of half the size."""
    return replace(
        settings,
        min_cluster_area=settings.min_cluster_area // 4,
        bridge=settings.bridge / 2,
        pale_bridge=settings.pale_bridge / 2,
        max_lumen_area=settings.max_lumen_area // 4,
        max_vessel_area=settings.max_vessel_area // 4,
        lumen_reach=settings.lumen_reach / 2,
        wall=(settings.wall[0] / 2, settings.wall[1] / 2),
    )


def _lumen(pale: BoolImage, red: BoolImage, settings: ProposalSettings) -> BoolImage:
    """Red cells, what lies between them and the pale regions they touch (half size)."""
    core = _close(red, settings.bridge) | red
    # cells further apart belong together when nothing but plasma lies between them
    core |= _open(_close(red, settings.pale_bridge) & (pale | core), 1.0)
    core |= _touching_lumen(pale, red, settings)
    return _open(_fill_small_holes(core, settings.max_lumen_area // 4), 1.0)


def _dilate(mask: BoolImage, radius: float) -> BoolImage:
    if not mask.any():
        return mask.copy()
    return ndimage.distance_transform_edt(~mask) <= radius


def _erode(mask: BoolImage, radius: float) -> BoolImage:
    # the outside of the image counts as inside, so that vessels cut by the border keep their cut
    if mask.all():
        return mask.copy()
    return ndimage.distance_transform_edt(mask) > radius


def _close(mask: BoolImage, radius: float) -> BoolImage:
    return _erode(_dilate(mask, radius), radius)


def _open(mask: BoolImage, radius: float) -> BoolImage:
    return _dilate(_erode(mask, radius), radius)


def _touching_lumen(pale: BoolImage, red: BoolImage, settings: ProposalSettings) -> BoolImage:
    """Pale regions that have enough red cells in or around them to be a lumen."""
    # opened to cut the leaks between fibres; red cells count as lumen, or they would cut it up
    lumen = _open(pale | red, 1.5)
    lumen = _fill_small_holes(lumen, 100)
    parts, count = ndimage.label(lumen)
    if count == 0:
        return lumen
    away, nearest = ndimage.distance_transform_edt(~lumen, return_indices=True)
    near = red & (away <= settings.lumen_reach)
    owner = parts[nearest[0][near], nearest[1][near]]
    red_area = np.bincount(owner, minlength=count + 1)
    area = np.maximum(np.bincount(parts.ravel(), minlength=count + 1), 1)
    floating = red & (ndimage.uniform_filter(pale.astype(np.float32), 9) > 0.45)
    share = np.bincount(parts[floating], minlength=count + 1) / np.maximum(red_area, 1)
    filled = red_area / area / settings.min_lumen_red
    # cells that touch a pale region from outside (beside fat, in loose stroma) do not float in it
    full = (filled >= 2.5) | ((filled >= 1.0) & (share >= 0.2))
    sparse = (filled >= 0.2) & (share >= 0.35) & ~_touches_border(parts, count)
    sparse &= _compactness(lumen, parts, count) > 0.25
    keep = (full & (area <= settings.max_lumen_area)) | (
        sparse & (area <= 2 * settings.max_lumen_area)
    )
    keep &= red_area >= settings.min_cluster_area
    keep[0] = False
    return _dilate(keep[parts], 1.0)


def _compactness(mask: BoolImage, parts: NDArray[np.int32], count: int) -> NDArray[np.float64]:
    """Compactness per part: inscribed circle's radius / radius of a circle of the same area."""
    area = np.bincount(parts.ravel(), minlength=count + 1)
    depth = ndimage.maximum(ndimage.distance_transform_edt(mask), parts, np.arange(count + 1))
    return np.asarray(depth) / np.sqrt(np.maximum(area, 1) / np.pi)


def _touches_border(parts: NDArray[np.int32], count: int) -> BoolImage:
    touches = np.zeros(count + 1, bool)
    for edge in (parts[0], parts[-1], parts[:, 0], parts[:, -1]):
        touches[edge] = True
    return touches


def _fill_small_holes(mask: BoolImage, largest: int) -> BoolImage:
    holes = ndimage.binary_fill_holes(mask) & ~mask
    parts, _ = ndimage.label(holes)
    area = np.bincount(parts.ravel())
    small = area <= largest
    small[0] = False
    return mask | small[parts]


def _keep_vessels(
    core: BoolImage, red: BoolImage, nuclei: BoolImage, settings: ProposalSettings
) -> BoolImage:
    """Drop what holds too few red cells or, like free blood between tissue cells, many nuclei."""
    parts, count = ndimage.label(core)
    area = np.maximum(np.bincount(parts.ravel(), minlength=count + 1), 1)
    cells = np.bincount(parts[red], minlength=count + 1)
    dark = np.bincount(parts[nuclei], minlength=count + 1)
    # small vessels packed with cells brush against the nuclei of their own wall
    tissue = (dark > settings.max_nuclei * area) & (cells < 0.6 * area)
    keep = (cells >= settings.min_cluster_area) & (area <= settings.max_vessel_area) & ~tissue
    keep[0] = False
    return keep[parts]


def _add_wall(core: BoolImage, wall: tuple[float, float]) -> BoolImage:
    """Ring around every lumen, wider around wider ones."""
    if not core.any():
        return core
    parts, count = ndimage.label(core)
    inside = ndimage.distance_transform_edt(core)
    radius = np.asarray(ndimage.maximum(inside, parts, np.arange(count + 1)))
    width = np.clip(0.25 * radius + 1.0, *wall)
    away, nearest = ndimage.distance_transform_edt(~core, return_indices=True)
    return np.asarray(away <= width[parts[nearest[0], nearest[1]]])
