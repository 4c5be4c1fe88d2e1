"""Many slides: what is written, what fails, and what a killed run leaves to the next one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml

from napari_histoaug.annotations import Document, write_geojson
from napari_histoaug.cli.commands import main
from napari_histoaug.learning.extracting import extract_patches
from napari_histoaug.patches import PatchError, leakage
from napari_histoaug.patches.cluster import Cluster
from napari_histoaug.patches.manifest import read_info, read_table
from napari_histoaug.patches.run import ExtractConfig, Here, run_extraction

from .conftest import contents, discs, pink_square, write_slide

ROOT = Path(__file__).resolve().parents[2]
CLASSES = """
classes:
  - {name: blood_vessel, color: [255, 0, 0]}
  - {name: fatty_tissue, color: [0, 255, 0]}
"""
PATCHES = {"size": 64, "stride": 32, "mpp": 0.5}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder of six slides: four good ones, one empty file, one without annotations."""
    folder = tmp_path_factory.mktemp("JaneDoe")
    for number in range(4):
        path = folder / "slides" / f"JaneDoe-{number}.tif"
        # The second one is wide enough for several tiles of patches, and so for several parts.
        height, width = (320, 384) if number != 1 else (192, 4224)
        write_slide(path, pink_square(height, width, 20, seed=number), halvings=1)
        document = discs(12, height, width, number) if number != 2 else Document.from_features([])
        write_geojson(document, path.with_suffix(".geojson"))
    (folder / "slides" / "JaneDoe-broken.tif").touch()
    write_geojson(discs(3, 320, 384), folder / "slides" / "JaneDoe-broken.geojson")
    write_slide(folder / "slides" / "JaneDoe-plain.tif", pink_square(128, 128, 10))
    (folder / "classes.yaml").write_text(CLASSES)
    return folder


def config_of(place, out, **changes):
    values = {
        "slides": place / "slides", "out": out, "classes": str(place / "classes.yaml"),
        "patches": PATCHES, "part": 20, "workers": 0, "splits": {"train": 0.5, "test": 0.5},
    }  # fmt: skip
    return ExtractConfig.model_validate(values | changes)


@pytest.fixture(scope="module")
def salted(tmp_path_factory):
    """One salt for all runs that are compared."""
    return tmp_path_factory.mktemp("salt")


@pytest.fixture(autouse=True)
def _one_salt(salted, _own_user_folders, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(salted))


@pytest.fixture(scope="module")
def uninterrupted(place, salted, tmp_path_factory):
    """The report and the files of a run that nothing happened to, in the tar form."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(salted))
        out = tmp_path_factory.mktemp("whole") / "out"
        report = run_extraction(config_of(place, out, form="tar"), Here())
    return report, contents(out)


def test_every_slide_has_its_say(uninterrupted):
    report, _ = uninterrupted
    assert [s.status for s in report.slides] == [
        "done", "done", "empty", "done", "failed", "skipped",
    ]  # fmt: skip
    failed, skipped = report.slides[4:]
    assert failed.reason.startswith("the slide is empty (0 bytes)")
    assert skipped.reason == "There are no annotations for the slide."
    assert {s.split for s in report.slides if s.patches} == {"train", "test"}
    assert all(c.lost == 0 for s in report.slides for c in s.classes.values())


def test_the_manifest_is_the_data_set(place, tmp_path):
    out = tmp_path / "out"
    report = run_extraction(config_of(place, out), Here())
    table, info = read_table(report.manifest), read_info(report.manifest)
    assert info.slides == report.slides
    assert table.num_rows == sum(s.patches for s in report.slides) > 50
    sizes = table["frac_blood_vessel"].to_numpy(), table["frac_fatty_tissue"].to_numpy()
    assert (np.maximum(*sizes) >= 0.1).all()
    assert (table["tissue_frac"].to_numpy() >= 0.5).all()
    assert set(table["n_failed_tiles"].to_pylist()) == {0}
    assert set(table["status"].to_pylist()) == {"done"}
    assert set(table["config_sha256"].to_pylist()) == {info.config_sha256}
    (row,) = table.slice(0, 1).to_pylist()
    assert (row["out_size"], row["read_height"], row["stride"], row["level"]) == (64, 64, 32, 0)
    assert (row["mpp_y"], row["synthetic_frac"], row["patient_group"]) == (0.5, 0, None)
    assert not list((out / "work").iterdir())
    assert leakage(report.manifest).clean


def test_nothing_that_is_written_names_a_slide_or_its_folder(uninterrupted):
    for name, content in uninterrupted[1].items():
        assert "JaneDoe" not in name
        assert b"JaneDoe" not in content


class _Killed(Exception):
    pass


class _Dying(Here):
    """Dies when it is asked for its n-th outcome, the step done or not."""

    def __init__(self, after: int, done: bool) -> None:
        super().__init__()
        self._left, self._done = after, done

    def next(self):
        self._left -= 1
        if self._left < 0:
            if self._done:
                super().next()
            raise _Killed
        return super().next()


def test_a_run_that_dies_anywhere_is_finished_by_the_next(place, uninterrupted, tmp_path):
    for after in range(0, 14, 2):
        out = tmp_path / str(after)
        config = config_of(place, out, form="tar")
        with pytest.raises(_Killed):
            run_extraction(config, _Dying(after, done=after % 4 == 0))
        run_extraction(config, Here())
        assert contents(out) == uninterrupted[1]


def test_a_finished_run_does_nothing_and_a_changed_annotation_is_seen(place, tmp_path):
    out, copy = tmp_path / "out", tmp_path / "annotations"
    copy.mkdir()
    for path in (place / "slides").glob("*.geojson"):
        (copy / path.name).write_bytes(path.read_bytes())
    config = config_of(place, out, annotations=copy)
    first = run_extraction(config, Here())

    class Counting(Here):
        steps = 0

        def next(self):
            self.steps += 1
            return super().next()

    pool = Counting()
    assert run_extraction(config, pool) == first
    assert pool.steps == 1  # what failed is tried again
    write_geojson(Document.from_features([]), copy / "JaneDoe-0.geojson")
    again = run_extraction(config, Counting())
    assert (again.slides[0].status, again.slides[1]) == ("empty", first.slides[1])


def test_another_configuration_is_refused(place, tmp_path):
    run_extraction(config_of(place, tmp_path / "out"), Here())
    other = config_of(place, tmp_path / "out", patches=PATCHES | {"stride": 64})
    with pytest.raises(PatchError, match="another configuration"):
        run_extraction(other, Here())


def test_a_slide_with_unreadable_tissue_fails_and_the_others_go_on(place, tmp_path):
    slides = tmp_path / "slides"
    for number in range(2):
        image = pink_square(512, 512, 0, seed=number)
        path = write_slide(slides / f"s{number}.tif", image, halvings=1)
        write_geojson(discs(12, 512, 512, number), path.with_suffix(".geojson"))
    import tifffile

    with tifffile.TiffFile(slides / "s0.tif") as tiff:
        offset = tiff.pages.first.dataoffsets[5]
    with (slides / "s0.tif").open("r+b") as stream:
        stream.seek(offset)
        stream.write(b"\xff" * 64)
    config = config_of(place, tmp_path / "out", slides=slides, form="png")
    report = run_extraction(config, Here())
    assert [s.status for s in report.slides] == ["failed", "done"]
    assert "cannot be decoded" in report.slides[0].reason
    assert not list((tmp_path / "out").rglob(f"{report.slides[0].source}-*"))
    tolerant = config_of(
        place, tmp_path / "more", slides=slides, patches=PATCHES | {"most_damaged": 0.5}
    )
    report = run_extraction(tolerant, Here())
    counts = read_table(report.manifest)["n_failed_tiles"].to_numpy()
    assert report.slides[0].status == "done"
    assert set(counts.tolist()) == {0, 1}


def test_the_list_gives_patients_and_held_out_slides_are_found_by_name(place, tmp_path):
    slides = tmp_path / "list.csv"
    names = [f"{place}/slides/JaneDoe-{n}.tif" for n in (0, 1, 3)]
    patients = ["Jane Doe", "Jane Doe", "John Doe"]
    lines = [f"{n},{p}" for n, p in zip(names, patients, strict=True)]
    slides.write_text("slide,patient\n" + "\n".join(lines))
    config = config_of(place, tmp_path / "out", slides=slides, held_out={"test": ["JaneDoe-1"]})
    report = run_extraction(config, Here())
    assert [s.split for s in report.slides] == ["test", "test", "train"]
    assert len({s.patient_group for s in report.slides}) == 2
    wrong = config.model_copy(update={"held_out": {"test": ("Joe",)}})
    with pytest.raises(PatchError, match="Joe, held out for test, is not in"):
        run_extraction(wrong, Here())
    slides.write_text("slide,pateint\n")
    with pytest.raises(PatchError, match="it needs slide and may have"):
        run_extraction(config, Here())


def test_a_copy_of_a_slide_is_left_out(place, tmp_path):
    slides = tmp_path / "slides"
    slides.mkdir()
    for name in ("a", "b"):
        for ending in (".tif", ".geojson"):
            source = (place / "slides" / f"JaneDoe-0{ending}").read_bytes()
            (slides / f"{name}{ending}").write_bytes(source)
    report = run_extraction(config_of(place, tmp_path / "out", slides=slides), Here())
    assert [s.status for s in report.slides] == ["done", "skipped"]
    assert "same bytes" in report.slides[1].reason
    assert leakage(report.manifest).copies == [tuple(s.source for s in report.slides)]


def test_two_workers_write_what_one_process_writes(place, uninterrupted, tmp_path):
    config = config_of(place, tmp_path / "out", form="tar")
    with Cluster(workers=2) as cluster:
        run_extraction(config, cluster)
    assert contents(tmp_path / "out") == uninterrupted[1]


def start_script(config, folder):
    path = folder / "extract.yaml"
    path.write_text(yaml.safe_dump(config.model_dump(mode="json")))
    script = ROOT / "training" / "extract_patches.py"
    return [sys.executable, str(script), "--config", str(path)]


def test_the_script_killed_at_any_moment_is_finished_by_the_same_command(
    place, uninterrupted, tmp_path
):
    out = tmp_path / "out"
    command = start_script(config_of(place, out, form="tar"), tmp_path)
    for kills in range(2):
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        deadline = time.monotonic() + 120
        # killed in the middle of the work: some of it is there, more than the time before
        while time.monotonic() < deadline and process.poll() is None:
            # os.walk, which does not mind that folders come and go meanwhile
            names = [name for _, _, names in os.walk(out) for name in names]
            if sum(name.endswith(".tar") for name in names) >= 2 * kills + 1:
                break
            time.sleep(0.005)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        assert not (out / "manifest.parquet").exists()
    assert extract_patches(command[2:]) == 1  # a slide failed, and it is said
    assert contents(out) == uninterrupted[1]


@pytest.mark.soak
@pytest.mark.parametrize("form", ["tar", "zarr", "png"])
def test_workers_killed_at_random_moments(place, tmp_path, form):
    random = np.random.default_rng()
    run_extraction(config_of(place, tmp_path / "whole", form=form), Here())
    for trial in range(4):
        out = tmp_path / str(trial)
        command = [*start_script(config_of(place, out, form=form), tmp_path), "--workers", "2"]
        moments = random.uniform(2, 15, 5).round(2).tolist()
        for moment in moments:
            process = subprocess.Popen(command)
            try:
                process.wait(timeout=moment)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        subprocess.run(command)
        assert contents(out) == contents(tmp_path / "whole"), moments


def test_the_command_extracts_and_reports_leaks(place, tmp_path, capsys):
    out = tmp_path / "out"
    path = tmp_path / "extract.yaml"
    path.write_text(yaml.safe_dump(config_of(place, out).model_dump(mode="json")))
    assert main(["extract", "--config", str(path), "verify=false"]) == 1
    assert "3 done, 1 empty, 1 skipped, 1 failed" in capsys.readouterr().err
    assert main(["leakage", str(out / "manifest.parquet")]) == 0
    assert "patients in several sets: 0" in capsys.readouterr().out
    assert set(read_table(out / "manifest.parquet")["n_failed_tiles"].to_pylist()) == {None}


def test_workers_need_no_torch():
    code = "import sys, napari_histoaug.learning.extracting; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_bad_settings_are_a_sentence(tmp_path, capsys):
    path = tmp_path / "extract.yaml"
    path.write_text("slides: nowhere\nout: out\npatches: {size: 2}\n")
    assert extract_patches(["--config", str(path)]) == 2
    assert "patches.size" in capsys.readouterr().err
    path.write_text(f"slides: {tmp_path}/nowhere.csv\nout: {tmp_path}/out\nworkers: 0\n")
    assert extract_patches(["--config", str(path)]) == 2
    assert "nowhere.csv cannot be read" in capsys.readouterr().err
