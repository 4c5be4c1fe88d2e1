"""Steps done by dask.distributed: worker processes here, or a scheduler somewhere."""

from __future__ import annotations

import os
from collections.abc import Callable
from types import TracebackType
from typing import Any

from napari_histoaug.patches.errors import PatchError
from napari_histoaug.patches.run import Outcome

#: How often a step is tried again elsewhere when its worker died, as it may in a C decoder.
_DEATHS = 1


class Cluster:
    """A pool on dask.distributed; a context manager.

    Parameters
    ----------
    workers : int, optional
        Processes to start on this machine; one a core when omitted.
    scheduler : str, optional
        Address of a running scheduler, ``tcp://...``, whose workers see the same files.

    Raises
    ------
    PatchError
        When distributed is not installed or the scheduler does not answer.
    """

    def __init__(self, workers: int | None = None, scheduler: str | None = None) -> None:
        try:
            import dask
            import distributed
        except ImportError as error:
            raise PatchError(
                "Several workers need dask.distributed; install napari-histoaug[train], or set "
                "workers to 0."
            ) from error
        # Each worker would keep an hour of its own call stacks.
        quiet = {"distributed.worker.profile.enabled": False}
        dask.config.set({"distributed.scheduler.allowed-failures": _DEATHS, **quiet})
        self._distributed = distributed
        self._local: Any = None
        if scheduler is None:
            self._local = distributed.LocalCluster(
                n_workers=workers or os.cpu_count() or 1, threads_per_worker=1,
                dashboard_address=None, silence_logs="CRITICAL",
                # Any free port for what is left of it; two runs on a machine are no news.
                scheduler_kwargs={"dashboard_address": ":0"},
            )  # fmt: skip
        try:
            self._client = distributed.Client(self._local or scheduler, timeout="30s")
        except (OSError, TimeoutError, ValueError) as error:
            raise PatchError(
                f"The dask scheduler {scheduler} does not answer; check its address."
            ) from error
        self._tags: dict[Any, Any] = {}
        self._running = distributed.as_completed()

    @property
    def width(self) -> int:
        """Steps done at once."""
        return max(1, sum(self._client.ncores().values()))

    def start(self, tag: Any, function: Callable[..., Outcome], *args: Any) -> None:
        """Send a step to a worker."""
        future = self._client.submit(function, *args, pure=False)
        self._tags[future.key] = tag
        self._running.add(future)

    def next(self) -> tuple[Any, Outcome]:
        """Wait for the next step to end."""
        future = next(self._running)
        tag = self._tags.pop(future.key)
        error = future.exception()
        if error is None:
            return tag, future.result()
        if isinstance(error, self._distributed.KilledWorker):
            return tag, Outcome(
                problem="The worker died over this slide more than once: it is damaged in a way "
                "that crashes its decoder, or the worker has too little memory."
            )
        raise error

    def __enter__(self) -> Cluster:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.close()
        if self._local is not None:
            self._local.close()
