"""How long a run will take, told before it starts: measured once for each model and device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_histoaug.errors import HistoaugError
from napari_histoaug.gui.engine import Engine
from napari_histoaug.gui.jobs import Job, JobCallbacks, JobHandle
from napari_histoaug.gui.tasks import PACES, Settings, seconds_said

if TYPE_CHECKING:
    from napari_histoaug.gui.controller import Controller


class Timing:
    """Loads the model and times it while the user paints; no job of the panels.

    A run that is started meanwhile waits for the model only.
    """

    def __init__(self, controller: Controller, engine: Engine) -> None:
        self._controller = controller
        self._engine = engine
        self._paces: dict[tuple[str | None, str], Any] = {}
        self._defaults: dict[tuple[str | None, str], int] = {}
        self._job: Job | None = None

    def start(self) -> None:
        """Measure, unless that was done or is being done."""
        settings = self._controller.settings
        key = settings.model, settings.device
        if key in self._paces or self._job is not None or self._engine.missing:
            return

        def measure(handle: JobHandle) -> Any:
            generator = self._controller.shelf.get(*key)
            handle.check()
            steps = getattr(generator, "default_steps", None)
            return self._engine.measure(generator), steps

        self._job = Job(
            "measuring the pace",
            measure,
            JobCallbacks(
                done=lambda found: self._found(key, *found),
                # the run itself will say what is wrong with the model
                failed=lambda error: self._failed(key, error),
                ended=self._ended,
            ),
        )
        self._job.start()

    @property
    def idle(self) -> bool:
        """Nothing is being measured."""
        return self._job is None

    def close(self) -> None:
        """Stop measuring and wait for its thread."""
        job, self._job = self._job, None
        if job is not None:
            job.close()

    def evaluations(self, settings: Settings) -> int | None:
        """Network evaluations of a run with these settings, None while the model is unknown."""
        usual = {pace.method: pace.evaluations for pace in PACES}
        if settings.method == "pixel-time":
            default = self._defaults.get((settings.model, settings.device))
            count = settings.steps or default
        else:
            count = None if settings.steps else usual.get(settings.method)
        if count is None or settings.start is None:
            return count
        return max(1, round(count * settings.strength))

    def said(self, settings: Settings) -> str:
        """Evaluations and seconds of one hole, such as ``20 evaluations, about 6 s a hole``."""
        count = self.evaluations(settings)
        if count is None:
            return ""
        pace = self._paces.get((settings.model, settings.device))
        text = f"{count:,} evaluations"
        if pace is None:
            return text
        # a region is made in windows as large as a patch of the training
        unit = "patch" if settings.purpose == "synthesise" else "hole"
        # what is taken away gives way to tissue of no class, nearly always
        plain = settings.purpose in ("remove", "restore")
        return f"{text}, {seconds_said(pace.seconds(count, plain=plain))} a {unit}"

    def _found(self, key: tuple[str | None, str], pace: Any, default: int | None) -> None:
        self._paces[key] = pace
        if default is not None:
            self._defaults[key] = default
        self._controller.learn_classes()

    def _failed(self, key: tuple[str | None, str], error: HistoaugError) -> None:
        self._paces[key] = None

    def _ended(self) -> None:
        self._job = None
        self._controller.changed.emit()
