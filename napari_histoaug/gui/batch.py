"""Every outline of a class at once: filled, and accepted, while the user does something else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from napari_histoaug.gui.holes import PlannedHole
from napari_histoaug.gui.jobs import JobHandle, StepClock
from napari_histoaug.gui.work import SEVERAL, GenerateTask, accept, loaded

if TYPE_CHECKING:
    from napari_histoaug.edits import EditRecord


@dataclass
class BatchTask:
    """Every drawn outline of a class filled and accepted, some at a time.

    What is finished when the user cancels stays: each is an edit that can be undone.
    """

    task: GenerateTask
    plan: Callable[[], Sequence[PlannedHole]]
    kept: list[EditRecord] = field(default_factory=list)

    def __call__(self, handle: JobHandle) -> list[EditRecord]:
        """Return the records.

        Raises
        ------
        HistoaugError
            As :class:`GenerateTask`.
        """
        task = self.task
        handle.say("Reading the outlines…")
        plans = self.plan()
        loaded(handle, task.shelf, task.settings)
        handle.clock.restart()
        for first in range(0, len(plans), SEVERAL[0]):
            some = plans[first : first + SEVERAL[0]]
            settings = replace(task.settings, seed=task.settings.seed + first, variants=1)
            portion = replace(task, plans=some, settings=settings)
            quiet = JobHandle(lambda kind, value: None, StepClock())
            quiet.abort_requested = handle.cancelled
            parts = [part for variant in portion(quiet) for part in variant]
            self.kept += accept(quiet, task.session, parts)
            handle.progress(len(self.kept), len(plans))
        return self.kept
