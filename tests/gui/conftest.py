"""A slide with known pixels and a quick stand-in for the network."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from napari_histoaug.errors import Cancelled


@dataclass
class FakeNetwork:
    """Stands in for ``generation``: paints the hole in one colour, step by step.

    ``gate`` makes every step after ``wait_after`` wait until the test lets it go on.
    """

    steps: int = 4
    color: tuple[int, int, int] = (200, 30, 60)
    wait_after: int | None = None
    gate: threading.Event = field(default_factory=threading.Event)
    threads: list[threading.Thread] = field(default_factory=list)
    calls: list[dict[str, Any]] = field(default_factory=list)
    loads: list[tuple[str | None, str]] = field(default_factory=list)
    evaluations: int = 0

    def load_generator(self, source: str | None, device: str) -> SimpleNamespace:
        self.loads.append((source, device))
        return SimpleNamespace(
            name="fake", sha256="f" * 64, mpp=(0.5, 0.5), classes=("blood_vessel",)
        )

    def inpaint(
        self,
        generator: Any,
        image: np.ndarray,
        hole: np.ndarray,
        label: str = "blood_vessel",
        mpp: tuple[float, float] | None = None,
        method: str = "pixel-time",
        steps: int | None = None,
        seed: int = 0,
        *,
        progress: Callable[[int, int], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
        preview: Callable[[np.ndarray], None] | None = None,
    ) -> SimpleNamespace:
        self.threads.append(threading.current_thread())
        self.calls.append({"image": image.copy(), "hole": hole.copy(), "seed": seed, "mpp": mpp})
        total = steps or self.steps
        out = image.copy()
        out[hole] = (np.array(self.color) + seed) % 256
        for done in range(total):
            if self.wait_after is not None and done >= self.wait_after:
                # long enough never to be reached by a test that works
                self.gate.wait(20)
            if cancelled is not None and cancelled():
                raise Cancelled("Cancelled.")
            self.evaluations += 1
            if progress is not None:
                progress(done + 1, total)
            if preview is not None:
                preview(out // 2 + image // 2)
        return SimpleNamespace(
            image=out,
            changed=hole.copy(),
            evaluations=total,
            method=method,
            steps=total,
            seed=seed,
            label=label,
            seconds=0.0,
        )


@pytest.fixture
def network() -> FakeNetwork:
    return FakeNetwork()
