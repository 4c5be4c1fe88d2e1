"""What all scripts have in common: words on standard error, sentences, exit codes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from napari_histoaug.errors import HistoaugError
from napari_histoaug.learning.config_files import load_config

SOME_FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130


def say(line: str) -> None:
    """Print one line to standard error at once."""
    print(line, file=sys.stderr, flush=True)  # noqa: T201


def new_parser(
    description: str, example: str, kinds: Iterable[str] = ()
) -> argparse.ArgumentParser:
    """Parser of ``--config FILE`` and dotted overrides such as `example`.

    With `kinds` the first word is one of them, ``kind``.
    """
    parser = argparse.ArgumentParser(description=description)
    if kinds:
        # Before the overrides, which would take the word for one of theirs.
        parser.add_argument("kind", choices=list(kinds))
    parser.add_argument("--config", type=Path, required=True, help="YAML configuration")
    parser.add_argument("overrides", nargs="*", help=f"dotted overrides, e.g. {example}")
    return parser


def exit_code(run: Callable[[], int], stopped: str) -> int:
    """Run, and turn what a user can act on into a sentence and an exit code.

    Parameters
    ----------
    run : callable
        Returns the exit code of a run that came to its end.
    stopped : str
        Said on Ctrl-C.
    """
    try:
        return run()
    except HistoaugError as error:
        say(str(error))
        return BAD_INPUT
    except KeyboardInterrupt:
        say(stopped)
        return INTERRUPTED


def on_many_slides(
    description: str,
    example: str,
    kind: type[Any],
    run: Callable[[Any], bool],
    arguments: Sequence[str] | None = None,
) -> int:
    """Run a script that shares slides among workers; returns the exit code.

    0 when every slide was used, 1 when some failed, 2 for bad input, 130 when interrupted.

    Parameters
    ----------
    description, example : str
        For ``--help``.
    kind : type
        The configuration, with ``scheduler`` and ``workers``.
    run : callable
        Takes the configuration; whether a slide failed.
    arguments : sequence of str, optional
        The command line; the process's own if omitted.
    """
    parser = new_parser(description, example)
    parser.add_argument("--scheduler", help="address of a dask scheduler, tcp://...")
    parser.add_argument("--workers", type=int, help="processes on this machine; 0: in this one")
    given = parser.parse_args(arguments)
    overrides = list(given.overrides)
    for name in ("scheduler", "workers"):
        if getattr(given, name) is not None:
            overrides.append(f"{name}={getattr(given, name)}")

    def all_slides() -> int:
        return SOME_FAILED if run(load_config(kind, given.config, overrides)) else 0

    return exit_code(all_slides, "Stopped; the same command goes on where this one was.")
