"""Exported pairs: read back whole, named without the slide's name, old or new after a failure."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from napari_histoaug.patches import PairError, PairRow, export_pair, pairs, read_manifest


def make_row(**changes: object) -> PairRow:
    values = {
        "slide_id": "0123456789abcdef",
        "slide_sha256": "ed" * 32,
        "box": (10, 20, 32, 48),
        "mpp": (0.499, 0.498),
        "label": "blood_vessel",
        "method": "pixel-time",
        "seed": 7,
        "steps": 20,
        "evaluations": 20,
        "model": "bundled",
        "model_sha256": "ab" * 32,
        "synthetic_fraction": 0.25,
    }
    return PairRow(**{**values, **changes})


@pytest.fixture
def pair() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (32, 48, 3), dtype=np.uint8)
    mask = rng.integers(0, 4, (32, 48), dtype=np.uint8)
    return image, mask


def test_a_pair_reads_back_with_its_row(tmp_path: Path, pair: tuple) -> None:
    image, mask = pair
    path = export_pair(tmp_path / "new" / "pairs", image, mask, make_row())
    (row,) = read_manifest(path.parent)
    np.testing.assert_array_equal(np.asarray(Image.open(path.parent / row["image"])), image)
    np.testing.assert_array_equal(np.asarray(Image.open(path.parent / row["mask"])), mask)
    assert path.name == row["image"]
    assert (row["y"], row["x"], row["height"], row["width"]) == ("10", "20", "32", "48")
    assert (float(row["mpp_y"]), float(row["mpp_x"])) == (0.499, 0.498)
    assert row["class"] == "blood_vessel"
    assert (row["seed"], row["evaluations"], row["synthetic_fraction"]) == ("7", "20", "0.25")
    assert row["slide_sha256"] == "ed" * 32
    assert row["created"].endswith("+00:00")


def test_a_true_false_mask_becomes_one_and_zero(tmp_path: Path, pair: tuple) -> None:
    path = export_pair(tmp_path, pair[0], pair[1] > 1, make_row())
    saved = np.asarray(Image.open(path.with_name(path.stem + "_mask.png")))
    assert saved.dtype == np.uint8
    np.testing.assert_array_equal(saved, pair[1] > 1)


def test_rows_add_up_under_one_header_and_names_never_collide(tmp_path: Path, pair: tuple) -> None:
    names = {export_pair(tmp_path, *pair, make_row(seed=seed)).name for seed in range(3)}
    assert len(names) == 3
    assert all(name.startswith("0123456789abcdef_y10_x20_h32_w48_") for name in names)
    text = (tmp_path / "manifest.csv").read_text()
    assert text.count("slide_sha256") == 1
    assert [row["seed"] for row in read_manifest(tmp_path)] == ["0", "1", "2"]


def test_an_unknown_pixel_size_is_empty(tmp_path: Path, pair: tuple) -> None:
    export_pair(tmp_path, *pair, make_row(mpp=None, seed=None))
    (row,) = read_manifest(tmp_path)
    assert row["mpp_y"] == row["mpp_x"] == row["seed"] == ""


def test_columns_added_by_hand_survive(tmp_path: Path, pair: tuple) -> None:
    export_pair(tmp_path, *pair, make_row())
    rows = read_manifest(tmp_path)
    with (tmp_path / "manifest.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, [*rows[0], "verdict"])
        writer.writeheader()
        writer.writerow({**rows[0], "verdict": "good, really"})
    export_pair(tmp_path, *pair, make_row())
    assert [row["verdict"] for row in read_manifest(tmp_path)] == ["good, really", ""]


def test_a_failure_on_the_manifest_leaves_the_old_one_and_no_files(
    tmp_path: Path, pair: tuple, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_pair(tmp_path, *pair, make_row())
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    replace = pairs._replace

    def fail(path: Path, write: object) -> None:
        if path.name == "manifest.csv":
            raise OSError(28, "No space left on device")
        replace(path, write)

    monkeypatch.setattr(pairs, "_replace", fail)
    with pytest.raises(PairError, match="No space left on device"):
        export_pair(tmp_path, *pair, make_row())
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_kill_while_writing_leaves_no_half_file(
    tmp_path: Path, pair: tuple, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(self: Image.Image, stream: object, **_: object) -> None:
        stream.write(b"\x89PNG half")
        raise KeyboardInterrupt

    monkeypatch.setattr(Image.Image, "save", killed)
    with pytest.raises(KeyboardInterrupt):
        export_pair(tmp_path, *pair, make_row())
    assert list(tmp_path.iterdir()) == []


def test_a_file_where_the_folder_should_be_is_one_sentence(tmp_path: Path, pair: tuple) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(PairError, match=r"taken.*choose a folder") as caught:
        export_pair(tmp_path / "taken", *pair, make_row())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        (np.zeros((8, 8), np.uint8), np.zeros((8, 8), np.uint8)),
        (np.zeros((8, 8, 3), np.float32), np.zeros((8, 8), np.uint8)),
        (np.zeros((8, 8, 3), np.uint8), np.zeros((8, 9), np.uint8)),
        (np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), np.int64)),
    ],
)
def test_arrays_that_are_no_pair_are_refused(
    tmp_path: Path, image: np.ndarray, mask: np.ndarray
) -> None:
    with pytest.raises(PairError):
        export_pair(tmp_path, image, mask, make_row())
    assert list(tmp_path.iterdir()) == []


def test_an_unreadable_manifest_is_not_overwritten(tmp_path: Path, pair: tuple) -> None:
    (tmp_path / "manifest.csv").write_bytes(b"\xff\xfe\x00broken")
    with pytest.raises(PairError, match=r"manifest\.csv"):
        export_pair(tmp_path, *pair, make_row())
    assert (tmp_path / "manifest.csv").read_bytes() == b"\xff\xfe\x00broken"


def test_a_slide_id_that_could_be_a_path_is_refused() -> None:
    with pytest.raises(ValidationError):
        make_row(slide_id="../patient 7.svs")


def test_the_class_may_be_given_by_the_column_name() -> None:
    row = PairRow.model_validate({**make_row().model_dump(by_alias=True)})
    assert row.label == "blood_vessel"
