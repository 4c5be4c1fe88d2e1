"""The many ways in which QuPath has written a classification and a colour."""

from __future__ import annotations

from typing import Any, NamedTuple

Color = tuple[int, int, int]
# What QuPath gives to a class that nobody coloured.
DEFAULT_COLOR: Color = (64, 64, 64)


class Classification(NamedTuple):
    """A class name (derived classes joined by ``": "``) and its (red, green, blue), if given."""

    name: str
    color: Color | None


def class_name(value: object) -> str | None:
    """Read the name of a classification; see :func:`parse_classification`."""
    if type(value) is dict and "names" not in value:
        name = value.get("name")
        # the usual form, for files with a million of them
        if type(name) is str and name:
            return name.strip() or None
    found = parse_classification(value)
    return found.name if found else None


def parse_classification(value: object) -> Classification | None:
    """Read a classification: text, {name, color}, {names, color}, {name, colorRGB}, {} or null.

    Returns
    -------
    Classification or None
        None when the object is not classified.

    Raises
    ------
    ValueError
        When ``value`` is none of these forms.
    """
    if value is None or value == {}:
        return None
    if isinstance(value, str):
        return Classification(value.strip(), None) if value.strip() else None
    if not isinstance(value, dict):
        raise ValueError(f"a classification cannot be {type(value).__name__}")
    names = value["names"] if "names" in value else value.get("name")
    if names is None:
        return None
    parts = names if isinstance(names, list) else [names]
    if not all(isinstance(part, str) for part in parts):
        raise ValueError("the name of a classification must be text")
    name = ": ".join(part.strip() for part in parts)
    color = value["color"] if "color" in value else value.get("colorRGB")
    return Classification(name, parse_color(color)) if name else None


def parse_color(value: Any) -> Color | None:
    """Read [r, g, b], [r, g, b, a] or a packed ARGB integer; anything else is no colour."""
    if isinstance(value, int) and not isinstance(value, bool):
        return (value >> 16) & 255, (value >> 8) & 255, value & 255
    if not isinstance(value, list) or len(value) not in (3, 4):
        return None
    in_range = all(type(part) is int and 0 <= part <= 255 for part in value)
    return (value[0], value[1], value[2]) if in_range else None
