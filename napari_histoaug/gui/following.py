"""Says when the view has come to rest, so that the canvas can follow it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QTimer

if TYPE_CHECKING:
    from napari.components import ViewerModel

REST_MILLISECONDS = 200


class ViewFollower:
    """Watches the camera of a viewer.

    Parameters
    ----------
    viewer : ViewerModel
    moved : callable
        Called at every movement.
    rested : callable
        Called once the view has not moved for a moment; called again a moment later while it
        returns False, which says that it is not a good time.
    """

    def __init__(
        self, viewer: ViewerModel, moved: Callable[[], None], rested: Callable[[], bool]
    ) -> None:
        self._camera = viewer.camera
        self._moved, self._rested = moved, rested
        self._timer = QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(REST_MILLISECONDS)
        self._timer.timeout.connect(self._on_rest)
        self._camera.events.center.connect(self._on_move)
        self._camera.events.zoom.connect(self._on_move)

    @property
    def is_waiting(self) -> bool:
        """Whether the view has still to come to rest."""
        return bool(self._timer.isActive())

    def later(self) -> None:
        """Act as if the view had moved just now."""
        self._timer.start()

    def close(self) -> None:
        """Watch no more."""
        self._timer.stop()
        self._camera.events.center.disconnect(self._on_move)
        self._camera.events.zoom.disconnect(self._on_move)

    def _on_move(self, event: Any = None) -> None:
        self._moved()
        self._timer.start()

    def _on_rest(self) -> None:
        if not self._rested():
            self._timer.start()
