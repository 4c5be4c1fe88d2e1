"""The links between the pages lead somewhere."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

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
    (tmp_path / "CONTRIBUTING.md").write_text("[gone](docs/gone.md#part)\n")
    done = _check(tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines() == ["CONTRIBUTING.md: there is no docs/gone.md#part"]
