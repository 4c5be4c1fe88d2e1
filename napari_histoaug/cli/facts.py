"""What ``histoaug info`` says of a slide, without reading more of the file than it must."""

from __future__ import annotations

from collections.abc import Iterator

from napari_histoaug.slides import Slide
from napari_histoaug.slides.plan import needs_sidecar


def facts(slide: Slide, whole: bool = False) -> Iterator[tuple[str, str]]:
    """Yield (name, fact) pairs.

    Parameters
    ----------
    slide : Slide
    whole : bool
        Read the whole file when its hash is not known: the id and the edits depend on it.
    """
    yield "slide", slide.path.name
    yield "format", slide.vendor
    mpp = slide.mpp
    yield "pixel size", f"{mpp[0]:.4g} x {mpp[1]:.4g} µm (y x x)" if mpp else _UNSTATED
    for index, level in enumerate(slide.levels):
        height, width = level.shape
        yield f"level {index}", f"{height} x {width}, downsampled {level.downsample[0]:.4g}"
    for note in slide.notes:
        yield "note", note
    known = (slide.sha256() if whole else slide.known_sha256()) is not None
    if needs_sidecar(slide):
        yield "overview", _overview(slide, known)
    yield "edits", _edits(slide, known)
    yield "slide id", slide.slide_id() if known else "read the whole file with --id to have it"


_UNSTATED = "not stated by the file"


def _overview(slide: Slide, known: bool) -> str:
    if not known:
        return "the file has no coarse levels; --id tells whether they were built"
    from napari_histoaug.slides.sidecar import bytes_needed, find_sidecar

    if find_sidecar(slide) is not None:
        return "built"
    size = f"at most {-(-bytes_needed(slide) // 10**6)} MB"
    return f"missing; Build overview in the window makes it ({size})"


def _edits(slide: Slide, known: bool) -> str:
    # Not the whole room: the pixels of edits are kept with zarr, which takes a second to import.
    from napari_histoaug.edits import location

    if not known:
        kept = location.is_store(location.beside(slide))
        return "some beside the slide; count them with --id" if kept else "none beside the slide"
    if location.find_existing(slide) is None:
        return "0 accepted"
    from napari_histoaug.edits import EditStore

    return f"{len(EditStore.open(slide).edits)} accepted"
