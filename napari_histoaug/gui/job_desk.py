"""One job at a time, its news and its errors: what every action of the panels needs."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from napari.utils.notifications import show_info, show_warning
from psygnal import Signal

from napari_histoaug.errors import HistoaugError
from napari_histoaug.gui.jobs import Job, JobCallbacks, StepClock

_F = TypeVar("_F", bound=Callable[..., Any])


def explained(action: _F) -> _F:
    """Turn a HistoaugError into a notification with its sentence, without a traceback.

    For the methods of a desk, and of an object that has one as its ``controller``.
    """

    @functools.wraps(action)
    def wrapped(actor: Any, *args: Any) -> None:
        desk: JobDesk = getattr(actor, "controller", actor)
        try:
            desk.sentence = ""
            action(actor, *args)
        except HistoaugError as error:
            desk.tell(str(error), show_warning)

    return wrapped  # type: ignore[return-value]


class JobDesk:
    """Runs one job at a time and says what it and the user should know.

    Attributes
    ----------
    changed : psygnal.Signal
        Something a panel shows is different now.
    progressed : psygnal.Signal
        A :class:`~napari_histoaug.gui.jobs.Progress` or a phase (str) of the running job.
    job : Job or None
        The running job.
    sentence : str
        What was told last, empty when nothing was since the last action.
    is_warning : bool
        Something went wrong; otherwise the sentence is news.
    """

    changed = Signal()
    progressed = Signal(object)

    def __init__(self) -> None:
        self.job: Job | None = None
        self.sentence = ""
        self.is_warning = False

    @property
    def busy(self) -> bool:
        """A job is running."""
        return self.job is not None

    def start(
        self, name: str, work: Callable[..., Any], callbacks: JobCallbacks, unit: str = "step"
    ) -> None:
        """Run ``work(handle)`` off the main thread; ``unit`` names what its progress counts."""
        callbacks.progress = self.progressed.emit
        callbacks.phase = self.progressed.emit
        callbacks.ended = self._ended
        self.job = Job(name, work, callbacks, StepClock(unit=unit))
        self.changed.emit()
        self.job.start()

    def cancel(self) -> None:
        """Stop the running job at its next question whether to."""
        if self.job is not None:
            self.job.cancel()
            self.progressed.emit("Cancelling…")

    def stop(self) -> None:
        """Stop the job, say nothing more about it, and wait until its thread has ended."""
        job, self.job = self.job, None
        if job is not None:
            job.close()

    def tell(self, sentence: str, show: Callable[[str], None]) -> None:
        """Say a sentence in a napari notification, and keep it for the panel."""
        self.sentence, self.is_warning = sentence, show is not show_info
        show(sentence)
        self.changed.emit()

    @staticmethod
    def refuse(reason: str | None) -> None:
        """Raise a :class:`HistoaugError` with the reason, when there is one."""
        if reason is not None:
            raise HistoaugError(reason)

    def _ended(self) -> None:
        self.job = None
        self.changed.emit()
