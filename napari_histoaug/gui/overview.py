"""The overview of a slide whose file has no coarse levels: is it missing, and building it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari.utils.notifications import show_error

from napari_histoaug.gui.job_desk import explained
from napari_histoaug.gui.jobs import JobCallbacks, JobHandle
from napari_histoaug.gui.session import SlideSession, session_of
from napari_histoaug.gui.shown import reopen

if TYPE_CHECKING:
    from napari_histoaug.gui.controller import Controller

BUILDING = "building the overview"


class Overview:
    """What *Build overview* does, for the slide the controller works on."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller

    @property
    def missing(self) -> bool:
        """The slide has no overview, so it is shown roughly when zoomed out."""
        session = self._controller.session
        return session is not None and session.rough

    @property
    def building(self) -> bool:
        """The running job builds an overview (and can be cancelled)."""
        job = self._controller.job
        return job is not None and job.name == BUILDING

    def purpose(self) -> str:
        """What the button does, where it writes and how much."""
        from napari_histoaug.slides.sidecar import bytes_needed
        from napari_histoaug.slides.sidecar_place import cache_folder

        session = self._controller.session
        if session is None or not session.rough:
            return ""
        size = megabytes(bytes_needed(session.slide))
        return (
            "Make the coarse levels that the file lacks, once; the file itself is not changed.\n"
            f"They are written to {cache_folder()} and take at most {size}."
        )

    def build(self) -> None:
        """Build it off the main thread, then show it."""
        self._build(self._controller)

    @staticmethod
    @explained
    def _build(controller: Controller) -> None:
        controller.refuse(controller.why_not.ready())
        session = controller.session
        assert session is not None
        controller.start(
            BUILDING,
            lambda handle: _build(handle, session),
            JobCallbacks(
                done=lambda path: _show(controller, session),
                failed=lambda error: controller.tell(str(error), show_error),
            ),
            unit="tile",
        )


def megabytes(count: int) -> str:
    """Bytes as people say them, rounded up."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{-(-count // 10**6)} MB"


def _build(handle: JobHandle, session: SlideSession) -> Path:
    from napari_histoaug.slides.sidecar import build_sidecar

    handle.say("Hashing the slide…")
    # before the first tile, so that the pace is that of the tiles
    session.slide.sha256(handle.cancelled)
    handle.clock.restart()
    return build_sidecar(session.slide, progress=handle.progress, cancelled=handle.cancelled)


def _show(controller: Controller, session: SlideSession) -> None:
    layers = [layer for layer in controller.slide_layers if session_of(layer) is session]
    reopen(session, layers)
    controller.changed.emit()
