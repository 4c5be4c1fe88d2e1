"""The page about a run: everything in it, nothing outside it, nothing about patients."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_histoaug.learning.config import AutoencoderTraining
from napari_histoaug.learning.report import RunFacts, plot, write_report

FACTS = RunFacts(2000, 7200.0, 2, "cpu", "a" * 64, "b" * 64)


@pytest.fixture
def page(tmp_path: Path) -> str:
    config = AutoencoderTraining.model_validate(
        {
            "data": {
                "tiles": "/clinic/Jane Doe",
                "train_cases": ["jane-doe-1950"],
                "validation_cases": ["other"],
            },
            "loop": {"out": tmp_path, "steps": 2000},
            "tiny": {},
            "start": "/clinic/start",
        }
    )
    rows = [
        {"step": s, "seconds": s, "loss": 1 / s, "l1": 0.5 / s, "data_wait": 0.01}
        for s in range(10, 2000, 10)
    ]
    rows.append({"step": 2000, "seconds": 2000, "held_out_psnr": 23.456})
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "samples").mkdir()
    for step in range(100, 2001, 100):
        picture = Image.fromarray(np.full((8, 8, 3), step % 256, np.uint8))
        picture.save(tmp_path / "samples" / f"step-{step:08d}.png")
    return write_report(tmp_path, config, FACTS).read_text(encoding="utf-8")


class Reader(HTMLParser):
    """Notes what a page opens, closes and points at."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.targets: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in {"meta", "img"}:
            self.open.append(tag)
        self.targets += [value or "" for name, value in attrs if name in {"src", "href"}]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An element that closes itself."""

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_needs_nothing_else(page: str) -> None:
    reader = Reader()
    reader.feed(page)
    assert reader.open == []
    assert reader.targets
    assert all(target.startswith("data:image/png;base64,") for target in reader.targets)


def test_it_says_time_cost_data_figures_settings_and_shows_first_to_last_sample(page: str) -> None:
    for fact in ("2.00 h", "4.00 device hours", "a" * 64, "b" * 64, "23.4560", "1.0%", "batch: 16"):
        assert fact in page
    assert page.count("<figure>") == 4
    assert "samples at step 100" in page
    assert "samples at step 2000" in page


def test_it_names_no_case_and_no_folder_above_the_last(page: str) -> None:
    assert "jane-doe" not in page
    assert "/clinic" not in page
    assert "1 cases" in page


def test_a_curve_ends_where_its_values_say() -> None:
    drawn = plot("x", {"one": [(0, 1.0), (10, 3.0), (20, float("nan"))]})
    assert "nan" not in drawn
    assert 'points="56.0,230.0 630.0,30.0"' in drawn
