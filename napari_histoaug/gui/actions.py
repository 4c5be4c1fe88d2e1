"""What can be done by key and by command: one table for keys, menus, palette and the help."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from napari.utils.notifications import show_warning

from napari_histoaug.gui.painting import TOOL_KEYS
from napari_histoaug.gui.reviewing import KEYS as REVIEW_KEYS

if TYPE_CHECKING:
    from napari_histoaug.gui.controller import Controller


class Action(NamedTuple):
    """A key or None, what it does in words, why it cannot be done now, and doing it."""

    key: str | None
    title: str
    why_not: Callable[[Controller], str | None]
    do: Callable[[Controller], Any]


def _run_or_cancel(controller: Controller) -> None:
    if controller.generating:
        controller.cancel()
    else:
        controller.making.run()


def _why_not_run(controller: Controller) -> str | None:
    return None if controller.generating else controller.why_not.run()


ACTIONS = {
    "paint_here": Action(
        "Shift-C", "Paint here", lambda c: c.why_not.paint(), lambda c: c.paint_here()
    ),
    "run": Action("Shift-G", "Generate what is painted, or cancel", _why_not_run, _run_or_cancel),
    "accept": Action(
        None, "Accept the proposal", lambda c: c.why_not.review(), lambda c: c.reviewing.accept()
    ),
    "reject": Action(
        None, "Reject the proposal", lambda c: c.why_not.review(), lambda c: c.reviewing.reject()
    ),
    "another": Action(
        None, "Another proposal", lambda c: c.why_not.review(), lambda c: c.making.another()
    ),
    "toggle": Action(
        None,
        "Show the slide as it was, or the result",
        lambda c: c.why_not.look(),
        lambda c: c.reviewing.toggle(),
    ),
    "undo": Action(
        "Shift-U",
        "Take the last accepted edit back",
        lambda c: c.why_not.undo(),
        lambda c: c.reviewing.undo(),
    ),
    "redo": Action(
        "Shift-Y",
        "Put the edit in place again",
        lambda c: c.why_not.redo(),
        lambda c: c.reviewing.redo(),
    ),
    "export": Action(
        "Shift-E",
        "Export what the panel says",
        lambda c: c.exporting.why_not(),
        lambda c: c.exporting.run(),
    ),
}

NAPARI_KEYS = {
    "[ and ]": "Smaller and larger brush",
    "P, E, F": "Brush, eraser, fill",
    "Ctrl+Z, Ctrl+Shift+Z": "Take a stroke back, put it in place again",
    "Space": "Move the view while it is held",
    "V": "Show and hide the selected layer",
}
"""Keys of napari itself that this work needs all the time."""


def do(controller: Controller, name: str) -> None:
    """Do an action, or say why it cannot be done."""
    action = ACTIONS[name]
    reason = action.why_not(controller)
    if reason is None:
        action.do(controller)
    else:
        show_warning(reason)


def keys() -> dict[str, str]:
    """Every key of ours and what it does, such as ``{"Shift+C": "Paint here"}``."""
    own = {action.key: action.title for action in ACTIONS.values() if action.key}
    review = {key: ACTIONS[name].title for key, name in REVIEW_KEYS.items()}
    tools = {key: f"Take the {tool}, on the canvas" for tool, key in TOOL_KEYS.items()}
    return {key.replace("-", "+"): title for key, title in (own | tools | review).items()}


class Keys:
    """Binds the keys of the table to a viewer; those of reviewing are bound there."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        for name, action in ACTIONS.items():
            if action.key:
                controller.viewer.bind_key(action.key, self._pressed(name), overwrite=True)

    def close(self) -> None:
        """Give the keys back."""
        for action in ACTIONS.values():
            if action.key:
                self._controller.viewer.bind_key(action.key, None, overwrite=True)

    def _pressed(self, name: str) -> Callable[[Any], None]:
        return lambda viewer: do(self._controller, name)
