"""One run at a time in an output folder, on one machine or on several that share it."""

from __future__ import annotations

import json
import os
import socket
import threading
import uuid
from pathlib import Path
from types import TracebackType

from napari_histoaug.patches.errors import PatchError
from napari_histoaug.patches.staging import begin_staging, end_staging, staging_folder
from napari_histoaug.slides.exclusive import exclusive

#: Seconds between two signs of life, and after how long without one a run on another machine is
#: believed to be dead.
HEARTBEAT, STALE = 10.0, 120.0


class RunLock:
    """A file ``run.lock``, made exclusively, that says who holds it and is touched while it is.

    A holder on this machine is dead when its process is; one on another when its file was not
    touched for two minutes by the clock of the file server. A dead one's lock is taken over, and
    whatever still works for it can change nothing from then on: see
    :mod:`~napari_histoaug.patches.staging`.

    Attributes
    ----------
    token : str
        Names the run.
    staging : Path
        Folder in which the run stages what it writes.
    lost : bool
        Whether another run has taken the lock.

    Raises
    ------
    PatchError
        On entering, when another run holds the folder.
    """

    def __init__(self, folder: Path, heartbeat: float = HEARTBEAT, stale: float = STALE) -> None:
        self._path = folder / "run.lock"
        self._guard = folder / "run.guard"
        self._work = folder / "work"
        self.token = uuid.uuid4().hex
        self.staging = staging_folder(self._work, self.token)
        self._heartbeat, self._stale = heartbeat, stale
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self.lost = False

    def __enter__(self) -> RunLock:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            # Two runs that find the same dead lock shall not both take it over.
            with exclusive(self._guard) as alone:
                if not alone:
                    raise self._held("another run that is just starting")
                self._take_over_if_dead()
                self._create()
                self._begin()
        except OSError as error:
            raise PatchError(
                f"The folder {self._path.parent} cannot be written ({error.strerror or error}); "
                "choose one you may write to."
            ) from error
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()
        end_staging(self._work, self.token)
        if self._is_ours():
            self._path.unlink(missing_ok=True)

    def check(self) -> None:
        """Raise when another run has taken the lock, which we were too slow to keep alive."""
        if self.lost:
            raise self._held("another run, since this one stood still for minutes")

    def _create(self) -> None:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        holder = {"host": socket.gethostname(), "pid": os.getpid(), "token": self.token}
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            json.dump(holder, stream)

    def _begin(self) -> None:
        try:
            begin_staging(self._work, self.token)
        except OSError:
            self._path.unlink(missing_ok=True)
            raise

    def _take_over_if_dead(self) -> None:
        try:
            text = self._path.read_text("utf-8")
            age = self._now() - self._path.stat().st_mtime
        except FileNotFoundError:
            return
        try:
            holder = json.loads(text)
            host, pid = str(holder["host"]), int(holder["pid"])
        except (ValueError, KeyError, TypeError):  # died between making and filling it
            host, pid = "?", 0
        here = host == socket.gethostname()
        if (here and not _alive(pid)) or age > self._stale:
            self._path.unlink(missing_ok=True)
            return
        raise self._held(f"the process {pid} on {host}")

    def _now(self) -> float:
        """Return the time by the clock that stamps the lock."""
        os.utime(self._guard)
        return self._guard.stat().st_mtime

    def _held(self, by: str) -> PatchError:
        return PatchError(
            f"{self._path.parent} is being written by {by}; wait until that is done, or choose "
            "another folder."
        )

    def _is_ours(self) -> bool:
        try:
            return self.token in self._path.read_text("utf-8")
        except OSError:
            return False

    def _beat(self) -> None:
        while not self._stop.wait(self._heartbeat):
            if not self._is_ours():
                self.lost = True
                return
            os.utime(self._path)


def _alive(pid: int) -> bool:
    if pid <= 0:
        return False
    if os.name == "nt":
        import psutil

        return bool(psutil.pid_exists(pid))
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's, so it is there
        return True
    return True
