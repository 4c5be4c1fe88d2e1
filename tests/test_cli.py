"""The command line: what it writes, and one sentence with exit code 2 for every bad input."""

from __future__ import annotations

import csv
import inspect
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import imagecodecs
import numpy as np
import pytest
import shapely
import tifffile
import zarr
from PIL import Image
from typer.testing import CliRunner

from napari_histoaug import generation
from napari_histoaug.annotations import Document, Feature, write_geojson
from napari_histoaug.cli import app, main
from napari_histoaug.edits import EditStore
from napari_histoaug.errors import Cancelled
from napari_histoaug.models import ModelError
from napari_histoaug.slides import open_slide

COMMANDS = [
    *("demo", "view", "info", "inpaint", "synthesize", "donors"),
    *("export", "annotations", "doctor", "train", "generate"),
]
VESSEL = shapely.Point(450, 350).buffer(40)


@pytest.fixture
def slide(make_pyramid_tiff: Callable) -> Path:
    return make_pyramid_tiff(shapes=[(700, 900), (350, 450)], name="Jane-Doe.tif").path


@pytest.fixture
def outline(tmp_path: Path) -> Callable[..., Path]:
    def write(*shapes: tuple[shapely.Geometry, str], name: str = "mask.geojson") -> Path:
        features = [Feature.new(shape, class_name) for shape, class_name in shapes]
        write_geojson(Document.from_features(features), tmp_path / name)
        return tmp_path / name

    return write


@pytest.fixture
def painter(monkeypatch: pytest.MonkeyPatch) -> list[dict]:
    """A generator that paints the mean of what it sees, plus its seed; remembers its calls."""
    calls: list[dict] = []
    fake = SimpleNamespace(
        name="fake", sha256="ab" * 32, mpp=(0.5, 0.5), classes=("blood_vessel",), device="cpu"
    )

    def inpaint(generator, image, hole, *, progress, **options):
        assert generator is fake
        calls.append({"image": image.copy(), "hole": hole.copy(), **options})
        for step in range(1, 5):
            progress(step, 4)
        result = image.copy()
        result[hole] = (options["seed"], 0, 255)
        steps, donor = options["steps"] or 4, options.get("donor")
        return SimpleNamespace(
            image=result, changed=hole, evaluations=steps, steps=steps, seconds=0.5,
            method=options["method"], seed=options["seed"], label=options["label"], notes=(),
            donor=donor and donor.id, strength=options.get("strength"),
        )  # fmt: skip

    def synthesize(generator, mask, mpp, steps, seed, *, method, progress):
        progress(1, 1)
        image = np.repeat(mask[..., None] * 40, 3, axis=-1)
        return SimpleNamespace(
            image=image, evaluations=1, seconds=0.1, method=method, steps=steps or 4, seed=seed,
            notes=("Memory was short.",),
        )  # fmt: skip

    monkeypatch.setattr(generation, "load_generator", lambda source=None, device="auto": fake)
    monkeypatch.setattr(generation, "inpaint", inpaint)
    monkeypatch.setattr(generation, "synthesize", synthesize)
    return calls


def read(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def test_help_lists_the_commands_and_each_has_its_own() -> None:
    runner = CliRunner()
    overview = runner.invoke(app, ["--help"])
    assert overview.exit_code == 0
    for command in COMMANDS:
        assert command in overview.output
        own = runner.invoke(app, [command, "--help"])
        assert own.exit_code == 0
        assert "Usage" in own.output


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from napari_histoaug.cli import main; main(['--help']); "
        "heavy = {'torch', 'openslide', 'napari', 'qtpy', 'shapely', 'zarr'}; "
        "print(sorted(heavy & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-1] == "[]"


def test_info(slide: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["info", str(slide)]) == 0
    output = capsys.readouterr().out
    assert "0.5 x 0.5 µm" in output
    assert "700 x 900" in output
    assert "350 x 450, downsampled 2" in output
    assert "0 accepted" in output


FACTS = r"""
import io, json, re, sys
from contextlib import redirect_stdout
from pathlib import Path
from napari_histoaug.cli import main
from napari_histoaug.slides import identity

hashed = []
real = identity.content_sha256
identity.content_sha256 = lambda *given: hashed.append(1) or real(*given)
identity._LARGE = int(sys.argv[2])
with redirect_stdout(io.StringIO()) as out:
    main(["info", sys.argv[1], *sys.argv[3:]])
heavy = {"zarr", "scipy", "shapely", "torch", "napari", "qtpy", "dask"}
status = Path("/proc/self/status")
peak = int(re.search(r"VmHWM:\s*(\d+)", status.read_text())[1]) / 1024 if status.exists() else 0
print(json.dumps([out.getvalue(), len(hashed), sorted(heavy & sys.modules.keys()), peak]))
"""


def test_info_of_a_large_slide_reads_and_imports_little(tmp_path: Path) -> None:
    def ask(large: int, *options: str) -> tuple[str, int, list[str], float]:
        command = [sys.executable, "-c", FACTS, str(path), str(large), *options]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return tuple(json.loads(done.stdout.splitlines()[-1]))

    path = tmp_path / "large.tif"
    tile = imagecodecs.jpeg8_encode(np.full((512, 512, 3), 200, np.uint8))
    with tifffile.TiffWriter(path, bigtiff=True) as writer:
        for side in (100_000, 25_000, 6_250, 1_563):
            writer.write(
                iter([tile] * (-(-side // 512)) ** 2), shape=(side, side, 3), dtype="uint8",
                tile=(512, 512), photometric="ycbcr", compression="jpeg", metadata=None,
                subfiletype=int(side != 100_000),
            )  # fmt: skip
    os.utime(path, (1e9, 1e9))
    text, hashed, heavy, peak = ask(2**20)
    assert "level 0     100000 x 100000, downsampled 1\n" in text
    assert "slide id    read the whole file with --id" in text
    assert "edits       none beside the slide" in text
    assert (hashed, heavy) == (0, [])
    assert peak < 250
    asked, hashed, _, _ = ask(2**20, "--id")
    assert hashed == 1
    assert re.search(r"slide id    [0-9a-f]{16}\n", asked)
    again, hashed, heavy, _ = ask(2**20)  # remembered now
    assert (again, hashed, heavy) == (asked, 0, [])
    assert ask(2**40)[:2] == (asked, 1)  # small enough to be read at once


def test_inpaint_writes_before_after_hole_and_summary(
    slide: Path, outline: Callable, painter: list, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    out = tmp_path / "new" / "out"
    mask = outline((VESSEL, "blood_vessel"))
    code = main(
        ["inpaint", str(slide), "--mask", str(mask), "--out", str(out), "--seed", "7",
         "--steps", "3", "--method", "repaint"]
    )  # fmt: skip
    assert code == 0
    names = sorted(p.name for p in out.iterdir())
    assert names == ["after.png", "before.png", "hole.png", "summary.json"]
    summary = json.loads((out / "summary.json").read_text())
    (region,) = summary["regions"]
    y, x, height, width = region["box"]
    with open_slide(slide) as opened:
        pixels = opened.read_block(0, y, x, height, width)
        assert summary["slide_id"] == opened.slide_id()
        assert region["slide_sha256"] == opened.sha256()
        assert EditStore.open(opened).edits == []
    before, after, hole = (read(out / f"{name}.png") for name in ("before", "after", "hole"))
    np.testing.assert_array_equal(before, pixels)
    rows, columns = np.mgrid[y : y + height, x : x + width] + 0.5
    inside = shapely.contains_xy(VESSEL, columns, rows)
    np.testing.assert_array_equal(hole, np.where(inside, 255, 0))
    np.testing.assert_array_equal(after[~inside], before[~inside])
    assert (after[inside] == (7, 0, 255)).all()
    assert min(350 - 40 - y, y + height - 390, 450 - 40 - x, x + width - 490) >= 64
    (call,) = painter
    assert (call["method"], call["steps"], call["mpp"]) == ("repaint", 3, (0.5, 0.5))
    assert (region["seed"], region["steps"], region["model"]) == (7, 3, "fake")
    assert region["versions"]["napari-histoaug"]
    assert summary["complete"] is True
    assert slide.stem not in json.dumps(summary)
    assert "step 4/4, " in capsys.readouterr().err


def test_accept_keeps_the_edit_and_export_writes_its_pair(
    slide: Path, outline: Callable, painter: list, tmp_path: Path
) -> None:
    bytes_before = slide.read_bytes()
    mask = outline((VESSEL, "blood_vessel"))
    out = tmp_path / "out"
    assert main(["inpaint", str(slide), "--mask", str(mask), "--out", str(out), "--accept"]) == 0
    with open_slide(slide) as opened:
        (edit,) = EditStore.open(opened).edits
        synthetic = EditStore.open(opened).synthetic(*edit.box)
    assert edit.model_sha256 == "ab" * 32
    assert edit.versions["napari-histoaug"]
    assert main(["export", str(slide), "--out", str(tmp_path / "pairs")]) == 0
    with (tmp_path / "pairs" / "manifest.csv").open(newline="") as stream:
        (row,) = csv.DictReader(stream)
    np.testing.assert_array_equal(read(tmp_path / "pairs" / row["image"]), read(out / "after.png"))
    np.testing.assert_array_equal(read(tmp_path / "pairs" / row["mask"]), synthetic)
    assert float(row["synthetic_fraction"]) == synthetic.mean()
    assert row["class"] == "blood_vessel"
    heart = ["export", str(slide), "--out", str(tmp_path / "heart"), "--classes", "heart"]
    assert main(heart) == 0
    (written,) = (tmp_path / "heart").glob("*_mask.png")
    np.testing.assert_array_equal(read(written), synthetic * 3)
    assert slide.read_bytes() == bytes_before


def test_several_outlines_are_filled_in_turn_and_see_each_other(
    slide: Path, outline: Callable, painter: list, tmp_path: Path
) -> None:
    mask = outline(
        (shapely.box(400, 300, 440, 340), "blood_vessel"),
        (shapely.box(300, 300, 340, 340), "blood_vessel"),
        (shapely.box(310, 320, 330, 360), "blood_vessel"),  # overlaps the one before
        (shapely.box(500, 300, 540, 340), "fatty_tissue"),
    )
    out = tmp_path / "out"
    assert main(["inpaint", str(slide), "--mask", str(mask), "--out", str(out)]) == 0
    assert sorted(p.name for p in out.iterdir()) == ["hole-001", "hole-002", "summary.json"]
    first, second = painter
    assert first["hole"].sum() == 40 * 40 + 20 * 20
    assert second["hole"].sum() == 40 * 40
    assert (first["seed"], second["seed"]) == (0, 1)
    # The pixels that the first call painted are what the second one finds there.
    assert ((second["image"] == (0, 0, 255)).all(axis=-1)).sum() == first["hole"].sum()


def test_one_class_is_taken_whatever_its_name_and_others_by_option(
    slide: Path, outline: Callable, painter: list, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    only = outline((VESSEL, "Gefäß"), name="only.geojson")
    command = ["inpaint", str(slide), "--out", str(tmp_path / "out"), "--mask"]
    assert main([*command, str(only)]) == 0
    mixed = outline((VESSEL, "Gefäß"), (shapely.box(0, 0, 9, 9), "fat"), name="mixed.geojson")
    assert main([*command, str(mixed)]) == 2
    assert "its classes are Gefäß, fat" in capsys.readouterr().err
    assert main([*command, str(mixed), "--class", "fat"]) == 0
    assert [call["hole"].sum() for call in painter] == [painter[0]["hole"].sum(), 81]


def test_an_outline_across_the_edge_is_cut(
    slide: Path, outline: Callable, painter: list, tmp_path: Path
) -> None:
    mask = outline((shapely.box(-50, 660, 30, 900), "blood_vessel"))
    assert main(["inpaint", str(slide), "--mask", str(mask), "--out", str(tmp_path / "o")]) == 0
    assert painter[0]["hole"].sum() == 30 * 40


def test_a_cancelled_run_leaves_nothing_and_exits_130(
    slide: Path, outline: Callable, painter: list, tmp_path: Path, monkeypatch, capsys
) -> None:
    mask = outline((VESSEL, "blood_vessel"))
    for stop in (KeyboardInterrupt(), Cancelled("stopped")):

        def stopped(*_: object, error: BaseException = stop, **__: object) -> None:
            raise error

        monkeypatch.setattr(generation, "inpaint", stopped)
        out = tmp_path / "out"
        assert main(["inpaint", str(slide), "--mask", str(mask), "--out", str(out)]) == 130
        assert not out.exists()
        assert "Stopped" in capsys.readouterr().err


def label_map() -> np.ndarray:
    labels = np.zeros((40, 60), np.uint8)
    labels[10:20, 10:30] = 1
    return labels


def test_synthesize_writes_the_patch(painter: list, tmp_path: Path, capsys) -> None:
    labels = label_map()
    Image.fromarray(labels).save(tmp_path / "labels.png")
    out = tmp_path / "out"
    command = ["synthesize", str(tmp_path / "labels.png"), "--out", str(out), "--preset", "draft"]
    for _ in range(2):  # a second time over the first
        assert main(command) == 0
        assert sorted(p.name for p in out.iterdir()) == [
            "image.ome.tif", "image.ome.zarr", "image.png", "labels.png", "summary.json",
        ]  # fmt: skip
    np.testing.assert_array_equal(read(out / "image.png")[..., 0], labels * 40)
    np.testing.assert_array_equal(read(out / "labels.png"), labels)
    summary = json.loads((out / "summary.json").read_text())
    assert summary["complete"] is True
    assert summary["synthetic"] is True
    assert (summary["method"], summary["model_sha256"]) == ("draft", "ab" * 32)
    assert "Memory was short." in capsys.readouterr().err
    for name in ("image.ome.zarr", "image.ome.tif"):
        with open_slide(out / name) as opened:
            assert opened.mpp == pytest.approx((0.5, 0.5))
            pixels = opened.read_block(0, 0, 0, 40, 60)
        np.testing.assert_array_equal(pixels, read(out / "image.png"))
    group = zarr.open_group(str(out / "image.ome.zarr"), mode="r")
    assert group.attrs["histoaug"]["synthetic"] is True
    assert group.attrs["histoaug"]["model_sha256"] == "ab" * 32
    np.testing.assert_array_equal(group["labels/classes/0"][:], labels)
    with tifffile.TiffFile(out / "image.ome.tif") as tiff:
        told = tiff.ome_metadata
    assert "Synthetic tissue" in told
    assert "ab" * 32 in told


def test_synthesize_reads_labels_from_ome_zarr_and_outlines(
    painter: list, outline: Callable, tmp_path: Path
) -> None:
    first = tmp_path / "first"
    Image.fromarray(label_map()).save(tmp_path / "labels.png")
    command = ["synthesize", str(tmp_path / "labels.png"), "--out", str(first), "--mpp", "0.25"]
    assert main(command) == 0
    # The labels of an OME-Zarr image bring their pixel size along.
    second = tmp_path / "second"
    assert main(["synthesize", str(first / "image.ome.zarr"), "--out", str(second)]) == 0
    np.testing.assert_array_equal(read(second / "labels.png"), label_map())
    assert json.loads((second / "summary.json").read_text())["mpp"] == [0.25, 0.25]
    third = tmp_path / "third"
    mask = outline((shapely.box(1000, 500, 1040, 530), "blood_vessel"))
    assert main(["synthesize", str(mask), "--out", str(third)]) == 0
    expected = np.pad(np.ones((30, 40), np.uint8), 64)
    np.testing.assert_array_equal(read(third / "labels.png"), expected)
    assert json.loads((third / "summary.json").read_text())["box"] == [436, 936, 158, 168]


def test_a_stopped_synthesis_leaves_nothing(
    painter: list, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.fromarray(label_map()).save(tmp_path / "labels.png")
    out = tmp_path / "out"

    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    # In the middle of writing: the zarr group is there already, the TIFF is not.
    monkeypatch.setattr("napari_histoaug.generation.files.write_ome_tiff", stopped)
    assert main(["synthesize", str(tmp_path / "labels.png"), "--out", str(out)]) == 130
    assert not out.exists()


def test_somebody_s_folder_is_not_replaced(painter: list, tmp_path: Path, capsys) -> None:
    Image.fromarray(label_map()).save(tmp_path / "labels.png")
    theirs = tmp_path / "out" / "image.ome.zarr"
    theirs.mkdir(parents=True)
    (theirs / "precious").write_text("data")
    assert main(["synthesize", str(tmp_path / "labels.png"), "--out", str(theirs.parent)]) == 2
    assert_one_sentence(capsys, "not one of ours", some=True)
    assert (theirs / "precious").read_text() == "data"


def test_vessels_are_cut_and_started_from(
    slide: Path, outline: Callable, painter: list, tmp_path: Path, capsys
) -> None:
    bank, out = tmp_path / "bank", tmp_path / "out"
    vessels = outline((VESSEL, "blood_vessel"), (shapely.box(0, 9, 30, 39), "blood_vessel"))
    assert main(["donors", str(slide), "--mask", str(vessels), "--out", str(bank)]) == 0
    (donor,) = bank.iterdir()  # the one at the border is left out
    with open_slide(slide) as opened:
        pixels = opened.read_block(0, 310, 410, 80, 80)
    kept = read(donor)
    np.testing.assert_array_equal(kept[32:112, 32:112, :3], pixels)
    assert slide.stem not in donor.name
    command = ["inpaint", str(slide), "--mask", str(vessels), "--out", str(out), "--accept"]
    assert main([*command, "--donors", str(bank), "--strength", "0.4", "--preset", "turbo"]) == 0
    assert {call["donor"].id for call in painter} == {donor.stem}
    assert {(call["strength"], call["method"]) for call in painter} == {(0.4, "turbo")}
    with open_slide(slide) as opened:
        edits = EditStore.open(opened).edits
    assert {(edit.donor, edit.strength) for edit in edits} == {(donor.stem, 0.4)}
    assert main([*command, "--donors", str(tmp_path)]) == 2
    assert "no donors in" in capsys.readouterr().err


def assert_one_sentence(capsys: pytest.CaptureFixture, *words: str, some: bool = False) -> None:
    """One sentence on stderr; with `some`, the last one of several."""
    captured = capsys.readouterr()
    lines = [line for line in captured.err.splitlines() if line.strip()][-1 if some else 0 :]
    assert len(lines) == 1, captured.err
    assert "Traceback" not in captured.err
    for word in words:
        assert word in lines[0]


def bad_slide(kind: str, slide: Path, folder: Path) -> Path:
    path = folder / f"{kind}.svs"
    if kind == "missing":
        return path
    content = {"empty": b"", "text": b"just a note\n" * 50, "truncated": slide.read_bytes()[:3000]}
    path.write_bytes(content[kind])
    return path


@pytest.mark.parametrize("kind", ["missing", "empty", "text", "truncated"])
@pytest.mark.parametrize("command", ["info", "inpaint", "export"])
def test_a_bad_slide_is_one_sentence(
    kind: str, command: str, slide: Path, outline: Callable, tmp_path: Path, capsys
) -> None:
    path, out = bad_slide(kind, slide, tmp_path), tmp_path / "out"
    options = {
        "info": [],
        "inpaint": ["--mask", str(outline((VESSEL, "blood_vessel"))), "--out", str(out)],
        "export": ["--out", str(out)],
    }
    assert main([command, str(path), *options[command]]) == 2
    assert_one_sentence(capsys, path.name)
    assert not out.exists()


def test_bad_masks_are_one_sentence(
    slide: Path, outline: Callable, painter: list, tmp_path: Path, capsys
) -> None:
    (tmp_path / "broken.geojson").write_text("{")
    off_centre = shapely.box(0.6, 0.6, 0.9, 0.9)
    masks = {
        tmp_path / "none.geojson": "no annotation file",
        tmp_path / "broken.geojson": "not valid JSON",
        outline(name="empty.geojson"): "no polygon",
        outline((shapely.Point(5, 5), "blood_vessel"), name="point.geojson"): "no polygon",
        outline((shapely.box(5000, 0, 5100, 99), "blood_vessel"), name="far.geojson"): "outside",
        outline((off_centre, "blood_vessel"), name="tiny.geojson"): "smaller than a pixel",
    }
    for mask, words in masks.items():
        out = tmp_path / "out"
        assert main(["inpaint", str(slide), "--mask", str(mask), "--out", str(out)]) == 2
        assert_one_sentence(capsys, mask.name, words)
        assert not out.exists()
    assert painter == []


def test_a_model_that_cannot_be_loaded_is_one_sentence(
    slide: Path, outline: Callable, tmp_path: Path, monkeypatch, capsys
) -> None:
    def missing(*_: object) -> None:
        raise ModelError("The model m lacks the tensor conv.weight; fetch it again.")

    monkeypatch.setattr(generation, "load_generator", missing)
    mask, out = outline((VESSEL, "blood_vessel")), tmp_path / "out"
    assert main(["inpaint", str(slide), "--mask", str(mask), "--out", str(out)]) == 2
    assert_one_sentence(capsys, "conv.weight")
    assert not out.exists()


def test_a_model_folder_that_is_none_is_one_sentence(
    slide: Path, outline: Callable, tmp_path: Path, capsys
) -> None:
    (tmp_path / "model").mkdir()
    mask, out = outline((VESSEL, "blood_vessel")), tmp_path / "out"
    command = ["inpaint", str(slide), "--mask", str(mask), "--out", str(out)]
    assert main([*command, "--model", str(tmp_path / "model")]) == 2
    assert_one_sentence(capsys, "model")
    assert not out.exists()


def test_no_permission_to_write_is_one_sentence_before_the_work(
    slide: Path, outline: Callable, painter: list, tmp_path: Path, capsys
) -> None:
    # Root may write everywhere, but not even root into a file as if it were a folder.
    taken = tmp_path / "taken"
    taken.write_text("")
    mask = outline((VESSEL, "blood_vessel"))
    for out in (taken, taken / "deeper"):
        assert main(["inpaint", str(slide), "--mask", str(mask), "--out", str(out)]) == 2
        assert_one_sentence(capsys, "cannot be written", str(out))
    assert painter == []
    assert taken.read_text() == ""


def test_a_failing_disk_leaves_no_summary(
    slide: Path, outline: Callable, painter: list, tmp_path: Path, monkeypatch, capsys
) -> None:
    write = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        if content[:4] == b"\x89PNG" and len(content) > 1000:
            write(path, content[:10])
            raise OSError(28, "No space left on device")
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    mask, out = outline((VESSEL, "blood_vessel")), tmp_path / "out"
    assert main(["inpaint", str(slide), "--mask", str(mask), "--out", str(out)]) == 2
    assert "No space left on device" in capsys.readouterr().err
    assert not out.exists()


def test_export_without_edits_or_with_an_unknown_table_is_one_sentence(
    slide: Path, tmp_path: Path, capsys
) -> None:
    out = tmp_path / "out"
    assert main(["export", str(slide), "--out", str(out)]) == 2
    assert_one_sentence(capsys, "no accepted edit")
    assert main(["export", str(slide), "--out", str(out), "--classes", "liver"]) == 2
    assert_one_sentence(capsys, "breast, heart")
    assert not out.exists()


def test_bad_label_maps_are_one_sentence(tmp_path: Path, capsys) -> None:
    (tmp_path / "text.png").write_text("no image")
    Image.new("RGB", (8, 8)).save(tmp_path / "colour.png")
    whole = tmp_path / "whole.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 2, (64, 64), np.uint8)).save(whole)
    (tmp_path / "cut.png").write_bytes(whole.read_bytes()[:120])
    for name in ("none.png", "text.png", "colour.png", "cut.png"):
        out = tmp_path / "out"
        assert main(["synthesize", str(tmp_path / name), "--out", str(out)]) == 2
        assert_one_sentence(capsys, name)
        assert not out.exists()


def test_wrong_options_exit_with_2(slide: Path, capsys) -> None:
    assert main(["inpaint", str(slide), "--out", "x"]) == 2
    assert main(["inpaint", str(slide), "--mask", "m", "--out", "x", "--method", "magic"]) == 2
    assert main(["nonsense"]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_the_installed_command_has_no_traceback(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "napari_histoaug.cli", "info", str(tmp_path / "none.svs")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "none.svs" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_doctor_has_a_line_for_everything_even_when_nothing_works(monkeypatch, capsys) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ModelError("The bundled model is missing; install the package again.")

    monkeypatch.setattr(generation, "load_generator", broken)
    assert main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    names = [line.split()[0] for line in lines]
    assert names == ["Python", "packages", "Qt", "OpenGL", "devices", "formats", "model"]
    assert "bundled model is missing" in lines[-1]
    assert "OpenSlide" in lines[-2]


def test_demo_and_view_go_to_the_window(slide: Path, tmp_path: Path, monkeypatch) -> None:
    from napari_histoaug.gui import demo, launch

    seen = []
    monkeypatch.setattr(demo, "run_demo", seen.append)
    monkeypatch.setattr(launch, "view", lambda *arguments: seen.append(arguments))
    assert main(["demo", "--out", str(tmp_path)]) == 0
    assert main(["view", str(slide)]) == 0
    assert main(["view", "--show-label", str(slide)]) == 0
    assert seen == [tmp_path, (str(slide), False), (str(slide), True)]


def test_info_says_that_the_overview_is_missing(
    slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    from napari_histoaug.slides import sidecar

    assert main(["info", str(slide)]) == 0
    assert "overview" not in capsys.readouterr().out
    cache = tmp_path / "cache"
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda name: str(cache / name))
    for module in ("plan", "sidecar_place"):
        monkeypatch.setattr(f"napari_histoaug.slides.{module}.MOST_DECODED", 100)
    assert main(["info", str(slide)]) == 0
    assert "overview    missing; Build overview" in capsys.readouterr().out
    with open_slide(slide) as opened:
        sidecar.build_sidecar(opened)
    assert main(["info", str(slide)]) == 0
    assert "overview    built" in capsys.readouterr().out


def test_info_says_how_the_slide_is_read_when_it_is_not_as_usual(make_pyramid_tiff):
    from napari_histoaug.cli.facts import facts
    from napari_histoaug.slides import open_slide

    with open_slide(make_pyramid_tiff().path) as slide:
        slide.notes = ("OpenSlide reads this slide, more slowly.",)
        assert ("note", "OpenSlide reads this slide, more slowly.") in list(facts(slide))


def test_annotations_are_described(tmp_path, capsys, make_pyramid_tiff):
    slide = make_pyramid_tiff(shapes=[(700, 900)])
    boxes = [shapely.box(10, 10, 60, 60), shapely.box(880, 10, 920, 60)]
    features = [Feature.new(box, "blood_vessel") for box in boxes * 1]
    features += [Feature.new(shapely.box(i, i, i + 5, i + 5), "Fat") for i in range(200)]
    path = tmp_path / "a.geojson"
    write_geojson(Document.from_features(features), path)
    assert main(["annotations", str(path), "--slide", str(slide.path)]) == 0
    said = capsys.readouterr().out
    assert "202 features, 202 with an area" in said
    assert "     200  Fat\n       2  blood_vessel" in said
    assert "1 reach over its edge: features 1." in said
    assert main(["annotations", str(path), "--classes", "breast"]) == 2
    assert "'Fat' (200)" in capsys.readouterr().err


def test_broken_features_stop_a_command_unless_skipped(tmp_path, capsys, make_pyramid_tiff):
    slide = make_pyramid_tiff(shapes=[(700, 900)])
    features = [Feature.new(shapely.box(10, 10, 60, 60), "blood_vessel")]
    broken = Feature.new(shapely.box(10, 10, 60, 60), "blood_vessel")
    broken["geometry"]["coordinates"][0].pop()
    document = Document.from_features([*features, broken])
    path = tmp_path / "a.geojson"
    path.write_text(json.dumps(document.to_json()))
    assert main(["annotations", str(path)]) == 2
    assert f"Feature 1 ({broken['id']}) has a Polygon with a ring" in capsys.readouterr().out
    command = ["inpaint", str(slide.path), "--mask", str(path), "--out", str(tmp_path / "out")]
    assert main(command) == 2
    said = capsys.readouterr().err
    assert "Feature 1" in said
    assert "--skip-bad" in said
    assert not (tmp_path / "out").exists()


def test_window_command_and_library_noise_a_donor_alike() -> None:
    from napari_histoaug.cli.commands import inpaint as command
    from napari_histoaug.generation import inpaint
    from napari_histoaug.generation.donors import STRENGTH
    from napari_histoaug.gui.tasks import Settings

    assert inspect.signature(command).parameters["strength"].default == STRENGTH
    assert inspect.signature(inpaint).parameters["strength"].default == STRENGTH
    assert Settings().strength == STRENGTH
