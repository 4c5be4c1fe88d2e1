"""What *Find and compare* can do by key and by command: one table for both, and for the help."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from napari.utils.notifications import show_warning

if TYPE_CHECKING:
    from napari_histoaug.gui.compare_desk import CompareDesk


class CompareAction(NamedTuple):
    """A key, what it does in words, why it cannot be done now, and doing it."""

    key: str
    title: str
    why_not: Callable[[CompareDesk], str | None]
    do: Callable[[CompareDesk], Any]


def _find_or_cancel(desk: CompareDesk) -> None:
    if desk.finding.running:
        desk.cancel()
    else:
        desk.finding.run()


ACTIONS = {
    "find_vessels": CompareAction(
        "Shift-F",
        "Find vessels, or cancel",
        lambda d: None if d.finding.running else d.finding.why_not(),
        _find_or_cancel,
    ),
    "compare": CompareAction(
        "Shift-D",
        "Compare truth and prediction",
        lambda d: d.comparing.why_not(),
        lambda d: d.comparing.compare(),
    ),
    "next_error": CompareAction(
        "Shift-J",
        "Fly to the next error",
        lambda d: d.comparing.why_not_errors(),
        lambda d: d.comparing.step(1),
    ),
    "previous_error": CompareAction(
        "Shift-H",
        "Fly to the error before",
        lambda d: d.comparing.why_not_errors(),
        lambda d: d.comparing.step(-1),
    ),
    "settle_error": CompareAction(
        "Shift-T",
        "Correct the truth: the prediction is right",
        lambda d: d.correcting.why_not(),
        lambda d: d.correcting.settle(),
    ),
}


def do(desk: CompareDesk, name: str) -> None:
    """Do an action, or say why it cannot be done."""
    action = ACTIONS[name]
    reason = action.why_not(desk)
    if reason is None:
        action.do(desk)
    else:
        show_warning(reason)


def keys() -> dict[str, str]:
    """Every key and what it does, such as ``{"Shift+F": "Find vessels, or cancel"}``."""
    return {action.key.replace("-", "+"): action.title for action in ACTIONS.values()}


class Keys:
    """Binds the keys of the table to a viewer."""

    def __init__(self, desk: CompareDesk) -> None:
        self._viewer = desk.viewer
        for name, action in ACTIONS.items():
            self._viewer.bind_key(action.key, _pressed(desk, name), overwrite=True)

    def close(self) -> None:
        """Give the keys back."""
        for action in ACTIONS.values():
            self._viewer.bind_key(action.key, None, overwrite=True)


def _pressed(desk: CompareDesk, name: str) -> Callable[[Any], None]:
    return lambda viewer: do(desk, name)
