"""What belongs to a large slide whose file is new here, found off the main thread.

That is its edits and its overview: both go by the slide's content. After a move or a copy the whole
file has to be hashed to know which they are, a minute for many gigabytes. Meanwhile the slide is
shown without them.
"""

from __future__ import annotations

import napari
from napari.utils.notifications import show_error

from napari_histoaug.gui.jobs import Job, JobCallbacks, JobHandle
from napari_histoaug.gui.session import SlideSession, session_of
from napari_histoaug.gui.shown import refresh, reopen


def settle_later(session: SlideSession) -> None:
    """Start looking, if there may be something to find; returns at once, on the main thread."""
    if session.edits.settled and not (session.rough and _may_be_built(session)):
        return
    job = Job(
        "looking for earlier edits",
        lambda handle: _look(handle, session),
        JobCallbacks(
            done=lambda built: _show(session, built),
            failed=lambda error: show_error(str(error)),
            ended=lambda: _forget(session),
        ),
    )
    session.settling = job
    job.start()


def _may_be_built(session: SlideSession) -> bool:
    from napari_histoaug.slides.sidecar_place import any_like

    return session.slide.known_sha256() is None and any_like(session.slide)


def _look(handle: JobHandle, session: SlideSession) -> bool:
    """Hash the slide and open what belongs to it; return whether it has an overview."""
    from napari_histoaug.slides.sidecar import find_sidecar

    session.slide.sha256(handle.cancelled)
    session.edits.settle()
    return session.rough and find_sidecar(session.slide) is not None


def _show(session: SlideSession, built: bool) -> None:
    viewer = napari.current_viewer()
    layers = [] if viewer is None else [x for x in viewer.layers if session_of(x) is session]
    if built:
        reopen(session, layers)
    elif session.edits.edits:
        for layer in layers:
            refresh(layer)


def _forget(session: SlideSession) -> None:
    session.settling = None
    session.found.emit()
