"""Sample data: a real H&E slide in the public domain."""

from __future__ import annotations

from napari_histoaug.errors import HistoaugError
from napari_histoaug.gui.reader import LayerData, read_slides


def cmu_1_small_region() -> list[LayerData]:
    """OpenSlide's CMU-1-Small-Region (CC0), fetched once, verified and kept in the user's cache."""
    from napari.utils.notifications import show_error, show_info

    from napari_histoaug.slides.samples import fetch_sample

    try:
        path = fetch_sample(progress=show_info)
    except HistoaugError as error:
        show_error(str(error))
        return []
    return read_slides(str(path))
