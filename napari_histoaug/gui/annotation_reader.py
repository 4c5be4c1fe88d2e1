"""The napari reader of annotations: GeoJSON onto the open slide.

Importing this module loads neither shapely nor openslide: napari does it to find readers.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from napari_histoaug.errors import HistoaugError

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

    from napari_histoaug.annotations import ClassTable, FrameError
    from napari_histoaug.gui.annotation_view import AnnotationView

LayerData = tuple[Any, ...]
EDITABLE_BYTES = 64 * 2**20
"""Larger files are shown without being held whole; they cannot be edited."""
_ENDINGS = (".geojson", ".geojson.gz", ".geojson.zip")
_LOOK = 4096


class Loaded(NamedTuple):
    """Annotations read from a file, and what the user should know about them."""

    view: AnnotationView
    notes: tuple[str, ...]


Ask = Callable[["FrameError"], "str | None"]


def get_annotation_reader(path: str | Sequence[str]) -> Callable[[Any], list[LayerData]] | None:
    """Reader for GeoJSON; for other JSON files None unless they look like it."""
    paths = [path] if isinstance(path, (str, Path)) else list(path)
    return read_annotations if all(_is_geojson(str(p)) for p in paths) else None


def read_annotations(path: str | Sequence[str]) -> list[LayerData]:
    """Open annotation files, each as one Labels layer over the slide that is open.

    A file that cannot be opened is explained in a napari notification and gives no layer.
    """
    import napari
    from napari.utils.notifications import show_error, show_warning

    viewer = napari.current_viewer()
    layers = []
    for one in [path] if isinstance(path, (str, Path)) else path:
        slide_layer = slide_below(viewer)
        try:
            loaded = load(Path(one), slide_layer, ask_frame)
        except HistoaugError as error:
            show_error(str(error))
            continue
        for note in loaded.notes:
            show_warning(note)
        layers.append(layer_data(loaded.view, slide_layer))
    return layers or [(None,)]


def load(
    path: Path,
    slide_layer: Image | None,
    ask: Ask,
    *,
    table: ClassTable | None = None,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Loaded:
    """Read a file and place it on a slide.

    Parameters
    ----------
    path : Path
    slide_layer : Image, optional
        The layer of the slide; without one the annotations are shown alone, in pixels.
    ask : callable
        Called with a FrameError when the coordinates fit the slide in two ways; returns the name
        of the frame, or None to give up.
    table : ClassTable, optional
        Colours of classes.
    progress, cancelled : callable, optional
        As in :meth:`AnnotationIndex.from_file`.

    Raises
    ------
    HistoaugError
        One sentence: the file cannot be read, or belongs to another slide.
    """
    from napari_histoaug.annotations import AnnotationIndex, Picture, read_geojson
    from napari_histoaug.annotations.problems import listed
    from napari_histoaug.gui.annotation_view import AnnotationView
    from napari_histoaug.gui.session import session_of

    session = session_of(slide_layer)
    document = None
    if path.is_file() and path.stat().st_size <= EDITABLE_BYTES:
        with warnings.catch_warnings():
            # said below, to the user
            warnings.simplefilter("ignore")
            document = read_geojson(path, progress=progress, cancelled=cancelled)
    source = document or AnnotationIndex.from_file(path, progress=progress, cancelled=cancelled)
    notes = []
    if session is None:
        notes.append(f"{path.name} is shown in pixels: no slide is open that it could lie on.")
    else:
        notes.append(_place(source, session.slide, path.name, ask))
    if source.problems:
        notes.append(f"{path.name} has {len(source.problems)} problems: {listed(source.problems)}.")
    index = AnnotationIndex.from_document(document) if document else source
    assert isinstance(index, AnnotationIndex)
    shape = session.shape if session else _extent(index)
    view = AnnotationView(Picture(index, table), document, path, shape, session)
    return Loaded(view, tuple(note for note in notes if note))


def layer_data(view: AnnotationView, slide_layer: Image | None) -> LayerData:
    """The layer data tuple of annotations."""
    from napari_histoaug.gui.annotation_view import layer_settings
    from napari_histoaug.gui.geometry import origin_of

    origin = origin_of(slide_layer) if slide_layer is not None else (0.0, 0.0)
    name = view.path.name.split(".")[0] if view.path else "annotations"
    return view.levels(), layer_settings(view, f"{name} annotations", origin), "labels"


def slide_below(viewer: ViewerModel | None) -> Image | None:
    """The layer of the slide that annotations are opened onto: the selected one, else the last."""
    from napari_histoaug.gui.session import session_of

    if viewer is None:
        return None
    layers = [layer for layer in viewer.layers if session_of(layer) is not None]
    active = viewer.layers.selection.active
    return active if active in layers else (layers[-1] if layers else None)


def ask_frame(error: FrameError) -> str | None:
    """Ask the user in which frame the coordinates count."""
    from qtpy.QtWidgets import QInputDialog

    choice, agreed = QInputDialog.getItem(
        None, "Where do the coordinates begin?", str(error), list(error.choices), 0, False
    )
    return choice if agreed else None


def _place(source: Any, slide: Any, name: str, ask: Ask) -> str:
    from napari_histoaug.annotations import FrameError, place_on

    try:
        return place_on(source, slide, source=name).sentence
    except FrameError as error:
        frame = ask(error)
        if frame is None:
            raise HistoaugError(f"{name} was not opened: its frame was not chosen.") from None
        return place_on(source, slide, frame, source=name).sentence


def _extent(index: Any) -> tuple[int, int]:
    if not len(index):
        return (1, 1)
    x, y = index.outlines.bounds[:, 2:].max(axis=0)
    return max(1, int(y) + 1), max(1, int(x) + 1)


def _is_geojson(path: str) -> bool:
    """By its ending; a plain .json file by its first bytes, too."""
    if path.lower().endswith(_ENDINGS):
        return True
    if not path.lower().endswith(".json"):
        return False
    try:
        with Path(path).open("rb") as file:
            start = file.read(_LOOK)
    except OSError:
        return False
    return b'"Feature' in start
