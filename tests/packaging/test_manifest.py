"""The napari manifest: one content in two places, valid, and every command it names exists."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from npe2 import PluginManifest

from napari_histoaug.slides.opening import ENDINGS

ROOT = Path(__file__).resolve().parents[2]
MANIFEST = ROOT / "napari_histoaug" / "napari.yaml"


def test_both_manifests_hold_the_same_bytes():
    assert (ROOT / "napari.yaml").read_bytes() == MANIFEST.read_bytes()


def test_npe2_accepts_the_manifest():
    command = [sys.executable, "-m", "npe2", "validate", str(MANIFEST)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_npe2_refuses_a_broken_manifest(tmp_path):
    """The check above can fail: the same manifest without its name does not pass."""
    broken = tmp_path / "napari.yaml"
    broken.write_text(MANIFEST.read_text().replace("name: napari-histoaug", "nom: x", 1))
    command = [sys.executable, "-m", "npe2", "validate", str(broken)]
    assert subprocess.run(command, capture_output=True, check=False).returncode != 0


def _commands() -> list[tuple[str, str]]:
    manifest = PluginManifest.from_file(MANIFEST)
    return [(c.id, str(c.python_name)) for c in manifest.contributions.commands or []]


@pytest.mark.parametrize(("command", "python_name"), _commands())
def test_every_command_names_something_callable(command, python_name):
    module, _, name = python_name.partition(":")
    assert callable(getattr(import_module(module), name)), command


def test_the_manifest_offers_a_reader_and_a_widget():
    contributions = PluginManifest.from_file(MANIFEST).contributions
    assert contributions.readers
    assert contributions.widgets


def test_every_vendor_s_ending_that_can_be_opened_is_offered():
    readers = PluginManifest.from_file(MANIFEST).contributions.readers or []
    (vendors,) = (r for r in readers if r.command == "napari-histoaug.read_slide")
    assert {pattern.removeprefix("*") for pattern in vendors.filename_patterns} == set(ENDINGS)
