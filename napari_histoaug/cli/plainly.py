"""What a user can act on becomes a sentence and an exit code."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec

import typer

from napari_histoaug.errors import Cancelled, HistoaugError

BAD_INPUT, INTERRUPTED = 2, 130

P = ParamSpec("P")


def plainly(command: Callable[P, None]) -> Callable[P, None]:
    """Turn what a user can act on into a sentence and an exit code."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except (KeyboardInterrupt, Cancelled):
            typer.echo("\nStopped; no half results were left.", err=True)
            raise typer.Exit(INTERRUPTED) from None
        except HistoaugError as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(BAD_INPUT) from None

    return run
