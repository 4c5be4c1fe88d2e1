"""Hashes and salted ids."""

from __future__ import annotations

import hashlib
import os
import sys

import platformdirs
import pytest

from napari_histoaug.errors import Cancelled
from napari_histoaug.slides import identity, open_slide
from napari_histoaug.slides.identity import content_sha256


def test_the_hash_is_that_of_the_bytes(make_pyramid_tiff):
    path = make_pyramid_tiff().path
    with open_slide(path) as slide:
        assert slide.sha256() == hashlib.sha256(path.read_bytes()).hexdigest()


def test_several_files_of_one_slide_are_hashed_together(tmp_path):
    index, folder = tmp_path / "a.mrxs", tmp_path / "a"
    index.write_bytes(b"index")
    folder.mkdir()
    (folder / "Data0001.dat").write_bytes(b"two")
    (folder / "Data0000.dat").write_bytes(b"one")
    assert content_sha256(index) == hashlib.sha256(b"indexonetwo").hexdigest()


def test_the_id_is_salted_short_and_stable(make_pyramid_tiff, monkeypatch, tmp_path):
    path = make_pyramid_tiff().path
    with open_slide(path) as slide, open_slide(path) as again:
        first = slide.slide_id()
        assert len(first) == 16
        assert int(first, 16) >= 0
        assert again.slide_id() == first
        assert not slide.sha256().startswith(first)
        monkeypatch.setattr(platformdirs, "user_config_dir", lambda name: str(tmp_path / "other"))
        assert slide.slide_id() != first
        if sys.platform != "win32":
            assert (tmp_path / "other" / "salt").stat().st_mode & 0o077 == 0
        assert [p.name for p in (tmp_path / "other").iterdir()] == ["salt"]


def test_a_salt_that_cannot_be_kept_is_a_sentence(make_pyramid_tiff, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setattr(platformdirs, "user_config_dir", lambda name: str(tmp_path / "file" / "x"))
    from napari_histoaug.slides import SlideError

    with (
        open_slide(make_pyramid_tiff().path) as slide,
        pytest.raises(SlideError, match="private key"),
    ):
        slide.slide_id()


def test_a_large_file_is_hashed_once_until_it_changes(make_pyramid_tiff, monkeypatch, tmp_path):
    monkeypatch.setattr(identity, "_LARGE", 1)
    monkeypatch.setattr(platformdirs, "user_data_dir", lambda name: str(tmp_path / "data"))
    path = make_pyramid_tiff(name="a-name.tif").path
    expected = hashlib.sha256(path.read_bytes()).hexdigest()
    assert content_sha256(path) == expected
    assert not (tmp_path / "data").exists()  # too fresh to be sure of
    os.utime(path, (0, 0))
    assert content_sha256(path) == expected
    (note,) = (tmp_path / "data" / "hashes").iterdir()
    assert "a-name" not in note.name
    assert note.read_text() == expected
    note.write_text("f" * 64)
    assert content_sha256(path) == "f" * 64  # it was the note that answered
    note.write_text("nonsense")
    assert content_sha256(path) == expected
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    os.utime(path, (0, 0))
    assert content_sha256(path) == hashlib.sha256(path.read_bytes()).hexdigest()


def test_an_index_cannot_point_out_of_its_folder(tmp_path):
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    folder = tmp_path / "slide"
    folder.mkdir()
    index = folder / "a.vms"
    index.write_bytes(b"ImageFile=../secret.jpg\n")
    assert content_sha256(index) == hashlib.sha256(index.read_bytes()).hexdigest()


def test_hashing_can_be_stopped(tmp_path):
    path = tmp_path / "large.bin"
    path.write_bytes(bytes(5 * 2**20))
    asked = []
    with pytest.raises(Cancelled):
        content_sha256(path, lambda: asked.append(1) or len(asked) == 3)
    assert len(asked) == 3
