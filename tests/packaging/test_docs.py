"""The links between the pages lead somewhere."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def _check(root: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(root / "docs" / "build.py"), "--check"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_every_relative_link_leads_to_a_file():
    done = _check(ROOT)
    assert done.returncode == 0, done.stderr


def test_a_broken_link_is_found(tmp_path):
    (tmp_path / "docs").mkdir()
    shutil.copy2(ROOT / "docs" / "build.py", tmp_path / "docs")
    for name in ("README.md", "CHANGELOG.md"):
        (tmp_path / name).write_text("[a link](CONTRIBUTING.md) [out](https://example.org/x.md)\n")
    (tmp_path / "CONTRIBUTING.md").write_text("[gone](docs/gone.md#part) [x](docs/there.md#Part)\n")
    (tmp_path / "docs" / "there.md").write_text("# There\n\n## The part\n")
    (tmp_path / "mkdocs.yml").write_text("nav: [{Start: [lost.md]}]\n")
    done = _check(tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "CONTRIBUTING.md: there is no docs/gone.md#part",
        "CONTRIBUTING.md: there is no heading docs/there.md#Part",
        "mkdocs.yml: there.md is not in nav",
        "mkdocs.yml: there is no docs/lost.md",
    ]


def test_the_site_is_built_and_its_links_lead_somewhere():
    pytest.importorskip("zensical", reason="make docs needs the extra docs")
    command = [sys.executable, str(ROOT / "docs" / "build.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (ROOT / "docs" / "_build" / "site" / "tutorial.html").is_file()


def test_every_key_is_in_the_docs():
    from napari_histoaug.gui import compare_actions
    from napari_histoaug.gui.actions import NAPARI_KEYS, keys

    page = (ROOT / "docs" / "keys.md").read_text(encoding="utf-8")
    for key, does in (keys() | compare_actions.keys()).items():
        assert f"| `{key}` | {does} |" in page
    for does in NAPARI_KEYS.values():
        assert f"| {does} |" in page


def test_every_export_and_example_is_in_the_docs():
    from napari_histoaug.gui.exporting import WAYS

    page = (ROOT / "docs" / "export.md").read_text(encoding="utf-8")
    titles = [title for title, _ in WAYS.values() if not title.startswith("Journal")]
    assert [title for title in titles if f"| {title} |" not in page] == []
    page = (ROOT / "docs" / "examples.md").read_text(encoding="utf-8")
    files = [p.name for p in (ROOT / "examples").iterdir() if p.suffix in (".py", ".ipynb")]
    assert [name for name in files if f"[{name}](../examples/{name})" not in page] == []
