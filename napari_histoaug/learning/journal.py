"""What a run writes down on the way: log.jsonl, TensorBoard, sample pictures, a line to read."""

from __future__ import annotations

import json
import os
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

LOG, SAMPLES = "log.jsonl", "samples"
RECENT = 50  # steps that the pace is told of


class Pace:
    """How fast the last steps were, and how much of them was waiting for data."""

    def __init__(self) -> None:
        self._steps: deque[tuple[float, float]] = deque(maxlen=RECENT)

    def add(self, seconds: float, waited: float) -> None:
        """Note one step."""
        self._steps.append((seconds, waited))

    @property
    def seconds(self) -> float:
        """Mean seconds of a step."""
        return sum(s for s, _ in self._steps) / len(self._steps)

    @property
    def waiting(self) -> float:
        """Share of the time spent waiting for data, 0 to 1."""
        return sum(w for _, w in self._steps) / max(sum(s for s, _ in self._steps), 1e-9)


class Journal:
    """Rows of figures and sample pictures of a run.

    Parameters
    ----------
    out : Path
        The run's folder.
    step : int
        Where the run goes on; later rows, of a run that was killed, are dropped.
    """

    def __init__(self, out: Path, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.out = out
        self._forget_after(step)
        self._board = SummaryWriter(str(out / "tensorboard"), purge_step=step + 1)

    def _forget_after(self, step: int) -> None:
        path = self.out / LOG
        if not path.exists():
            return
        kept = [row for row in read_log(self.out) if row["step"] <= step]
        temporary = path.with_name(path.name + ".part")
        temporary.write_text("".join(json.dumps(row) + "\n" for row in kept), encoding="utf-8")
        os.replace(temporary, path)

    def write(self, step: int, seconds: float, values: dict[str, float]) -> None:
        """Add a row."""
        row = {"step": step, "seconds": round(seconds, 1), **values}
        with (self.out / LOG).open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        for name, value in values.items():
            self._board.add_scalar(name, value, step)

    def picture(self, step: int, grid: npt.NDArray[np.uint8]) -> None:
        """Keep a grid of samples, uint8 (H, W, 3)."""
        folder = self.out / SAMPLES
        folder.mkdir(exist_ok=True)
        path = folder / f"step-{step:08d}.png"
        temporary = path.with_name(path.name + ".part")
        Image.fromarray(grid).save(temporary, format="PNG")
        os.replace(temporary, path)
        self._board.add_image("samples", grid, step, dataformats="HWC")

    def close(self) -> None:
        """Write what is still in memory."""
        self._board.close()


def read_log(out: Path) -> list[dict[str, Any]]:
    """Read the rows of a run; a last one that was torn by a kill is left out."""
    rows = []
    for line in (out / LOG).read_text(encoding="utf-8").splitlines():
        try:
            rows.append(json.loads(line))
        except ValueError:
            continue
    return rows
