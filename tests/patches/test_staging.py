"""What a run changes comes to its place whole, or not at all when another has taken over."""

from __future__ import annotations

import pytest

from napari_histoaug.patches import PatchError
from napari_histoaug.patches.staging import (
    begin_staging,
    end_staging,
    staging_folder,
    take_away,
    whole,
    write_text,
)


@pytest.fixture
def staging(tmp_path):
    begin_staging(tmp_path / "work", "one")
    return staging_folder(tmp_path / "work", "one")


def write_while(path, staging, something):
    """Write a file, and let something happen before it is done."""
    with whole(path, staging) as part:
        part.write_text("half")
        something(part)


def test_files_come_whole_and_are_replaced_and_go(tmp_path, staging):
    path = tmp_path / "slides" / "a"
    write_text(path, "first", staging)
    write_text(path, "second", staging)
    assert path.read_text() == "second"
    with pytest.raises(ZeroDivisionError):
        write_while(path, staging, lambda part: 1 // 0)
    assert path.read_text() == "second"
    take_away(path, staging)
    take_away(path, staging)  # nothing to remove is no problem
    assert not path.exists()
    end_staging(tmp_path / "work", "one")
    assert not list((tmp_path / "work").iterdir())


def test_a_folder_that_came_whole_stays(tmp_path, staging):
    path = tmp_path / "png" / "a"
    for text in ("first", "second"):
        with whole(path, staging) as part:
            part.mkdir()
            (part / "x").write_text(text)
    assert (path / "x").read_text() == "first"
    take_away(path, staging)
    assert not path.exists()


@pytest.mark.parametrize(
    ("end", "token", "left"), [(begin_staging, "two", ["run-two"]), (end_staging, "one", [])]
)
def test_who_was_shut_out_changes_nothing(tmp_path, staging, end, token, left):
    kept, new = tmp_path / "kept", tmp_path / "new"
    write_text(kept, "kept", staging)
    with pytest.raises(PatchError, match="another run"):
        write_while(new, staging, lambda part: end(tmp_path / "work", token))
    with pytest.raises(PatchError, match="another run"):
        write_text(kept, "changed", staging)
    with pytest.raises(PatchError, match="another run"):
        take_away(kept, staging)
    assert kept.read_text() == "kept"
    assert not new.exists()
    assert [path.name for path in (tmp_path / "work").iterdir()] == left


def test_a_writer_that_makes_its_own_folders_stays_outside(tmp_path, staging):
    def taken_over(part):
        begin_staging(tmp_path / "work", "two")
        part.mkdir(parents=True)  # as zarr does
        (part / "chunk").touch()

    new = tmp_path / "new"
    with pytest.raises(PatchError, match="another run"):
        write_while(new, staging, taken_over)
    assert not new.exists()
    begin_staging(tmp_path / "work", "three")
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["run-three"]


def test_what_cannot_be_written_is_a_sentence(tmp_path, staging):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(PatchError, match="cannot be written"):
        write_text(tmp_path / "file" / "x", "", staging)
    assert not list(staging.glob(".*"))
