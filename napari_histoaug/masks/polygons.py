"""From polygon vertices to a hole."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_histoaug.errors import HistoaugError


def polygons_to_mask(
    vertices_list: Iterable[ArrayLike], shape: tuple[int, int], pixel_centre: float = 0.5
) -> NDArray[np.bool_]:
    """Fill polygons by the pixel-centre rule.

    Parameters
    ----------
    vertices_list : iterable of array-like (n, 2)
        Outlines as (row, column); closed by themselves. Overlapping polygons unite.
    shape : tuple of int
        (height, width) of the mask.
    pixel_centre : float
        Where the centre of pixel 0 lies in the vertices' coordinates: 0.5 when pixel 0 spans
        0 to 1 (GeoJSON and this package), 0.0 for the data coordinates of napari layers.

    Returns
    -------
    bool (height, width)
        True where a pixel's centre lies inside a polygon; parts outside the mask are cut off.

    Raises
    ------
    HistoaugError
        When an outline has fewer than three corners or is not a list of (row, column).
    """
    from rasterio.features import rasterize

    polygons = []
    for index, vertices in enumerate(vertices_list):
        corners = np.asarray(vertices, dtype=float)
        if corners.ndim != 2 or corners.shape[1] != 2 or len(corners) < 3:
            raise HistoaugError(
                f"Polygon {index} cannot be filled; draw it with at least three corners."
            )
        polygons.append(_geometry(corners + (0.5 - pixel_centre)))
    if not polygons or 0 in shape:
        return np.zeros(shape, dtype=bool)
    return np.asarray(rasterize(polygons, out_shape=shape, fill=0, default_value=1) > 0)


def _geometry(corners: NDArray[np.float64]) -> dict[str, str | Sequence[object]]:
    closed = np.vstack([corners, corners[:1]])
    return {"type": "Polygon", "coordinates": [closed[:, ::-1].tolist()]}
