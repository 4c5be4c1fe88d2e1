"""All slides of a list, each in steps, on as many workers as there are; killed and resumed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from pydantic import BaseModel, ConfigDict, Field

from napari_histoaug.annotations import ClassTable
from napari_histoaug.errors import HistoaugError
from napari_histoaug.patches import extraction, manifest
from napari_histoaug.patches.errors import PatchError
from napari_histoaug.patches.jobs import SlideJob, list_slides
from napari_histoaug.patches.leakage import copies
from napari_histoaug.patches.lock import RunLock
from napari_histoaug.patches.manifest import SlideEntry, Status
from napari_histoaug.patches.recipe import FormName, Recipe
from napari_histoaug.patches.settings import PatchSettings
from napari_histoaug.patches.splits import GroupBy, assign_splits
from napari_histoaug.patches.staging import take_away, write_text

if TYPE_CHECKING:
    import pyarrow as pa

MANIFEST, SLIDES, RECIPE = "manifest.parquet", "slides.csv", "run.json"


class ExtractConfig(BaseModel):
    """``extract_patches.py``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    slides: Path = Field(description="folder of slides, or CSV of them; docs/patches.md")
    annotations: Path | None = Field(None, description="folder of annotations; beside the slides")
    out: Path
    classes: str = Field("breast", description="a packaged class table, or a YAML file")
    patches: PatchSettings = PatchSettings()
    form: FormName = "manifest"
    synthetic: bool = Field(False, description="write patches with generated pixels, too")
    verify: bool = Field(True, description="read every patch, so that damage is known")
    skip_bad: bool = Field(False, description="leave out broken features of annotations")
    part: int = Field(4096, ge=1, description="patches a task reads and a file holds")
    workers: int | None = Field(None, ge=0, description="processes; one a core; 0: in this one")
    scheduler: str | None = Field(None, description="address of a dask scheduler, tcp://...")
    splits: dict[str, float] | None = {"train": 0.7, "validation": 0.15, "test": 0.15}
    group_by: GroupBy = "patient"
    held_out: dict[str, tuple[str, ...]] = Field({}, description="set: names of its slides")
    seed: int = 0

    def recipe(self) -> Recipe:
        """Return what is made of each slide."""
        yaml = self.classes.lower().endswith((".yaml", ".yml"))
        table = ClassTable.from_yaml(self.classes) if yaml else ClassTable.preset(self.classes)
        return Recipe(
            out=self.out.resolve(), settings=self.patches, classes=table, form=self.form,
            synthetic=self.synthetic, verify=self.verify, part=self.part, skip_bad=self.skip_bad,
        )  # fmt: skip


Step = Callable[..., SlideEntry | None]


class Pool(Protocol):
    """Where steps are done; see :class:`Here` and :class:`~.cluster.Cluster`."""

    @property
    def width(self) -> int: ...
    def start(self, tag: Any, function: Callable[..., Outcome], *args: Any) -> None: ...
    def next(self) -> tuple[Any, Outcome]: ...


class Outcome(NamedTuple):
    """What a step came to: nothing went wrong, or one sentence."""

    entry: SlideEntry | None = None
    problem: str | None = None


class Here:
    """Does every step in this process when its outcome is asked for."""

    width = 1

    def __init__(self) -> None:
        self._waiting: deque[tuple[Any, Callable[..., Outcome], tuple[Any, ...]]] = deque()

    def start(self, tag: Any, function: Callable[..., Outcome], *args: Any) -> None:
        """Take note of a step."""
        self._waiting.append((tag, function, args))

    def next(self) -> tuple[Any, Outcome]:
        """Do the first step noted."""
        tag, function, args = self._waiting.popleft()
        return tag, function(*args)


class Report(NamedTuple):
    """What a run came to: the manifest, and every slide in order."""

    manifest: Path
    slides: tuple[SlideEntry, ...]

    def count(self, status: Status) -> int:
        """Return how many slides have a status."""
        return sum(slide.status == status for slide in self.slides)


def run_extraction(
    config: ExtractConfig,
    pool: Pool,
    say: Callable[[str], None] = lambda line: None,
    *,
    jobs: list[SlideJob] | None = None,
    recipe: Recipe | None = None,
) -> Report:
    """Extract the patches of all slides; goes on where an earlier run of the same config stopped.

    Parameters
    ----------
    config : ExtractConfig
    pool : Pool
        Does the steps.
    say : callable
        Told one line a slide, for the screen: it may name files.
    jobs : list of SlideJob, optional
        Instead of those that the configuration lists.
    recipe : Recipe, optional
        Instead of the configuration's.

    Raises
    ------
    PatchError
        When another run holds the folder, or it holds patches of another configuration.
    """
    recipe = recipe or config.recipe()
    jobs = list_slides(config.slides, config.annotations) if jobs is None else jobs
    held_out = _held_out(config, jobs)
    with RunLock(recipe.out) as lock:
        recipe = recipe.model_copy(update={"run": lock.token})
        _claim(recipe)
        entries = _Work(jobs, recipe, pool, say).do(lock)
        lock.check()
        slides = _with_splits([entries[job.source] for job in jobs], config, held_out, say)
        return Report(_merge(slides, recipe), slides)


def attempt(step: Step, job: SlideJob, recipe: Recipe, *args: Any) -> Outcome:
    """Do a step of the extraction; what a user can cause comes back as a sentence."""
    try:
        entry = step(job, recipe, *args)
    except (HistoaugError, OSError) as error:
        return Outcome(problem=str(error))
    return Outcome(entry)


class _Slide:
    """How far one slide is."""

    def __init__(self, job: SlideJob) -> None:
        self.job = job
        self.missing: set[int] = set()
        self.problem: str | None = None
        self.running = 0


class _Work:
    """Brings every slide to its end, a few more at a time than there are workers."""

    def __init__(
        self, jobs: list[SlideJob], recipe: Recipe, pool: Pool, say: Callable[[str], None]
    ) -> None:
        self._jobs, self._recipe, self._pool, self._say = jobs, recipe, pool, say
        self._open: dict[str, _Slide] = {}
        self._done: dict[str, SlideEntry] = {}

    def do(self, lock: RunLock) -> dict[str, SlideEntry]:
        """Return what became of each slide, by source."""
        waiting = iter(self._jobs)
        while True:
            while len(self._open) <= self._pool.width and (job := next(waiting, None)) is not None:
                self._begin(job)
            if not self._open:
                return self._done
            lock.check()
            (source, step, part), outcome = self._pool.next()
            slide = self._open[source]
            slide.running -= 1
            slide.problem = slide.problem or outcome.problem
            if slide.problem is None:
                self._after(slide, step, part, outcome.entry)
            elif not slide.running:  # its other parts have come home
                self._without_patches(slide, "failed", slide.problem)

    def _begin(self, job: SlideJob) -> None:
        slide = self._open[job.source] = _Slide(job)
        entry = _known(job, self._recipe, extraction.finished_entry)
        if entry is not None:
            self._finish(slide, entry)
            return
        entry = _known(job, self._recipe, extraction.planned_entry)
        if entry is None:
            extraction.forget(job.source, self._recipe)
            self._start(slide, extraction.plan_slide)
        else:
            self._read_or_finish(slide, entry)

    def _after(self, slide: _Slide, step: str, part: int | None, entry: SlideEntry | None) -> None:
        """Start what follows a step that went well."""
        if part is not None:
            slide.missing.discard(part)
            if not slide.missing:
                self._start(slide, extraction.finish_slide)
            return
        assert entry is not None
        if step == "finish_slide":
            self._finish(slide, entry)
        elif entry.status == "skipped":
            self._without_patches(slide, "skipped", entry.reason)
        else:
            self._read_or_finish(slide, entry)

    def _read_or_finish(self, slide: _Slide, entry: SlideEntry) -> None:
        """Read the parts of a plan that were not read before."""
        recipe = self._recipe
        parts = range(entry.parts if recipe.reads else 0)
        slide.missing = {k for k in parts if not recipe.ledger_path(entry.source, k).is_file()}
        for part in sorted(slide.missing):
            if recipe.form != "manifest":  # of a run that died before it said so
                take_away(recipe.part_path(entry.source, part), recipe.staging)
            self._start(slide, extraction.read_part_of, part)
        if not slide.missing:
            self._start(slide, extraction.finish_slide)

    def _start(self, slide: _Slide, step: Step, part: int | None = None) -> None:
        slide.running += 1
        args = () if part is None else (part,)
        tag = (slide.job.source, step.__name__, part)
        self._pool.start(tag, attempt, step, slide.job, self._recipe, *args)

    def _without_patches(self, slide: _Slide, status: Status, why: str) -> None:
        entry = extraction.record_without_patches(slide.job, self._recipe, status, why)
        self._finish(slide, entry, why)

    def _finish(self, slide: _Slide, entry: SlideEntry, why: str = "") -> None:
        extraction.forget_steps(entry.source, self._recipe)
        self._done[entry.source] = entry
        del self._open[entry.source]
        note = why or entry.reason or f"{entry.patches} patches {entry.note}".strip()
        count = f"{len(self._done)}/{len(self._jobs)}"
        self._say(f"{count} {slide.job.path.name}: {entry.status}, {note}")


def _known(
    job: SlideJob, recipe: Recipe, find: Callable[[SlideJob, Recipe], SlideEntry | None]
) -> SlideEntry | None:
    try:
        return find(job, recipe)
    except (HistoaugError, OSError):  # its step will say what is wrong
        return None


def _claim(recipe: Recipe) -> None:
    """Make the folder this recipe's, or refuse when it is another's."""
    ours = manifest.canonical(recipe.model_dump(mode="json", exclude={"out", "run"}))
    path = recipe.out / RECIPE
    try:
        theirs = path.read_text("utf-8")
    except FileNotFoundError:
        write_text(path, ours, recipe.staging)
        return
    if theirs != ours:
        raise PatchError(
            f"{recipe.out} holds patches of another configuration; choose another folder, or "
            "delete this one."
        )


def _held_out(config: ExtractConfig, jobs: list[SlideJob]) -> dict[str, str]:
    found = {job.source: job.split for job in jobs if job.split}
    for split, names in config.held_out.items():
        for name in names:
            sources = [job.source for job in jobs if name in (job.path.name, job.path.stem)]
            if not sources:
                raise PatchError(
                    f"The slide {name}, held out for {split}, is not in {config.slides}; correct "
                    "its name."
                )
            found.update(dict.fromkeys(sources, split))
    return found


def _with_splits(
    entries: list[SlideEntry],
    config: ExtractConfig,
    held_out: dict[str, str],
    say: Callable[[str], None],
) -> tuple[SlideEntry, ...]:
    twins = {later: earlier for earlier, later in copies(entries)}
    entries = [
        entry.model_copy(update={
            "status": "skipped", "patches": 0,
            "reason": f"The slide has the same bytes as {twins[entry.source]}.",
        })
        if entry.source in twins
        else entry
        for entry in entries
    ]  # fmt: skip
    if config.splits is None:
        return tuple(entries)
    splits = assign_splits(entries, config.splits, config.group_by, held_out, config.seed, say)
    return tuple(e.model_copy(update={"split": splits.get(e.source, "")}) for e in entries)


def _merge(slides: tuple[SlideEntry, ...], recipe: Recipe) -> Path:
    """Write the manifest of all slides and their table, one slide in memory at a time."""
    columns = manifest.schema(recipe.info(*slides))
    tables, staging = _tables(slides, recipe), recipe.staging
    path = manifest.write_tables(recipe.out / MANIFEST, columns, tables, staging)
    text = manifest.slides_as_csv(slides, recipe.classes)
    write_text(recipe.out / SLIDES, text, staging)
    return path


def _tables(slides: tuple[SlideEntry, ...], recipe: Recipe) -> Iterator[pa.Table]:
    import pyarrow as pa

    for slide in slides:
        if slide.patches:
            table = manifest.read_table(recipe.manifest_path(slide.source))
            for name, value in (("split", slide.split), ("patient_group", slide.patient_group)):
                at = table.schema.get_field_index(name)
                column = pa.repeat(pa.scalar(value, pa.string()), table.num_rows)
                table = table.set_column(at, table.schema.field(at), column)
            yield table
