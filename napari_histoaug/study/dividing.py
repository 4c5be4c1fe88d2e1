"""The fields of all slides together, divided by patient into training, validation and test."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from napari_histoaug.annotations import ClassTable
from napari_histoaug.learning.command_line import say
from napari_histoaug.models.checkpoints import read_json, write_json
from napari_histoaug.patches.leakage import copies
from napari_histoaug.patches.manifest import SlideEntry, slides_as_csv
from napari_histoaug.patches.splits import assign_splits
from napari_histoaug.study.config import StudyConfig
from napari_histoaug.study.cutting import ENTRY, OUTLINES, PICTURES, SLIDES
from napari_histoaug.study.errors import StudyError
from napari_histoaug.study.slides import SETS, ListedSlide, listed_slides
from napari_histoaug.study.stages import fill, key_of, link

EXTRACTED, CASES, TABLE = "extracted", "cases.json", "slides.csv"
TILES, ANNOTATIONS = "tiles", "annotations"
LEAST = {"train": 1, "validation": 2, "test": 1}  # the filter is judged by the other case's
#: Fields of a patient's second slide begin here, so that no two have one name.
_NEXT_SLIDE = 1_000_000


def divide(config: StudyConfig) -> bool:
    """Put the fields of all slides together, each patient in one set.

    Returns whether anything was done.

    Raises
    ------
    StudyError
        When a slide has not been cut yet, or a set gets too few patients.
    """
    if config.slides is None:
        raise StudyError("The study starts from fields, not from slides; leave out this stage.")
    told, listed = config.slides, listed_slides(config.slides)
    places = [config.out / SLIDES / str(slide.number) for slide in listed]
    inputs = {
        "slides": [key_of(place) for place in places],
        "cases": [[slide.case, slide.nth, slide.job.split] for slide in listed],
        "shares": dict(told.shares),
        "seed": told.seed,
    }

    def make(part: Path) -> int:
        cut = [_entry(slide, place) for slide, place in zip(listed, places, strict=True)]
        fixed = {slide.case for slide in listed if slide.job.split}
        entries = filled_up(_divided(config, listed, cut), fixed)
        for slide, place, entry in zip(listed, places, entries, strict=True):
            _take(slide, place, entry, part)
        cases = cases_of(entries)
        _check(cases, config)
        write_json(part / CASES, cases)
        table = slides_as_csv(entries, ClassTable.from_names([config.tissue.label]))
        (part / TABLE).write_text(table, "utf-8")
        return sum(entry.patches for entry in entries)

    return fill(config.out / EXTRACTED, inputs, make, "cpu")


def settled(config: StudyConfig) -> StudyConfig:
    """The study with the fields that were cut from its slides as its tissue.

    Without slides it is returned as it is.

    Raises
    ------
    StudyError
        When they have not been cut and divided yet, or the generator was taught on one that is held
        out.
    """
    if config.slides is None:
        return config
    place = config.out / EXTRACTED
    key_of(place)
    cases = read_json(place / CASES)
    tissue, pools = config.tissue.model_dump(), config.pools.model_dump()
    tissue |= {"tiles": place / TILES, "annotations": place / ANNOTATIONS}
    tissue |= {f"{name}_cases": cases[name] for name in SETS}
    own = config.out / "networks"
    if config.pools.model and Path(config.pools.model).is_relative_to(own):
        pools["generator_cases"] = cases["train"]
    content = {**config.model_dump(), "slides": None, "tissue": tissue, "pools": pools}
    try:
        return StudyConfig.model_validate(content)
    except ValidationError as error:
        reason = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise StudyError(f"The study does not fit the slides: {reason}.") from None


def _entry(slide: ListedSlide, place: Path) -> SlideEntry:
    entry = SlideEntry.model_validate(read_json(place / ENTRY))
    # Its number is that of the table now, which may have got another line since.
    return entry.model_copy(update={"source": str(slide.number), "patient_group": slide.case})


def _divided(
    config: StudyConfig, listed: Sequence[ListedSlide], entries: list[SlideEntry]
) -> list[SlideEntry]:
    """Give each slide its set; a second copy of a slide is left out."""
    assert config.slides is not None
    given = {str(slide.number): slide.job.split for slide in listed if slide.job.split}
    shares = {str(name): share for name, share in config.slides.shares.items()}
    splits = assign_splits(entries, shares, "patient", given, config.slides.seed, say)
    twins = {later: earlier for earlier, later in copies(entries)}
    found = []
    for entry in entries:
        update: dict[str, object] = {"split": splits.get(entry.source, "")}
        if entry.source in twins:
            why = f"The slide has the same bytes as {twins[entry.source]}."
            update = {"status": "skipped", "patches": 0, "reason": why}
        found.append(entry.model_copy(update=update))
        if found[-1].reason:
            say(f"slides/{entry.source} is left out: {found[-1].reason}")
    return found


def cases_of(entries: Sequence[SlideEntry]) -> dict[str, list[str]]:
    """Patients with fields, by set."""
    used = {(entry.split, str(entry.patient_group)) for entry in entries if entry.patches}
    return {name: sorted(case for split, case in used if split == name) for name in SETS}


def filled_up(entries: list[SlideEntry], fixed: set[str]) -> list[SlideEntry]:
    """Move patients, those with least vessel first, into sets that have too few to work with.

    Shares of few patients are shares of area; one large patient may be all of a set.

    Parameters
    ----------
    entries : list of SlideEntry
        With their sets.
    fixed : set of str
        Cases that stay where they are.
    """
    copied = Counter(entry.slide_sha256 for entry in entries if entry.slide_sha256)
    stay = fixed | {str(e.patient_group) for e in entries if copied[e.slide_sha256 or ""] > 1}
    area: dict[str, float] = {}
    for entry in entries:
        amount = sum(summary.in_patches for summary in entry.classes.values())
        area[str(entry.patient_group)] = area.get(str(entry.patient_group), 0.0) + amount
    while True:
        cases = cases_of(entries)
        spare = {name: len(of) - LEAST[name] for name, of in cases.items()}
        poor = next((name for name in SETS if spare[name] < 0), None)
        rich = max(SETS, key=lambda name: spare[name])
        movable = sorted(set(cases[rich]) - stay, key=lambda case: (area[case], case))
        if poor is None or spare[rich] <= 0 or not movable:
            return entries
        say(f"{movable[0]} goes from {rich} to {poor}, which would have too few patients.")
        entries = [
            e.model_copy(update={"split": poor}) if e.patient_group == movable[0] else e
            for e in entries
        ]


def _take(slide: ListedSlide, place: Path, entry: SlideEntry, part: Path) -> None:
    """Put a slide's fields where the study looks for tissue."""
    tiles, annotations = part / TILES, part / ANNOTATIONS / entry.split / slide.case
    tiles.mkdir(exist_ok=True)
    if not entry.patches:
        return
    annotations.mkdir(parents=True, exist_ok=True)
    for picture in sorted((place / PICTURES).glob("*.png")):
        x, y = (int(number) for number in picture.stem[1:].split("_y"))
        name = f"{slide.case}_x{slide.nth * _NEXT_SLIDE + x}_y{y}"
        link(picture, tiles / f"{name}.png")
        link(place / OUTLINES / f"{picture.stem}.geojson", annotations / f"{name}.geojson")


def _check(cases: dict[str, list[str]], config: StudyConfig) -> None:
    assert config.slides is not None
    for name, least in LEAST.items():
        if len(cases[name]) < least:
            raise StudyError(
                f"The slides leave {len(cases[name])} patients with vessels for {name}, which "
                f"needs {least}; list more slides in {config.slides.table.name}, change "
                "slides.shares, or give the sets in a column split."
            )
