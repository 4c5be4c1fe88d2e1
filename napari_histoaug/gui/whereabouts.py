"""Where one was on a slide when it was closed, for *Back to the last view*.

Kept in the user's configuration folder under the slide's salted id: a place and a zoom, no names.
"""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import platformdirs

from napari_histoaug.gui.geometry import origin_of
from napari_histoaug.gui.session import SlideSession, session_of

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

MOST = 200  # slides remembered
View = tuple[float, float, float]
"""(y, x) of the middle in level-0 pixels, and screen pixels for each of them."""


def current(viewer: ViewerModel, layer: Image) -> View:
    """What is seen of a slide now."""
    session = session_of(layer)
    assert session is not None
    middle = (np.array(viewer.camera.center[-2:]) - origin_of(layer)) / session.scale
    return float(middle[0]), float(middle[1]), float(viewer.camera.zoom * session.scale[0])


def go_to(viewer: ViewerModel, layer: Image, view: View) -> None:
    """Look at a slide as in a remembered view."""
    session = session_of(layer)
    assert session is not None
    middle = origin_of(layer) + np.array(view[:2]) * session.scale
    viewer.camera.center = tuple(float(v) for v in middle)
    viewer.camera.zoom = view[2] / session.scale[0]


def remembered(session: SlideSession) -> View | None:
    """The view a slide was left in; None when it is new here, or would have to be hashed first."""
    name = _id(session)
    view = _read().get(name) if name else None
    return None if view is None else (view[0], view[1], view[2])


def remember(session: SlideSession, view: View) -> None:
    """Keep the view of a slide; the oldest one goes when there are too many."""
    name = _id(session)
    if name is None:
        return
    views = {key: kept for key, kept in _read().items() if key != name}
    views = dict(list(views.items())[-(MOST - 1) :]) | {name: list(view)}
    path = _path()
    part = path.with_name(f".{uuid.uuid4().hex}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(views), encoding="utf-8")
        part.replace(path)
    except OSError:
        # nothing is lost but a convenience
        part.unlink(missing_ok=True)


def _id(session: SlideSession) -> str | None:
    return None if session.slide.known_sha256() is None else session.slide.slide_id()


def _path() -> Path:
    return Path(platformdirs.user_config_dir("napari-histoaug")) / "views.json"


def _read() -> dict[str, list[float]]:
    try:
        views = json.loads(_path().read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    good = isinstance(views, dict)
    return {k: v for k, v in views.items() if _is_view(v)} if good else {}


def _is_view(value: object) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 3
        and all(isinstance(number, int | float) for number in value)
        and value[2] > 0
    )
