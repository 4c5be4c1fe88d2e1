"""The demo: its folder, its screen, its sentences, and the journey through the real widgets."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import sys
from dataclasses import dataclass, replace

import numpy as np
import pytest
from PIL import Image

from napari_histoaug.gui import demo, demo_page
from napari_histoaug.gui.demo_page import DemoError, Summary, page_text, prepare_folder
from napari_histoaug.masks import dilate
from napari_histoaug.slides.samples import SampleError


@pytest.fixture
def sample(tmp_path):
    """A stand-in for the cached sample."""
    path = tmp_path / "cache" / "slide.svs"
    path.parent.mkdir()
    path.write_bytes(b"slide")
    return path


class TestFolder:
    def test_the_slide_is_copied_and_the_cache_left_alone(self, sample, tmp_path):
        copy = prepare_folder(tmp_path / "out", sample)
        assert copy == tmp_path / "out" / "slide.svs"
        assert copy.read_bytes() == sample.read_bytes()
        assert [p.name for p in sample.parent.iterdir()] == ["slide.svs"]

    def test_a_second_demo_starts_afresh(self, sample, tmp_path):
        out = tmp_path / "out"
        prepare_folder(out, sample)
        for name in demo_page.WRITTEN:
            (out / name).write_text("old")
        for name in (*demo_page.FOLDERS, "slide.histoaug"):
            (out / name / "deep").mkdir(parents=True)
        prepare_folder(out, sample)
        assert [p.name for p in out.iterdir()] == ["slide.svs"]

    def test_a_folder_with_other_files_is_left_alone(self, sample, tmp_path):
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "thesis.tex").write_text("years of work")
        with pytest.raises(DemoError, match=r"not the demo's \(thesis\.tex\)"):
            prepare_folder(tmp_path / "out", sample)
        assert [p.name for p in (tmp_path / "out").iterdir()] == ["thesis.tex"]

    def test_a_place_that_is_no_folder_is_a_sentence(self, sample, tmp_path):
        (tmp_path / "out").write_text("a file")
        with pytest.raises(DemoError, match="cannot be written"):
            prepare_folder(tmp_path / "out", sample)


class TestScreen:
    @pytest.fixture
    def choice(self, monkeypatch):
        chosen: list[str] = []
        monkeypatch.setattr(demo, "show", lambda out: chosen.append("show"))
        monkeypatch.setattr(
            demo, "run_on_virtual_screen", lambda out, full: chosen.append("virtual")
        )
        for name in ("DISPLAY", "WAYLAND_DISPLAY"):
            monkeypatch.delenv(name, raising=False)
        return chosen

    @pytest.mark.parametrize(
        ("platform", "variables", "expected"),
        [
            ("linux", {}, "virtual"),
            ("linux", {"DISPLAY": ":0"}, "show"),
            ("linux", {"WAYLAND_DISPLAY": "wayland-0"}, "show"),
            ("win32", {}, "show"),
            ("darwin", {}, "show"),
        ],
    )
    def test_the_screen_is_chosen(
        self, choice, monkeypatch, tmp_path, platform, variables, expected
    ):
        monkeypatch.setattr(sys, "platform", platform)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        demo.run_demo(tmp_path)
        assert choice == [expected]


class TestVirtualScreen:
    def _child(self, monkeypatch, code, stderr):
        seen: list[list[str]] = []

        def run(command, **_):
            seen.append(command)
            return subprocess.CompletedProcess(command, code, None, stderr)

        monkeypatch.setattr(demo.shutil, "which", lambda name: f"/usr/bin/{name}")
        monkeypatch.setattr(subprocess, "run", run)
        return seen

    def test_without_xvfb_a_sentence_names_it(self, monkeypatch, tmp_path):
        monkeypatch.setattr(demo.shutil, "which", lambda name: None)
        with pytest.raises(DemoError, match="install xvfb"):
            demo.run_on_virtual_screen(tmp_path)

    def test_the_same_module_is_run_again(self, monkeypatch, tmp_path):
        seen = self._child(monkeypatch, 0, "libEGL warning")
        demo.run_on_virtual_screen(tmp_path)
        assert seen[0][0].endswith("xvfb-run")
        assert seen[0][-5:] == [sys.executable, "-m", demo.MODULE, demo.DRIVEN, str(tmp_path)]

    def test_and_told_that_it_is_the_whole_session(self, monkeypatch, tmp_path):
        seen = self._child(monkeypatch, 0, "")
        demo.run_on_virtual_screen(tmp_path, full=True)
        assert seen[0][-3:] == [demo.DRIVEN, demo.FULL, str(tmp_path)]

    def test_the_sentence_of_the_journey_is_handed_on(self, monkeypatch, tmp_path):
        noise = f"libEGL warning\n{demo.SENTENCE}The slide is gone.\nQThread: destroyed\n"
        self._child(monkeypatch, 2, noise)
        with pytest.raises(DemoError, match=r"^The slide is gone\.$"):
            demo.run_on_virtual_screen(tmp_path)

    def test_a_crash_is_named_and_its_words_are_shown(self, monkeypatch, tmp_path, capsys):
        self._child(monkeypatch, -11, "Segmentation fault")
        with pytest.raises(DemoError, match="exit code -11"):
            demo.run_on_virtual_screen(tmp_path)
        assert "Segmentation fault" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["out"], [demo.DRIVEN, "out"]])
def test_an_error_is_one_sentence_and_exit_code_2(monkeypatch, capsys, arguments):
    def offline(**_):
        raise SampleError("The sample slide could not be fetched: connect to the network.")

    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(demo, "fetch_sample", offline)
    assert demo.main(arguments) == 2
    written = capsys.readouterr().err
    assert written.endswith("The sample slide could not be fetched: connect to the network.\n")
    assert written.count("\n") == 1


def test_the_page_says_when_the_slide_was_changed():
    facts = vars(
        Summary(
            slide_sha256_before="aa",
            slide_sha256_after="ab",
            box={"y": 1, "x": 2, "height": 3, "width": 4},
        )
    )
    assert "CHANGED" in page_text(facts, [])
    assert "CHANGED" not in page_text({**facts, "slide_sha256_after": "aa"}, [])


@dataclass
class FakeResult:
    image: np.ndarray
    changed: np.ndarray
    label: str
    seed: int
    method: str = "pixel-time"
    steps: int = 3
    evaluations: int = 3
    seconds: float = 0.0
    donor: str | None = None
    strength: float = 1.0
    notes: tuple[str, ...] = ()


class FakeGenerator:
    name = "green"
    sha256 = "f" * 64
    classes = ("blood_vessel",)
    mpp = (0.5, 0.5)


def paint_green(
    generator, image, hole, *, label, seed, progress, cancelled, preview=lambda image: None, **_
):
    """Fill the dilated hole with green."""
    changed = dilate(hole, 4)
    out = image.copy()
    out[changed] = (0, 200, 0)
    for step in range(1, 4):
        assert not cancelled()
        progress(step, 3)
        preview(out)
    return FakeResult(out, changed, label, seed)


@pytest.fixture
def open_journey(make_napari_viewer, tmp_path):
    """Opens a shown viewer with the plugin's widget over a fake network."""
    from napari_histoaug.gui.demo_journey import Journey
    from napari_histoaug.gui.widget import HistoaugWidget

    def make():
        viewer = make_napari_viewer(show=True)
        viewer.window.resize(*demo.WINDOW_SIZE)
        widget = HistoaugWidget(
            viewer,
            inpaint=paint_green,
            load_generator=lambda source, device="auto": FakeGenerator(),
        )
        viewer.window.add_dock_widget(widget, name="Inpaint vessel")
        return Journey(viewer, widget, tmp_path / "out")

    return make


@pytest.fixture
def journey(open_journey):
    return open_journey()


@pytest.fixture
def slide(make_pyramid_tiff, tmp_path):
    """A copy of a made slide in the demo's folder; large enough for the demo's place."""
    made = make_pyramid_tiff(shapes=[(2900, 1200), (1450, 600)], name="made.tif")
    return prepare_folder(tmp_path / "out", made.path), made.levels[0]


def test_the_journey_through_the_real_widgets(journey, slide):
    """What is written agrees with the slide's own pixels, decoded independently."""
    from napari_histoaug.gui.demo_journey import drive

    path, level0 = slide
    page = drive(journey, path)
    out = path.parent
    facts = json.loads((out / "summary.json").read_text())
    box = facts["box"]
    region = np.s_[box["y"] : box["y"] + box["height"], box["x"] : box["x"] + box["width"]]
    before, after, hole = (
        np.asarray(Image.open(out / f"{name}.png")) for name in ("before", "after", "hole")
    )
    assert np.array_equal(before, level0[region])
    assert set(np.unique(hole)) == {0, 255}
    assert facts["changed_pixels"] == np.count_nonzero(hole)
    assert np.all(after[hole == 255] == (0, 200, 0))
    assert np.array_equal(after[hole == 0], before[hole == 0])
    # a vessel of the announced size, dilated by the fake's 4 pixels, around the announced place
    area = np.count_nonzero(hole)
    assert np.pi * 38**2 < area < np.pi * 52**2
    assert facts["slide_sha256_before"] == facts["slide_sha256_after"]
    assert (facts["model"], facts["evaluations"]) == ("green", 3)
    assert {"open the slide", "paint a vessel", "inpaint it", "accept it"} <= set(facts["seconds"])
    assert np.asarray(Image.open(out / "napari.png")).shape[1] > 1000
    assert (out / "pair" / "manifest.csv").is_file()
    links = re.findall(r'(?:src|href)="([^"]+)"', page.read_text(encoding="utf-8"))
    assert len(links) >= 8
    assert [link for link in links if not (out / link).is_file()] == []


def test_ten_minutes_through_the_real_widgets(journey, open_journey, make_pyramid_tiff, tmp_path):
    """Five painted, filled at once, one taken back, the others exported and there when reopened."""
    from napari_histoaug.gui.demo_full import VESSELS, drive_session
    from napari_histoaug.slides import open_slide

    made = make_pyramid_tiff(shapes=[(2967, 2220), (1483, 1110)], name="made.tif")
    path, out = prepare_folder(tmp_path / "out", made.path), tmp_path / "out"
    page = drive_session(journey, path, open_journey)
    facts = json.loads((out / "summary.json").read_text())
    assert (facts["painted"], len(facts["kept"]), len(set(facts["seeds"]))) == (5, 4, 5)
    assert facts["slide_sha256_before"] == facts["slide_sha256_after"]
    assert {"inpaint them together", "take one back", "reopen"} <= set(facts["seconds"])
    pairs = [p for p in (out / "pairs").glob("*.png") if not p.stem.endswith("_mask")]
    assert len(pairs) == 4
    for pair in pairs:
        green = np.all(np.asarray(Image.open(pair)) == (0, 200, 0), axis=-1)
        mask = np.asarray(Image.open(pair.with_name(f"{pair.stem}_mask.png")))
        assert np.all(green[mask == 1])
    with open_slide(path) as slide:
        assert np.array_equal(slide.read_block(0, 0, 0, 2967, 2220), made.levels[0])
    shown = [np.asarray(Image.open(out / f"pictures/compared-{n}.png")) for n in (0, 50, 100)]
    assert not any(np.array_equal(a, b) for a, b in itertools.pairwise(shown))
    for number in range(1, len(VESSELS) + 1):
        old, new = (
            np.asarray(Image.open(out / f"pictures/vessel-{number}-{when}.png"))
            for when in ("before", "after")
        )
        assert np.all(new[np.any(old != new, axis=-1)] == (0, 200, 0))
    links = re.findall(r'(?:src|href)="([^"]+)"', page.read_text(encoding="utf-8"))
    assert len(links) >= 20
    assert [link for link in links if not (out / link).is_file()] == []


def test_a_failing_network_is_its_own_sentence(journey, slide):
    from napari_histoaug.errors import HistoaugError
    from napari_histoaug.gui.demo_journey import drive

    def broken(*_, **__):
        raise HistoaugError("The network is not the one it was.")

    making = journey.widget.controller.making
    making.engine = replace(making.engine, inpaint=broken, inpaint_many=broken)
    path, _ = slide
    with pytest.raises(DemoError, match="The network is not the one it was"):
        drive(journey, path)
    assert not (path.parent / demo_page.PAGE).exists()


def test_a_button_that_cannot_be_clicked_says_why(journey):
    with pytest.raises(DemoError, match=r"^Accept cannot be clicked: There is no proposal yet"):
        journey.click("Accept")
    with pytest.raises(DemoError, match="no button called Improve"):
        journey.click("Improve")
