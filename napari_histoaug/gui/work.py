"""What runs in the job thread: generating, accepting, taking back, exporting. No layers here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_histoaug.gui.geometry import Box
from napari_histoaug.gui.holes import PlannedHole
from napari_histoaug.gui.jobs import JobHandle

if TYPE_CHECKING:
    from napari_histoaug.edits import EditRecord
    from napari_histoaug.generation import Generator, InpaintResult
    from napari_histoaug.gui.session import SlideSession

Inpaint = Callable[..., "InpaintResult"]
LoadGenerator = Callable[..., "Generator"]


@dataclass
class Settings:
    """How to generate; what the panel *Generate* edits.

    ``steps`` None means as many as the model asks for; ``model`` None means the bundled one.
    """

    label: str = "blood_vessel"
    method: str = "pixel-time"
    steps: int | None = None
    seed: int = 0
    device: str = "auto"
    model: str | None = None


@dataclass
class GeneratorShelf:
    """Keeps the last generator, since loading one takes seconds."""

    load: LoadGenerator
    _key: tuple[str | None, str] | None = None
    _generator: Any = None

    def get(self, model: str | None, device: str) -> Generator:
        """The generator, loaded when it is not the one kept."""
        if self._key != (model, device):
            self._generator = None  # let the old one go before the new one needs the memory
            self._key = None
            self._generator = self.load(model, device=device)
            self._key = (model, device)
        return self._generator

    def has(self, model: str | None, device: str) -> bool:
        """Whether :meth:`get` would return at once."""
        return self._key == (model, device)

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names the kept generator knows; empty when none is kept."""
        return tuple(self._generator.classes) if self._generator is not None else ()


@dataclass(frozen=True)
class Preview:
    """The state of a box while the network works; shown where ``shown`` is True."""

    box: Box
    image: np.ndarray
    shown: np.ndarray


@dataclass(frozen=True, eq=False)
class Part:
    """A finished box: what was asked, what came out, and what made it."""

    box: Box
    hole: np.ndarray
    before: np.ndarray
    result: InpaintResult
    model: str
    model_sha256: str

    @property
    def image(self) -> np.ndarray:
        """uint8 (height, width, 3)."""
        return self.result.image

    @property
    def changed(self) -> np.ndarray:
        """bool (height, width): the pixels that are generated."""
        return self.result.changed


@dataclass
class GenerateTask:
    """Everything the thread needs, frozen at the click."""

    session: SlideSession
    plans: Sequence[PlannedHole]
    settings: Settings
    shelf: GeneratorShelf
    inpaint: Inpaint
    parts: list[Part] = field(default_factory=list)

    def __call__(self, handle: JobHandle) -> list[Part]:
        """Fill every planned hole.

        Raises
        ------
        HistoaugError
            When the model cannot be loaded or used; :class:`Cancelled` when asked to stop.
        """
        if not self.shelf.has(self.settings.model, self.settings.device):
            handle.say("Loading the model…")
        generator = self.shelf.get(self.settings.model, self.settings.device)
        handle.check()
        handle.say("Reading the slide…")
        handle.clock.restart()
        for index, plan in enumerate(self.plans):
            self.parts.append(self._fill(handle, generator, index, plan))
        handle.check()
        return self.parts

    def _fill(self, handle: JobHandle, generator: Generator, index: int, plan: PlannedHole) -> Part:
        before = self.session.read(plan.box)
        settings, count = self.settings, len(self.plans)

        def preview(image: np.ndarray) -> None:
            shown = plan.hole | np.any(image != before, axis=-1)
            handle.show(Preview(plan.box, np.array(image), shown))

        result = self.inpaint(
            generator,
            before,
            plan.hole,
            label=settings.label,
            mpp=self.session.slide.mpp,
            method=settings.method,
            steps=settings.steps,
            seed=settings.seed + index,  # two vessels of one click shall not be twins
            progress=lambda done, total: handle.progress(index * total + done, count * total),
            cancelled=handle.cancelled,
            preview=preview,
        )
        return Part(plan.box, plan.hole, before, result, str(generator.name), str(generator.sha256))


def accept(handle: JobHandle, session: SlideSession, parts: Sequence[Part]) -> list[EditRecord]:
    """Write the parts to the edit store with their provenance.

    All or nothing: when one part cannot be written, those before it are taken back.
    """
    handle.say("Hashing the slide…")
    session.slide.sha256()  # remembered by the slide
    handle.say("Writing the edit…")
    return session.edits.accept_all(
        [(part.image, part.changed, _record(session, part), part.hole) for part in parts]
    )


def _record(session: SlideSession, part: Part) -> EditRecord:
    """The provenance of a finished box."""
    from napari_histoaug.edits import EditRecord

    return EditRecord.of(session.slide, part.box, part.result, part.model, part.model_sha256)


def export(handle: JobHandle, session: SlideSession, folder: Path, value: int) -> Path:
    """Write the last accepted edit as an image and mask pair.

    Parameters
    ----------
    folder : Path
    value : int
        Class value of the edit's class in the mask.

    Returns
    -------
    Path
        The image file.
    """
    from napari_histoaug.patches import PairRow, export_pair

    handle.say("Exporting…")
    edit = session.edits.edits[-1]
    synthetic = session.edits.synthetic(*edit.box)
    row = PairRow.from_edit(edit, session.slide.slide_id(), float(synthetic.mean()))
    mask = np.where(session.edits.painted(edit), value, 0).astype(np.uint8)
    return export_pair(folder, session.read(edit.box), mask, row)
