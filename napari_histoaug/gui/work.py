"""What runs in the job thread: generating, accepting, taking back, exporting. No layers here."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_histoaug.edits.record import Purpose
from napari_histoaug.gui.engine import Engine
from napari_histoaug.gui.geometry import Box
from napari_histoaug.gui.holes import PlannedHole
from napari_histoaug.gui.jobs import JobHandle
from napari_histoaug.gui.judging import Scores
from napari_histoaug.gui.label_source import BACKGROUND, LabelSource
from napari_histoaug.gui.tasks import Settings

if TYPE_CHECKING:
    from napari_histoaug.annotations import ClassTable
    from napari_histoaug.edits import EditRecord
    from napari_histoaug.edits.record import Made
    from napari_histoaug.generation import Donor, Generator
    from napari_histoaug.gui.session import SlideSession

LoadGenerator = Callable[..., "Generator"]
SEVERAL = 8, 2  # holes at once on a graphics card and on a processor, where a batch gains little


@dataclass
class GeneratorShelf:
    """Keeps the last generator, since loading one takes seconds; safe in several threads."""

    load: LoadGenerator
    _key: tuple[str | None, str] | None = None
    _generator: Any = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def get(self, model: str | None, device: str) -> Generator:
        """The generator, loaded when it is not the one kept."""
        with self._lock:
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

    @property
    def device(self) -> str:
        """The device of the kept generator, such as "cuda"; empty when none is kept."""
        return str(getattr(self._generator, "device", ""))


@dataclass(frozen=True)
class Preview:
    """The state of a box while the network works; shown where ``shown`` is True."""

    box: Box
    image: np.ndarray
    shown: np.ndarray


@dataclass(frozen=True, eq=False)
class Part:
    """A finished box: what was asked, what came out, and what made it.

    Attributes
    ----------
    box : (y, x, height, width)
        Level-0 pixels.
    hole : bool or uint8 (height, width)
        What was painted; the class values of a synthesised region.
    before, image : uint8 (height, width, 3)
    changed : bool (height, width)
        The pixels that are generated.
    result : Made
        How, for the record; ``result.notes`` are for the user.
    model, model_sha256 : str
    purpose, classes
        As in the record.
    scores : Scores or str, optional
        What a segmenter says of it, or why it says nothing.
    """

    box: Box
    hole: np.ndarray
    before: np.ndarray
    image: np.ndarray
    changed: np.ndarray
    result: Made
    model: str
    model_sha256: str
    purpose: Purpose = "inpaint"
    classes: tuple[str, ...] = ()
    scores: Scores | str | None = None


@dataclass(frozen=True)
class Wanted:
    """One hole of one variant."""

    plan: PlannedHole
    seed: int
    label: str
    before: np.ndarray


@dataclass
class GenerateTask:
    """Everything the thread needs, frozen at the click."""

    session: SlideSession
    plans: Sequence[PlannedHole]
    settings: Settings
    shelf: GeneratorShelf
    engine: Engine
    labels: LabelSource

    def __call__(self, handle: JobHandle) -> list[list[Part]]:
        """Fill every planned hole, as often as there shall be variants.

        Raises
        ------
        HistoaugError
            When the model cannot be loaded or used; :class:`Cancelled` when asked to stop.
        """
        generator = loaded(handle, self.shelf, self.settings)
        handle.say("Reading the slide…")
        handle.clock.restart()
        if self.settings.purpose == "synthesise":
            parts = self._synthesize(handle, generator)
        else:
            wanted = self._wanted(generator.classes)
            if len(wanted) > 1:
                parts = self._fill_many(handle, generator, wanted)
            else:
                parts = [
                    self._fill(handle, generator, wanted, index) for index in range(len(wanted))
                ]
        handle.check()
        parts = self._judged(handle, parts)
        each = len(self.plans)
        return [parts[first : first + each] for first in range(0, len(parts), each)]

    def _judged(self, handle: JobHandle, parts: list[Part]) -> list[Part]:
        """The parts with what a segmenter says of them, where a class was asked for or removed."""
        judge, settings = self.engine.judge, self.settings
        if judge is None or settings.purpose not in ("inpaint", "remove"):
            return parts
        handle.say("Looking at the result…")
        judged, mpp = [], self.session.slide.mpp
        for part in parts:
            handle.check()
            said = judge(part.before, part.image, part.hole, settings.label, mpp, settings.device)
            judged.append(replace(part, scores=said))
        return judged

    def _wanted(self, classes: Sequence[str]) -> list[Wanted]:
        settings, count = self.settings, len(self.plans)
        befores = [self.session.read(plan.box) for plan in self.plans]
        labels = [settings.label] * count
        if settings.purpose != "inpaint":
            around = [self.labels.around(plan) for plan in self.plans]
            # what the model was never taught is plain tissue to it
            labels = [label if label in classes else BACKGROUND for label in around]
        return [
            # two vessels of one click shall not be twins
            Wanted(plan, settings.seed + variant * count + index, labels[index], befores[index])
            for variant in range(settings.variants)
            for index, plan in enumerate(self.plans)
        ]

    def _fill(
        self, handle: JobHandle, generator: Generator, all_wanted: Sequence[Wanted], index: int
    ) -> Part:
        wanted, count = all_wanted[index], len(all_wanted)
        plan, before, settings = wanted.plan, wanted.before, self.settings

        def preview(image: np.ndarray) -> None:
            shown = plan.hole | np.any(image != before, axis=-1)
            handle.show(Preview(plan.box, np.array(image), shown))

        donors = self._donors([wanted])
        start = {"donor": donors[0], "strength": settings.strength} if donors else {}
        result = self.engine.inpaint(
            generator,
            before,
            plan.hole,
            label=wanted.label,
            mpp=self.session.slide.mpp,
            method=settings.method,
            steps=settings.steps,
            seed=wanted.seed,
            progress=lambda done, total: handle.progress(index * total + done, count * total),
            cancelled=handle.cancelled,
            preview=preview,
            **start,
        )
        return self._part(generator, wanted, result)

    def _fill_many(
        self, handle: JobHandle, generator: Generator, wanted: Sequence[Wanted]
    ) -> list[Part]:
        """Fill holes in batches; those of one class go together."""
        settings = self.settings
        on_card = not str(getattr(generator, "device", "cpu")).startswith("cpu")
        parts: dict[int, Part] = {}
        for label in dict.fromkeys(one.label for one in wanted):
            members = [i for i, one in enumerate(wanted) if one.label == label]
            before, share = len(parts), len(members) / len(wanted)

            def tell(done: int, total: int, before: int = before, share: float = share) -> None:
                everything = round(total / share)
                handle.progress(round(before / len(wanted) * everything) + done, everything)

            donors = self._donors([wanted[i] for i in members])
            start = {"donors": donors, "strength": settings.strength} if donors else {}
            results = self.engine.inpaint_many(
                generator,
                [wanted[i].before for i in members],
                [wanted[i].plan.hole for i in members],
                label=label,
                mpp=self.session.slide.mpp,
                method=settings.method,
                steps=settings.steps,
                seeds=[wanted[i].seed for i in members],
                batch=SEVERAL[0] if on_card else SEVERAL[1],
                progress=tell,
                cancelled=handle.cancelled,
                **start,
            )
            for i, result in zip(members, results, strict=True):
                parts[i] = self._part(generator, wanted[i], result)
        return [parts[i] for i in range(len(wanted))]

    def _donors(self, wanted: Sequence[Wanted]) -> list[Donor]:
        """A real vessel for each hole to start from; none when they start from noise."""
        settings, folder = self.settings, self.settings.start
        if folder is None:
            return []
        from napari_histoaug.generation.donor_fit import choose
        from napari_histoaug.generation.donors import read_donor, read_donors

        if settings.donor is not None:
            return [read_donor(folder / f"{settings.donor}.png")] * len(wanted)
        bank, mpp = read_donors(folder), self.session.slide.mpp
        return [choose(bank, one.seed, one.plan.hole, mpp, one.before) for one in wanted]

    def _part(self, generator: Generator, wanted: Wanted, result: Any) -> Part:
        plan = wanted.plan
        return Part(
            plan.box,
            plan.hole,
            wanted.before,
            result.image,
            result.changed,
            result,
            str(generator.name),
            str(generator.sha256),
            self.settings.purpose,
        )

    def _synthesize(self, handle: JobHandle, generator: Generator) -> list[Part]:
        """Make the planned box anew from the label map, once for every variant."""
        from napari_histoaug.generation.replay import join_region, values_for

        settings, (plan,) = self.settings, self.plans
        before, classes = self.session.read(plan.box), self.labels.classes.names
        painted = self.labels.read(plan.box)
        values = values_for(generator, painted, classes)
        parts = []
        for variant in range(settings.variants):

            def tell(done: int, total: int, variant: int = variant) -> None:
                handle.progress(variant * total + done, settings.variants * total)

            def preview(image: np.ndarray) -> None:
                handle.show(Preview(plan.box, np.array(image), plan.hole))

            result = self.engine.synthesize(
                generator,
                values,
                self.session.slide.mpp,
                settings.steps,
                settings.seed + variant,
                method=settings.method,
                progress=tell,
                cancelled=handle.cancelled,
                preview=preview,
            )
            image, changed = join_region(before, result.image)
            parts.append(
                Part(
                    plan.box,
                    np.where(changed, painted, 0).astype(np.uint8),
                    before,
                    image,
                    changed,
                    Region(_most(painted, classes), result),
                    str(generator.name),
                    str(generator.sha256),
                    "synthesise",
                    tuple(classes),
                )
            )
        return parts


class Region:
    """What a synthesis says of itself, as a record wants it."""

    donor: str | None = None
    strength: float | None = None

    def __init__(self, label: str, result: Any) -> None:
        self.label = label
        self.method: str = result.method
        self.steps: int = result.steps
        self.seed: int = result.seed
        self.evaluations: int = result.evaluations
        self.notes: tuple[str, ...] = result.notes


def loaded(handle: JobHandle, shelf: GeneratorShelf, settings: Settings) -> Generator:
    """The generator, and a word about it when it has to be loaded first."""
    if not shelf.has(settings.model, settings.device):
        handle.say("Loading the model…")
    generator = shelf.get(settings.model, settings.device)
    handle.check()
    return generator


def _most(painted: np.ndarray, classes: Sequence[str]) -> str:
    """The class that covers most of a map, of those painted in it."""
    counts = np.bincount(painted.ravel(), minlength=len(classes) + 1)[1:]
    return classes[int(counts.argmax())] if counts.any() else BACKGROUND


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

    return EditRecord.of(
        session.slide,
        part.box,
        part.result,
        part.model,
        part.model_sha256,
        purpose=part.purpose,
        classes=part.classes,
    )


def export(handle: JobHandle, session: SlideSession, folder: Path, classes: ClassTable) -> Path:
    """Write the last accepted edit as an image and mask pair; returns the image file."""
    from napari_histoaug.exports.kinds import pair_of

    handle.say("Exporting…")
    edits = session.edits
    return pair_of(session.slide, edits, edits.edits[-1], folder, classes)
