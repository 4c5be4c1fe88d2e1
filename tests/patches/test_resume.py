"""Runs that die at each of their changes, workers that outlive their run, inputs that change."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import numpy as np
import pytest

from napari_histoaug.annotations import write_geojson
from napari_histoaug.edits import EditRecord, EditStore
from napari_histoaug.patches import extraction, lock, staging
from napari_histoaug.patches.extraction import finish_slide, plan_slide, read_part_of
from napari_histoaug.patches.jobs import list_slides
from napari_histoaug.patches.manifest import read_table
from napari_histoaug.patches.reading import PatchReader
from napari_histoaug.patches.run import ExtractConfig, Here, attempt, run_extraction
from napari_histoaug.slides import open_slide

from .conftest import contents, discs, pink_square, write_slide

CLASSES = """
classes:
  - {name: blood_vessel, color: [255, 0, 0]}
  - {name: fatty_tissue, color: [0, 255, 0]}
"""


@pytest.fixture(scope="module")
def salted(tmp_path_factory):
    return tmp_path_factory.mktemp("salt")


@pytest.fixture(autouse=True)
def _one_salt(salted, _own_user_folders, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(salted))


def make_place(folder, slides):
    """A folder of slides of two tiles, and so of two parts, with discs on each."""
    for number in range(slides):
        path = write_slide(folder / "slides" / f"{number}.tif", pink_square(128, 2240, 4, number))
        write_geojson(discs(12, 128, 2240, number), path.with_suffix(".geojson"))
    (folder / "classes.yaml").write_text(CLASSES)
    return folder


def config_of(place, out, **changes):
    values = {
        "slides": place / "slides", "out": out, "classes": str(place / "classes.yaml"),
        "patches": {"size": 64, "stride": 32, "mpp": 0.5}, "form": "png", "part": 8,
        "workers": 0, "splits": None,
    }  # fmt: skip
    return ExtractConfig.model_validate(values | changes)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return make_place(tmp_path_factory.mktemp("place"), 1)


@pytest.fixture(scope="module")
def uninterrupted(place, salted, tmp_path_factory):
    """``uninterrupted(form)``: the files of a run that nothing happened to."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(salted))
        found = {}
        for form in ("png", "tar", "zarr"):
            out = tmp_path_factory.mktemp("whole") / form
            (slide,) = run_extraction(config_of(place, out, form=form), Here()).slides
            assert (slide.status, slide.parts) == ("done", 2)
            found[form] = contents(out)
    return found


class _Killed(Exception):
    pass


@contextmanager
def dying(monkeypatch, before):
    """Die before the n-th change of the output folder, with nothing tidied up, as by kill -9."""
    alive, left, replace = True, before, staging.os.replace

    def change(*paths):
        nonlocal alive, left
        if "run-" in f"{paths}":
            left -= 1
            if left < 0:
                alive = False
                raise _Killed
        replace(*paths)

    delete, leave = staging._delete, lock.RunLock.__exit__
    with monkeypatch.context() as patch:
        patch.setattr(staging.os, "replace", change)
        patch.setattr(staging, "_delete", lambda path: delete(path) if alive else None)
        patch.setattr(
            lock.RunLock,
            "__exit__",
            lambda self, *error: leave(self, *error) if alive else self._stop.set(),
        )
        yield lambda: alive


def test_a_run_that_dies_before_any_of_its_changes_is_finished(
    place, uninterrupted, tmp_path, monkeypatch
):
    monkeypatch.setattr(lock, "_alive", lambda pid: False)
    for before in range(100):
        config = config_of(place, tmp_path / str(before))
        with dying(monkeypatch, before) as alive, suppress(_Killed):
            run_extraction(config, Here())
        if alive():
            break
        run_extraction(config, Here())
        assert contents(config.out) == uninterrupted["png"], before
    assert 15 < before < 99


def test_a_process_killed_in_the_middle_of_a_file_leaves_nothing(place, uninterrupted, tmp_path):
    config = config_of(place, tmp_path / "out", form="tar")
    code = (
        "import os, sys\n"
        "from napari_histoaug.patches import forms\n"
        "from napari_histoaug.patches.run import ExtractConfig, Here, run_extraction\n"
        "forms._decode, encode, left = None, forms._encode, iter(range(5))\n"
        "forms._encode = lambda array: os._exit(9) if next(left, None) is None else encode(array)\n"
        "run_extraction(ExtractConfig.model_validate_json(sys.argv[1]), Here())\n"
    )
    done = subprocess.run([sys.executable, "-c", code, config.model_dump_json()])
    assert done.returncode == 9
    assert list(config.out.rglob("*.part"))
    run_extraction(config, Here())
    assert contents(config.out) == uninterrupted["tar"]


class _Held:
    """Holds one thread where it calls a function, until it is let go."""

    def __init__(self, function):
        self._function, self._thread = function, None
        self.reached, self.go_on = threading.Event(), threading.Event()

    def __call__(self, *args, **options):
        if threading.current_thread() is not threading.main_thread():
            self.reached.set()
            assert self.go_on.wait(60)
        return self._function(*args, **options)


@pytest.mark.parametrize(
    ("step", "form", "where"),
    [
        (plan_slide, "tar", "rename"),
        (read_part_of, "tar", "read"),
        (read_part_of, "tar", "rename"),
        (read_part_of, "png", "rename"),
        (read_part_of, "zarr", "read"),
        (finish_slide, "tar", "rename"),
    ],
)
def test_a_worker_that_outlives_its_run_changes_nothing(
    place, uninterrupted, tmp_path, monkeypatch, step, form, where
):
    """A worker is in the middle of a step when its run dies; the next one does all; it goes on."""
    config = config_of(place, tmp_path / "out", form=form)
    (job,) = list_slides(config.slides)
    recipe = config.recipe().model_copy(update={"run": "dead"})
    staging.begin_staging(recipe.work, "dead")
    earlier = [(plan_slide, ()), (read_part_of, (0,)), (read_part_of, (1,)), (finish_slide, ())]
    at = next(i for i, (other, _) in enumerate(earlier) if other is step)
    for other, part in earlier[:at]:
        assert attempt(other, job, recipe, *part).problem is None
    if where == "rename":
        held = _Held(staging.os.replace)
        monkeypatch.setattr(staging.os, "replace", held)
    else:
        held = _Held(PatchReader._cut)
        monkeypatch.setattr(PatchReader, "_cut", lambda *args: held(*args))
    with ThreadPoolExecutor(1) as worker:
        outcome = worker.submit(attempt, step, job, recipe, *earlier[at][1])
        assert held.reached.wait(60)
        run_extraction(config, Here())
        held.go_on.set()
        assert "another run has taken over" in outcome.result().problem
    assert contents(config.out) == uninterrupted[form]


class _Counting(Here):
    """Notes the slides whose steps are done."""

    def __init__(self):
        super().__init__()
        self.done = set()

    def next(self):
        tag, outcome = super().next()
        self.done.add(tag[0])
        return tag, outcome


def accept_edit(path, y=30, x=200):
    everything = np.ones((40, 40), bool)
    with open_slide(path) as slide:
        record = EditRecord(
            slide_sha256=slide.sha256(), box=(y, x, 40, 40), label="blood_vessel", method="x"
        )
        EditStore.open(slide).accept(np.full((40, 40, 3), 9, np.uint8), everything, record)


def undo_edit(path):
    with open_slide(path) as slide:
        EditStore.open(slide).undo()


def test_only_slides_whose_inputs_changed_are_done_again(tmp_path):
    place = make_place(tmp_path / "place", 2)
    config = config_of(place, tmp_path / "out")
    first = run_extraction(config, Here())
    before = contents(config.out)
    changed = place / "slides" / "0.tif"

    def again():
        pool = _Counting()
        report = run_extraction(config, pool)
        fresh = config.model_copy(
            update={"out": tmp_path / f"fresh{len(list(tmp_path.iterdir()))}"}
        )
        run_extraction(fresh, Here())
        assert contents(config.out) == contents(fresh.out)
        assert report.slides[1] == first.slides[1]
        return report.slides[0], pool.done == {report.slides[0].source}

    assert again() == (first.slides[0], False)  # nothing changed, nothing done
    accept_edit(changed)
    entry, alone = again()
    assert alone
    assert entry.edits_sha256
    shares = read_table(config.out / "manifest.parquet")["synthetic_frac"].to_numpy()
    assert (shares > 0).any()
    undo_edit(changed)
    assert again() == (first.slides[0], True)
    assert contents(config.out) == before
    annotations = changed.with_suffix(".geojson")
    text = annotations.read_bytes()
    write_geojson(discs(2, 128, 2240, 7), annotations)
    entry, alone = again()
    assert alone
    assert entry.parts < first.slides[0].parts  # and none of the old ones is left
    annotations.write_bytes(text)
    assert again() == (first.slides[0], True)


def test_a_pixel_size_given_anew_is_seen(tmp_path):
    place = make_place(tmp_path / "place", 1)
    slides = tmp_path / "slides.csv"
    slides.write_text("slide,mpp\nplace/slides/0.tif,\n")
    config = config_of(place, tmp_path / "out", slides=slides)
    first = run_extraction(config, Here())
    slides.write_text("slide,mpp\nplace/slides/0.tif,0.25\n")
    second = run_extraction(config, Here())
    assert second.slides[0].spacing != first.slides[0].spacing


def test_what_changes_between_planning_and_reading_is_refused(place, tmp_path, monkeypatch):
    place = make_place(tmp_path / "place", 1)
    config = config_of(place, tmp_path / "out")

    class Meanwhile(Here):
        def next(self):
            found = super().next()
            if found[0][1] == "plan_slide":
                accept_edit(place / "slides" / "0.tif")
            return found

    (slide,) = run_extraction(config, Meanwhile()).slides
    assert slide.status == "failed"
    assert "changed meanwhile" in slide.reason
    (slide,) = run_extraction(config, Here()).slides
    assert slide.status == "done"


def test_reverting_in_the_middle_does_not_trust_what_was_taken_away(tmp_path, monkeypatch):
    """Finished with one file, killed while it was done with another, then back to the first."""
    place = make_place(tmp_path / "place", 1)
    config = config_of(place, tmp_path / "out")
    run_extraction(config, Here())
    before = contents(config.out)
    annotations = place / "slides" / "0.geojson"
    text = annotations.read_bytes()
    write_geojson(discs(2, 128, 2240, 7), annotations)
    forget = extraction.forget

    def dies(source, recipe):
        forget(source, recipe)
        raise _Killed

    with monkeypatch.context() as patch:
        patch.setattr(extraction, "forget", dies)
        with pytest.raises(_Killed):
            run_extraction(config, Here())
    annotations.write_bytes(text)
    run_extraction(config, Here())
    assert contents(config.out) == before
