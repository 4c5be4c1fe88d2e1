"""Configuration files: YAML in, a checked model out. Loads no torch, unlike most models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from napari_histoaug.errors import HistoaugError


class ConfigError(HistoaugError):
    """A training configuration with a value that cannot be used."""


Config = TypeVar("Config", bound=BaseModel)


def load_config(kind: type[Config], path: Path, overrides: Sequence[str] = ()) -> Config:
    """Read a YAML configuration and apply dotted overrides such as ``loop.batch=8``.

    Raises
    ------
    ConfigError
        When the file cannot be read, an override is malformed, or a value is not allowed.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f"The configuration {path} cannot be read: {error}.") from None
    if not isinstance(content, dict):
        raise ConfigError(f"The configuration {path} does not hold a table of settings.")
    for override in overrides:
        _apply(content, override)
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        wrong = [f"{_place(each['loc'])} ({_reason(each['msg'])})" for each in error.errors()]
        what, verb = ("The setting", "is") if len(wrong) == 1 else ("The settings", "are")
        raise ConfigError(f"{what} {', '.join(wrong)} in {path} {verb} wrong.") from None


def _place(parts: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in parts) or "as a whole"


def _reason(message: str) -> str:
    plain = message.removeprefix("Value error, ")
    plain = plain.replace("Extra inputs are not permitted", "there is no such setting")
    plain = plain.replace("Field required", "it is missing")
    return plain[0].lower() + plain[1:]


def _apply(content: dict[str, Any], override: str) -> None:
    name, equals, value = override.partition("=")
    if not equals:
        raise ConfigError(f"The override {override!r} has no '='; write it as loop.batch=8.")
    *sections, last = name.split(".")
    for section in sections:
        content = content.setdefault(section, {})
        if not isinstance(content, dict):
            raise ConfigError(f"The override {override!r} goes into {section}, which is a value.")
    try:
        content[last] = yaml.safe_load(value)
    except yaml.YAMLError:
        raise ConfigError(
            f"The override {override!r} is not YAML; mind its brackets and quotes."
        ) from None
