"""Training, validation and test: whole patients, even shares of every class, nothing twice."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from napari_histoaug.patches.errors import PatchError
from napari_histoaug.patches.manifest import SlideEntry

if TYPE_CHECKING:
    import pyarrow as pa

GroupBy = Literal["patient", "slide"]


class Crossing(NamedTuple):
    """Something that is in two sets at once: `what` (a patient, a slide) and the sets' names."""

    what: str
    splits: tuple[str, ...]


def assign_splits(
    slides: Sequence[SlideEntry],
    shares: Mapping[str, float],
    group_by: GroupBy = "patient",
    held_out: Mapping[str, str] | None = None,
    seed: int = 0,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, str]:
    """Divide slides into sets, patient by patient, so that each class is shared out evenly.

    Groups are dealt out largest first, each to the set that still lacks most of the classes it
    brings; classes count by their area in patches. Slides of the same bytes stay together
    whatever their patient is called.

    Parameters
    ----------
    slides : sequence of SlideEntry
        Those without patches are left out.
    shares : mapping
        Share of each set; they need not add up to 1.
    group_by : {"patient", "slide"}
        What is never divided. "patient" falls back to slides, and says so, when no slide names
        its patient.
    held_out : mapping, optional
        Sets of some slides, by source; their patients go with them.
    seed : int
        Decides between groups alike.
    say : callable
        Told what the user should know.

    Returns
    -------
    dict
        The set of every slide with patches, by source.

    Raises
    ------
    PatchError
        When only some slides name their patient, or a patient would be in two sets.
    """
    if not shares or any(share < 0 for share in shares.values()) or not sum(shares.values()):
        raise PatchError("The shares of the sets must be positive numbers, such as 0.7 and 0.3.")
    used = [slide for slide in slides if slide.patches]
    groups = _groups(used, _grouping(used, group_by, say))
    found: dict[str, str] = {}
    free = []
    for group in groups:
        wanted = {held_out[s.source] for s in group if held_out and s.source in held_out}
        if len(wanted) > 1:
            raise PatchError(
                f"One {group_by} has slides held out for {' and '.join(sorted(wanted))}; hold them "
                "out for one of the two."
            )
        if wanted:
            found.update(dict.fromkeys((s.source for s in group), wanted.pop()))
        else:
            free.append(group)
    _deal(free, used, shares, seed, found)
    for name in shares:
        if used and shares[name] and name not in found.values():
            say(f"No slide is left for {name}: there are too few {group_by}s.")
    return found


def crossings(table: pa.Table) -> tuple[list[Crossing], list[Crossing]]:
    """Return the patients, and the slides with overlapping patches, that are in several sets.

    Parameters
    ----------
    table : pyarrow.Table
        Rows of a manifest with its splits.
    """
    import pyarrow.compute as pc

    of_patients = _in_several(table, "patient_group")
    of_slides = []
    for slide, _ in _in_several(table, "slide_sha256"):
        rows = table.filter(pc.equal(table["slide_sha256"], slide))
        found = _overlapping(
            rows["row"].to_numpy(),
            rows["column"].to_numpy(),
            rows["split"].to_numpy(zero_copy_only=False),
            int(rows["out_size"][0].as_py()),
        )
        of_slides += [Crossing(slide, found)] if found else []
    return of_patients, of_slides


def _in_several(table: pa.Table, column: str) -> list[Crossing]:
    pairs = table.select([column, "split"]).group_by([column, "split"]).aggregate([])
    sets: dict[str, set[str]] = {}
    for name, split in zip(pairs[column].to_pylist(), pairs["split"].to_pylist(), strict=True):
        if name is not None:
            sets.setdefault(name, set()).add(split)
    return [
        Crossing(name, tuple(sorted(sets[name]))) for name in sorted(sets) if len(sets[name]) > 1
    ]


def check_splits(table: pa.Table) -> None:
    """Refuse a manifest whose sets share a patient, or pixels.

    Raises
    ------
    PatchError
    """
    patients, slides = crossings(table)
    for what, found in (("The patient", patients), ("Overlapping patches of the slide", slides)):
        if found:
            sets = " and ".join(found[0].splits)
            raise PatchError(
                f"{what} {found[0].what[:16]} would be in {sets} at once, so the scores would be "
                "too good; give each patient to one set."
            )


def _grouping(
    slides: Sequence[SlideEntry], group_by: GroupBy, say: Callable[[str], None]
) -> GroupBy:
    missing = sum(slide.patient_group is None for slide in slides)
    if group_by == "slide" or not missing:
        return group_by
    if missing < len(slides):
        raise PatchError(
            f"{missing} of {len(slides)} slides name no patient; complete the column patient of "
            "the list, or set group_by to slide if every slide is of another patient."
        )
    say(
        "No slide names its patient, so the sets are divided slide by slide; two slides of one "
        "patient may come into different sets."
    )
    return "slide"


def _groups(slides: Sequence[SlideEntry], group_by: GroupBy) -> list[list[SlideEntry]]:
    """Return the slides that must stay together: of one patient, or of the same bytes."""
    names: dict[str, str] = {}
    groups: dict[str, list[SlideEntry]] = {}
    for slide in slides:
        keys = [f"slide {slide.slide_sha256}"]
        if group_by == "patient":
            keys.append(f"patient {slide.patient_group}")
        known = sorted({names[key] for key in keys if key in names})
        name = known[0] if known else keys[0]
        for other in known[1:]:  # the same bytes under two patients: one group
            groups[name] += groups.pop(other)
            names.update({key: name for key, value in names.items() if value == other})
        groups.setdefault(name, []).append(slide)
        names.update(dict.fromkeys(keys, name))
    return list(groups.values())


def _amounts(group: Iterable[SlideEntry], classes: Sequence[str]) -> np.ndarray:
    """Return the area of each class in a group's patches, and the number of these."""
    parts = [
        [*(s.classes[name].in_patches if name in s.classes else 0.0 for name in classes), s.patches]
        for s in group
    ]
    return np.asarray(parts, np.float64).sum(axis=0)


def _deal(
    groups: list[list[SlideEntry]],
    slides: Sequence[SlideEntry],
    shares: Mapping[str, float],
    seed: int,
    found: dict[str, str],
) -> None:
    if not groups:
        return
    classes = sorted({name for slide in slides for name in slide.classes})
    total = np.maximum(_amounts(slides, classes), 1e-9)
    whole = sum(shares.values())
    lacking = {name: share / whole * np.ones(len(total)) for name, share in shares.items() if share}
    # The larger set first where two lack as much, in whichever order they were written down.
    names = sorted(lacking, key=lambda n: (-shares[n], n))
    for slide in slides:
        if found.get(slide.source) in lacking:
            lacking[found[slide.source]] -= _amounts([slide], classes) / total
    parts = [_amounts(group, classes) / total for group in groups]
    order = sorted(range(len(groups)), key=lambda i: (-parts[i].max(), _lot(groups[i], seed)))
    for index in order:
        name = max(names, key=lambda n: float(lacking[n] @ parts[index]))
        lacking[name] -= parts[index]
        found.update(dict.fromkeys((s.source for s in groups[index]), name))


def _lot(group: list[SlideEntry], seed: int) -> str:
    text = ",".join(sorted(str(slide.slide_sha256) for slide in group))
    return hashlib.sha256(f"{seed}:{text}".encode()).hexdigest()


def _overlapping(
    rows: np.ndarray, columns: np.ndarray, splits: np.ndarray, size: int
) -> tuple[str, ...]:
    """Return the sets that hold overlapping squares of one slide."""
    cells: dict[tuple[int, int], list[int]] = {}
    found: set[str] = set()
    for index, key in enumerate(zip(rows // size, columns // size, strict=True)):
        for down in (-1, 0, 1):
            for across in (-1, 0, 1):
                for other in cells.get((key[0] + down, key[1] + across), ()):
                    near = (
                        abs(rows[index] - rows[other]) < size
                        and abs(columns[index] - columns[other]) < size
                    )
                    if near and splits[index] != splits[other]:
                        found |= {str(splits[index]), str(splits[other])}
        cells.setdefault(key, []).append(index)
    return tuple(sorted(found))
