"""The class table: names, colours and priority of the tissue classes, read from a config."""

from __future__ import annotations

import difflib
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, NamedTuple

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from napari_histoaug.annotations.errors import AnnotationError

_PRESETS = Path(__file__).parent / "presets"
# Okabe and Ito's colours: told apart by colour-blind eyes, and on pink tissue.
_PALETTE = (
    (213, 94, 0),
    (0, 114, 178),
    (0, 158, 115),
    (240, 228, 66),
    (86, 180, 233),
    (230, 159, 0),
    (204, 121, 167),
)

Byte = Annotated[int, Field(ge=0, le=255)]


class TissueClass(BaseModel):
    """One class.

    Attributes
    ----------
    name : str
        The name as QuPath writes it (case counts).
    color : tuple of int
        (red, green, blue), 0-255.
    priority : int
        Where annotations overlap the class with the higher priority is painted; between equal
        ones the class that stands earlier in the table.
    aliases : tuple of str
        Other spellings that mean this class.
    ignore : bool
        Known, but never painted or counted (an artefact, for instance). QuPath's own mark for
        that, a trailing ``*``, is understood without an entry.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    color: tuple[Byte, Byte, Byte]
    priority: int = 0
    aliases: tuple[str, ...] = ()
    ignore: bool = False


class UnknownClass(NamedTuple):
    """A class that the table does not know: its name, how often it occurs, what it looks like."""

    name: str
    features: int
    nearest: str | None


class UnknownClassError(AnnotationError):
    """Annotations use classes that the table does not know.

    Attributes
    ----------
    unknown : tuple of UnknownClass
    """

    def __init__(self, source: str, unknown: Iterable[UnknownClass], known: Iterable[str]) -> None:
        self.unknown = tuple(unknown)
        each = (
            f"{name!r} ({count}{f', nearest {near!r}' if near else ''})"
            for name, count, near in self.unknown
        )
        super().__init__(
            f"{source} use classes that the class table ({_listed(known)}) does not know: "
            f"{_listed(each)}; rename them, or give them an alias or an ignored entry in the table."
        )


class ClassTable(BaseModel):
    """The classes of a data set, in the order of their mask values.

    The class at index ``i`` has the mask value ``i + 1``; 0 is background.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    classes: tuple[TissueClass, ...] = Field(min_length=1, max_length=255)

    @model_validator(mode="after")
    def _names_are_unique(self) -> ClassTable:
        counts = Counter(name for c in self.classes for name in {c.name, *c.aliases})
        twice = sorted(name for name, count in counts.items() if count > 1)
        if twice:
            raise ValueError(f"the names {', '.join(twice)} occur twice")
        return self

    @classmethod
    def from_names(cls, names: Iterable[str]) -> ClassTable:
        """Make a table with default colours; earlier names win where annotations overlap."""
        entries = [
            {"name": name, "color": _PALETTE[i % len(_PALETTE)]} for i, name in enumerate(names)
        ]
        return cls._checked({"classes": entries}, "the class names")

    @classmethod
    def from_yaml(cls, path: str | Path) -> ClassTable:
        """Read a table from a YAML file with a list ``classes`` of name, color, priority.

        Raises
        ------
        AnnotationError
            When the file cannot be read or does not hold such a table.
        """
        path = Path(path)
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise AnnotationError(
                f"The class table {path} cannot be read ({error.strerror or error})."
            ) from error
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise AnnotationError(
                f"The class table {path} is not valid YAML; correct it or use a packaged preset."
            ) from error
        return cls._checked(content, f"the class table {path.name}")

    @classmethod
    def preset(cls, name: str) -> ClassTable:
        """Return a packaged table, ``"heart"`` or ``"breast"``."""
        path = _PRESETS / f"{name}.yaml"
        if name not in preset_names():
            raise AnnotationError(
                f"There is no class table named {name!r}; choose one of {_listed(preset_names())}."
            )
        return cls.from_yaml(path)

    @classmethod
    def _checked(cls, content: object, where: str) -> ClassTable:
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"]) or "the table"
            message = first["msg"].removeprefix("Value error, ")
            raise AnnotationError(f"In {where}, {place} is wrong: {message}.") from error

    @property
    def names(self) -> tuple[str, ...]:
        """The class names in the order of their mask values."""
        return tuple(c.name for c in self.classes)

    @property
    def colors(self) -> tuple[tuple[int, int, int], ...]:
        """The (red, green, blue) colours, 0-255, in the order of :attr:`names`."""
        return tuple(c.color for c in self.classes)

    def __len__(self) -> int:
        return len(self.classes)

    def __iter__(self) -> Iterator[TissueClass]:  # type: ignore[override]
        return iter(self.classes)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.find(name) is not None

    def find(self, name: str) -> int | None:
        """Return the 0-based index of a class by its exact name or an alias, or None.

        A QuPath name such as ``"blood_vessel: capillary"`` is found by its base class when the
        full name is not in the table.
        """
        name = name.strip()
        for candidate in (name, name.split(":", 1)[0].strip()):
            for index, entry in enumerate(self.classes):
                if candidate == entry.name or candidate in entry.aliases:
                    return index
        return None

    def index_of(self, name: str) -> int:
        """Return the 0-based index of a class (its mask value is one more).

        Raises
        ------
        AnnotationError
            When the table has no such class; the sentence names the nearest one.
        """
        index = self.find(name)
        if index is None:
            near = self.nearest(name)
            advice = f"did you mean {near!r}?" if near else f"known are {_listed(self.names)}."
            raise AnnotationError(f"The class {name!r} is not in the class table; {advice}")
        return index

    def value_of(self, name: str) -> int:
        """Return the mask value of a class, ``1 + index_of(name)``."""
        return 1 + self.index_of(name)

    def color_of(self, name: str) -> tuple[int, int, int]:
        """Return the (red, green, blue) colour of a class, 0-255."""
        return self.classes[self.index_of(name)].color

    def is_ignored(self, name: str) -> bool:
        """Tell whether a class is known and not wanted: marked so here, or by a trailing ``*``."""
        index = self.find(name)
        return name.strip().endswith("*") if index is None else self.classes[index].ignore

    def check(self, counts: Mapping[str | None, int], source: str = "The annotations") -> None:
        """Stop when annotations use classes that the table does not know.

        Parameters
        ----------
        counts : mapping of (str or None) to int
            How many features each class has, as ``class_counts()`` of a document or an index gives
            it. The unclassified ones (None) are no reason to stop.
        source : str
            What the sentence calls the annotations, a file name for instance.

        Raises
        ------
        UnknownClassError
            It lists name, count and the nearest known class of each, the most frequent first.
        """
        names = sorted((n for n in counts if n is not None), key=lambda n: (-counts[n], n))
        unknown = [n for n in names if self.find(n) is None and not self.is_ignored(n)]
        if unknown:
            found = [UnknownClass(name, counts[name], self.nearest(name)) for name in unknown]
            raise UnknownClassError(source, found, self.names)

    def nearest(self, name: str) -> str | None:
        """Return the class whose name looks most like ``name``, or None when none does."""
        by_folded = {fold(n): c.name for c in self.classes for n in (c.name, *c.aliases)}
        close = difflib.get_close_matches(fold(name), by_folded, n=1)
        return by_folded[close[0]] if close else None

    def paint_order(self) -> tuple[int, ...]:
        """Return the class indices in the order to paint them: the winner of overlaps last."""
        return tuple(sorted(range(len(self)), key=lambda i: (self.classes[i].priority, -i)))


def fold(name: str) -> str:
    """Return a name without case, spacing and Unicode forms: to suggest, never to match."""
    folded = unicodedata.normalize("NFC", name).casefold()
    return " ".join(folded.replace("_", " ").replace("-", " ").split())


def preset_names() -> tuple[str, ...]:
    """Return the names of the packaged class tables."""
    return tuple(sorted(path.stem for path in _PRESETS.glob("*.yaml")))


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
