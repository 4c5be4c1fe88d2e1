"""One job at a time, off the main thread, that can be followed and cancelled.

A job is a plain function ``work(handle)``; the handle carries the two plain callables that the
rooms below understand (``handle.progress``, ``handle.cancelled``) and ``handle.show`` for anything
else. Everything the job says is delivered on the main thread, in order.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from napari.qt.threading import create_worker
from qtpy.QtCore import QObject, Signal, Slot

from napari_histoaug.errors import Cancelled, HistoaugError

INTERVAL = 0.5
"""Shortest time between two progress messages, seconds.

Whatever changes in a window with an OpenGL canvas makes Qt compose the whole window again while it
holds Python's lock. Without a graphics card that takes 0.1 to 0.3 s, and the job stands still
meanwhile: ten messages a second made an inpaint take ten times as long.
"""


@dataclass(frozen=True)
class Progress:
    """How far a job is: ``done`` of ``total`` units, each ``seconds`` long."""

    done: int
    total: int
    seconds: float
    unit: str = "step"

    @property
    def text(self) -> str:
        """Such as ``step 12/20, 0.3 s a step, 3 s left``."""
        left = self.seconds * (self.total - self.done)
        pace = f"{self.seconds:.1f}" if self.seconds >= 0.095 else f"{self.seconds:.2f}"
        unit = self.unit
        return f"{unit} {self.done}/{self.total}, {pace} s a {unit}, {_duration(left)} left"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min"


class StepClock:
    """Turns bare step counts into :class:`Progress`, at most one each :data:`INTERVAL`.

    Parameters
    ----------
    clock : callable
        Seconds, monotonic; injected by tests.
    unit : str
        What is counted.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, unit: str = "step") -> None:
        self._clock, self._unit = clock, unit
        self.restart()

    def restart(self) -> None:
        """Forget the pace, for instance after the model was loaded."""
        self._start = self._clock()
        self._last = float("-inf")

    def tick(self, done: int, total: int) -> Progress | None:
        """The progress to show, or None when the last one is too recent."""
        now = self._clock()
        if now - self._last < INTERVAL and done < total:
            return None
        self._last = now
        return Progress(done, total, (now - self._start) / max(done, 1), self._unit)


class JobHandle:
    """What the work function sees of its job. All methods may be called off the main thread."""

    def __init__(self, post: Callable[[str, Any], None], clock: StepClock) -> None:
        self._post = post
        self._stop = threading.Event()
        self.waiting = threading.Event()
        self.clock = clock
        self.abort_requested: Callable[[], bool] = lambda: False

    def cancelled(self) -> bool:
        """True once the user, or the closing window, asked to stop."""
        return self._stop.is_set() or self.abort_requested()

    def check(self) -> None:
        """Raise :class:`Cancelled` when asked to stop."""
        if self.cancelled():
            raise Cancelled("Cancelled.")

    def progress(self, done: int, total: int) -> None:
        """Report steps; throttled."""
        news = self.clock.tick(done, total)
        if news is not None:
            self._post("progress", news)

    def say(self, text: str) -> None:
        """Report a phase that has no steps, such as loading the model."""
        self._post("phase", text)

    def show(self, value: Any) -> None:
        """Hand a preview to the main thread; dropped while the last one still waits there."""
        if not self.waiting.is_set():
            self.waiting.set()
            self._post("value", value)

    def stop(self) -> None:
        self._stop.set()


@dataclass
class JobCallbacks:
    """Called on the main thread, in the order things happened; ``ended`` is always the last."""

    done: Callable[[Any], None]
    failed: Callable[[HistoaugError], None]
    cancelled: Callable[[], None] = lambda: None
    progress: Callable[[Progress], None] = lambda news: None
    phase: Callable[[str], None] = lambda text: None
    value: Callable[[Any], None] = lambda value: None
    ended: Callable[[], None] = lambda: None


class Job(QObject):
    """One function running in a napari worker thread; make and start it on the main thread.

    Errors a user can act on (:class:`HistoaugError`) arrive in ``callbacks.failed``. Any other
    exception is a bug and goes to napari's own error notification with its traceback.
    """

    _posted = Signal(str, object)

    def __init__(
        self,
        name: str,
        work: Callable[[JobHandle], Any],
        callbacks: JobCallbacks,
        clock: StepClock | None = None,
    ) -> None:
        super().__init__()
        self.name = name
        self._work = work
        self._callbacks = callbacks
        self._lock = threading.Lock()
        self._begun = False
        self._idle = threading.Event()
        self._closed = False
        self.handle = JobHandle(self._post, clock or StepClock())
        # a slot of an object of the main thread: Qt queues what the other thread emits
        self._posted.connect(self._deliver)

    @property
    def at_rest(self) -> bool:
        """Its work has ended, in whichever way; the news of it may still be under way."""
        return self._idle.is_set()

    def start(self) -> None:
        """Start the thread; returns at once."""
        worker = create_worker(self._run, _start_thread=False)
        self.handle.abort_requested = lambda: bool(worker.abort_requested)
        worker.start()

    def cancel(self) -> None:
        """Ask to stop; the job ends at its next ``cancelled()`` question."""
        with self._lock:
            self.handle.stop()

    def close(self) -> None:
        """Cancel, say nothing more, and wait until the thread no longer runs."""
        self._closed = True
        self.cancel()
        with self._lock:
            begun = self._begun
        # a thread that has not begun yet will find the stop sign and return
        if begun:
            self._idle.wait()

    def _run(self) -> None:
        with self._lock:
            if self.handle.cancelled():
                self._post("cancelled", None)
                self._post("ended", None)
                return
            self._begun = True
        try:
            self._post("done", self._work(self.handle))
        except Cancelled:
            self._post("cancelled", None)
        except HistoaugError as error:
            self._post("failed", error)
        finally:
            self._post("ended", None)
            self._idle.set()

    def _post(self, kind: str, value: Any) -> None:
        if not self._closed:
            self._posted.emit(kind, value)

    @Slot(str, object)
    def _deliver(self, kind: str, value: Any) -> None:
        if self._closed:
            return
        if kind == "value":
            self.handle.waiting.clear()
        callback = getattr(self._callbacks, kind)
        if kind in ("cancelled", "ended"):
            callback()
        else:
            callback(value)
