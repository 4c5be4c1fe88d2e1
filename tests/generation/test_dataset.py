"""Generated data sets: the same pair from any process, goes on where it was, says how."""

from __future__ import annotations

import csv
import errno
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from PIL import Image
from scipy import ndimage

from napari_histoaug.generation import dataset
from napari_histoaug.generation.dataset_config import DatasetConfig
from napari_histoaug.generation.dataset_script import generate_dataset
from napari_histoaug.generation.donors import cut_donors, save_donor
from napari_histoaug.learning.config_files import load_config
from napari_histoaug.learning.tissue import pixel_tissue, turn


@pytest.fixture(scope="module")
def tissue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tissue")
    (folder / "labels").mkdir()
    image = np.random.default_rng(0).integers(100, 255, (160, 160, 3), dtype=np.uint8)
    labels = np.zeros((160, 160), np.uint8)
    labels[:40, :60] = 1
    Image.fromarray(image).save(folder / "jane_x0_y0.png")
    Image.fromarray(labels).save(folder / "labels" / "jane_x0_y0.png")
    return folder


@pytest.fixture
def command(tissue: Path, pixel_folder: Path, tmp_path: Path) -> list[str]:
    settings = {
        "out": str(tmp_path / "made"),
        "count": 4,
        "size": 96,
        "radius": [6, 10],
        "steps": 2,
        "model": str(pixel_folder),
        "device": "cpu",
        "source": {"tiles": str(tissue), "labels": str(tissue / "labels"), "cases": ["jane"]},
    }
    path = tmp_path / "c.yaml"
    path.write_text(yaml.safe_dump(settings))
    return ["--config", str(path)]


def contents(out: Path) -> dict[str, bytes]:
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file()
    }


def test_shards_make_together_what_one_process_makes(command: list[str], tmp_path: Path) -> None:
    assert generate_dataset(command) == 0
    for part in ("2/2", "1/2"):
        assert generate_dataset([*command, "--shard", part, f"out={tmp_path / 'parts'}"]) == 0
    assert contents(tmp_path / "made") == contents(tmp_path / "parts")


def test_shards_that_start_at_once_agree_on_the_settings(
    command: list[str], tmp_path: Path
) -> None:
    config = load_config(DatasetConfig, Path(command[1]))
    for attempt in range(30):
        mine = config.model_copy(update={"out": tmp_path / f"{attempt}"})
        ready = threading.Barrier(8)

        def claim(mine: DatasetConfig = mine, ready: threading.Barrier = ready) -> None:
            ready.wait()
            dataset._claim(mine, SimpleNamespace(sha256="f" * 64))

        with ThreadPoolExecutor(8) as threads:
            for claimed in [threads.submit(claim) for _ in range(8)]:
                claimed.result()
        assert sorted(p.name for p in mine.out.iterdir()) == [
            "dataset.json", "labels", "rows", "tiles"
        ]  # fmt: skip


def test_it_goes_on_where_it_was_and_can_be_extended(command: list[str], tmp_path: Path) -> None:
    assert generate_dataset([*command, "count=2"]) == 0
    before = contents(tmp_path / "made")
    (tmp_path / "made" / "rows" / "synthetic_x0000001_y0.json").unlink()
    kept = (tmp_path / "made" / "tiles" / "synthetic_x0000000_y0.png").stat().st_mtime_ns
    assert generate_dataset([*command, "count=3"]) == 0
    after = contents(tmp_path / "made")
    assert {name: after[name] for name in before if name != "manifest.csv"} == {
        name: content for name, content in before.items() if name != "manifest.csv"
    }
    assert (tmp_path / "made" / "tiles" / "synthetic_x0000000_y0.png").stat().st_mtime_ns == kept
    assert len(after) == len(before) + 3


def test_a_vessel_is_labelled_where_there_was_none_and_its_rim_is_marked(
    command: list[str], tmp_path: Path, tissue: Path
) -> None:
    assert generate_dataset(command) == 0
    out = tmp_path / "made"
    with (out / "manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["index"] for row in rows] == ["0", "1", "2", "3"]
    original = np.asarray(Image.open(tissue / "jane_x0_y0.png"))
    for row in rows:
        image, labels = (np.asarray(Image.open(out / row[name])) for name in ("image", "labels"))
        y, x, which = int(row["y"]), int(row["x"]), int(row["turn"])
        before = turn(original[y : y + 96, x : x + 96], which)
        changed = (image != before).any(2)
        assert changed.any()
        assert set(np.unique(labels)) <= {0, 1, 128, 129}
        # Whatever was made is a vessel or its rim; the rest are the bytes of the tissue.
        assert not (changed & (labels == 0)).any()
        assert float(row["made_share"]) > 0
        assert row["model_sha256"]
        assert row["seed"]
    assert b"jane" not in b"".join(contents(out).values())
    assert pixel_tissue(out / "tiles", out / "labels", ["synthetic"]).regions


def test_whole_images_follow_label_maps_of_real_tissue(command: list[str], tmp_path: Path) -> None:
    assert generate_dataset([*command, "kind=synthetic", "count=2"]) == 0
    for path in (tmp_path / "made" / "labels").iterdir():
        assert set(np.unique(np.asarray(Image.open(path)))) == {0, 1}
    row = json.loads((tmp_path / "made" / "rows" / "synthetic_x0000000_y0.json").read_text())
    assert row["made_share"] == 1.0


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("size=200", "larger than a field"),
        ("shard=3/2", "no shard 3/2"),
        ("shard=0/2", "setting shard"),
        ("label=bone", "does not know 'bone'"),
        ("source.cases=[none]", "holds no field of the case none"),
    ],
)
def test_bad_requests_are_sentences(
    command: list[str], capsys: pytest.CaptureFixture[str], override: str, sentence: str
) -> None:
    assert generate_dataset([*command, override]) == 2
    assert sentence in capsys.readouterr().err


def test_other_settings_in_the_same_folder_are_refused(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert generate_dataset([*command, "count=1"]) == 0
    assert generate_dataset([*command, "seed=1"]) == 2
    assert "made with other settings" in capsys.readouterr().err


def test_a_full_disk_is_a_sentence_and_the_rest_is_made_later(
    command: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    usual = dataset.os.fsync

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(dataset.os, "fsync", full)
    assert generate_dataset(command) == 2
    assert "No space left on device" in capsys.readouterr().err
    assert not list((tmp_path / "made" / "rows").iterdir())
    monkeypatch.setattr(dataset.os, "fsync", usual)
    assert generate_dataset(command) == 0


@pytest.fixture
def vessels(tissue: Path, tmp_path: Path) -> Path:
    """The tissue with small vessels on its left half, and donors cut from it."""
    folder = tmp_path / "vessels"
    (folder / "labels").mkdir(parents=True)
    image = np.asarray(Image.open(tissue / "jane_x0_y0.png")).copy()
    labels = np.zeros((160, 160), np.uint8)
    for y in range(10, 160, 28):
        labels[y : y + 12, 30:42] = labels[y : y + 12, 60:72] = 1
    image[labels == 1] = (150, 40, 60)
    Image.fromarray(image).save(folder / "jane_x0_y0.png")
    Image.fromarray(labels).save(folder / "labels" / "jane_x0_y0.png")
    (folder / "donors").mkdir()
    for donor in cut_donors(image, labels == 1, (0.5, 0.5))[:3]:
        save_donor(donor, folder / "donors")
    return folder


def test_a_vessel_is_taken_out_and_its_place_is_background(
    command: list[str], tmp_path: Path, vessels: Path
) -> None:
    source = [f"source.tiles={vessels}", f"source.labels={vessels / 'labels'}"]
    assert generate_dataset([*command, *source, "kind=removed", "count=3"]) == 0
    original = np.asarray(Image.open(vessels / "labels" / "jane_x0_y0.png"))
    for path in sorted((tmp_path / "made" / "rows").iterdir()):
        row = json.loads(path.read_text())
        y, x, which = row["y"], row["x"], row["turn"]
        before = turn(original[y : y + 96, x : x + 96], which)
        labels = np.asarray(Image.open(tmp_path / "made" / row["labels"]))
        taken = (before == 1) & (labels % 128 == 0)
        _, count = ndimage.label(taken)
        assert count == 1
        assert taken.sum() == 144
        assert row["label"] == "background"
        # Whatever is still called a vessel was not touched.
        assert ((labels % 128 == 1) <= (before == 1)).all()


def test_pairs_start_from_real_vessels_and_say_which(
    command: list[str], tmp_path: Path, vessels: Path
) -> None:
    assert generate_dataset([*command, f"donors={vessels / 'donors'}", "count=2"]) == 0
    known = {path.stem for path in (vessels / "donors").iterdir()}
    for path in (tmp_path / "made" / "rows").iterdir():
        row = json.loads(path.read_text())
        assert row["donors"] in known
        assert row["strength"] == 0.25
    assert generate_dataset([*command, "count=2"]) == 2


def test_vessels_are_added_until_the_classes_are_in_balance(
    command: list[str], tmp_path: Path, vessels: Path
) -> None:
    placing = ["placing.shapes=vessels", "placing.diameter=[10, 14]", "placing.most=4"]
    size = ["size=128", "placing.target_share=0.02", "count=3", "source.labels=null"]
    assert generate_dataset([*command, *placing, *size]) == 0
    for path in (tmp_path / "made" / "rows").iterdir():
        row = json.loads(path.read_text())
        labels = np.asarray(Image.open(tmp_path / "made" / row["labels"]))
        painted = (labels % 128 == 1) & (labels < 128)
        assert ndimage.label(painted, np.ones((3, 3)))[1] == row["vessels"]
        assert (painted.mean() >= 0.02) or row["vessels"] < 4
        assert 1 <= row["vessels"] <= 4


def test_nothing_is_painted_onto_glass(command: list[str], tmp_path: Path, tissue: Path) -> None:
    folder = tmp_path / "glass"
    folder.mkdir()
    white = np.full((160, 160, 3), 245, np.uint8)
    Image.fromarray(white).save(folder / "jane_x0_y0.png")
    glass = [f"source.tiles={folder}", "source.labels=null", "placing.least_tissue=0.5"]
    assert generate_dataset([*command, *glass, "count=1"]) == 2
    assert not list((tmp_path / "made" / "rows").iterdir())
