"""What is wrong with single features: listed, so that the others can be kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Problem(NamedTuple):
    """A feature that cannot be used as it is.

    Attributes
    ----------
    place : str
        ``Feature 7``, or ``Feature 7, child 2``; counted from 0.
    id : str or None
        Its ``id`` in the file.
    reason : str
        Half a sentence: what is wrong.
    kept : bool
        True for an outline that only has to be repaired (a bow-tie); False for a feature that is
        left out.
    """

    place: str
    id: str | None
    reason: str
    kept: bool

    @property
    def sentence(self) -> str:
        """Place, id and reason."""
        own = "" if self.id is None else f" ({self.id})"
        return f"{self.place}{own} {self.reason}"


def listed(problems: Sequence[Problem], most: int = 3) -> str:
    """Return the sentences of the first few problems, and how many more there are."""
    more = f"; and {len(problems) - most} more" if len(problems) > most else ""
    return "; ".join(problem.sentence for problem in problems[:most]) + more


def identity(value: object) -> str | None:
    """Return the ``id`` of a feature, however broken the feature is."""
    own = value.get("id") if isinstance(value, dict) else None
    return None if own is None else str(own)[:64]
