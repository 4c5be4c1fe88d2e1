"""A line of progress on stderr."""

from __future__ import annotations

import sys
import time

import typer


class StepLine:
    """Writes ``step 12/50, 0.3 s a step, 3 s left`` to stderr."""

    def __init__(self, index: int, count: int) -> None:
        self.prefix = f"hole {index + 1} of {count}, " if count > 1 else ""
        self.start = time.monotonic()
        self.live = sys.stderr.isatty()

    def __call__(self, done: int, total: int) -> None:
        pace = (time.monotonic() - self.start) / max(done, 1)
        line = f"{self.prefix}step {done}/{total}, {pace:.2g} s a step"
        line += f", {pace * (total - done):.0f} s left"
        # A log file gets a line now and then, a terminal the same line again.
        if self.live:
            typer.echo(f"\r{line:<70}", nl=False, err=True)
        elif done == total or done % max(total // 10, 1) == 0:
            typer.echo(line, err=True)

    def end(self) -> None:
        """Leave the line."""
        if self.live:
            typer.echo(err=True)
