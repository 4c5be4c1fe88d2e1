"""What the panel *Generate* can be asked to do, and how, in plain words."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from napari_histoaug.edits.record import Purpose


@dataclass(frozen=True)
class Task:
    """One thing to ask for; `purpose` is its name in the records."""

    purpose: Purpose
    title: str
    tip: str


TASKS = (
    Task("inpaint", "Inpaint", "Fill what is painted with tissue of the class chosen above."),
    Task(
        "remove",
        "Remove",
        "Fill what is painted with what surrounds it: the same place without the vessel.",
    ),
    Task(
        "restore",
        "Restore",
        "Paint over a fold, pen or air bubble: it is replaced by what surrounds it.",
    ),
    Task(
        "synthesise",
        "Synthesise region",
        "Make a whole rectangle anew from the painted label map: a rectangle drawn as outline, "
        "else what is in view.",
    ),
)


@dataclass(frozen=True)
class Pace:
    """How to sample: a name for people, a method or preset, and its usual evaluations.

    `evaluations` None: as many as the model asks for.
    """

    title: str
    method: str
    evaluations: int | None
    tip: str


PACES = (
    Pace("Draft", "draft", 10, "A first look."),
    Pace("Quick", "turbo", 20, "A better solver makes much of few steps."),
    Pace("Standard", "pixel-time", None, "Every pixel has its own time; the model's own steps."),
    Pace("Careful", "fast", 51, "Corrects itself at every noise level."),
    Pace("As published", "paper", 2410, "RePaint with the published schedule: very slow."),
)


BUNDLED_DONORS = Path(__file__).parents[1] / "models" / "donors"
BANK_CLASS = "blood_vessel"  # what the packaged donors are


@dataclass
class Settings:
    """How to generate; what the panel *Generate* edits.

    Attributes
    ----------
    label : str
        The class to put in.
    purpose : str
        Of a :class:`Task`.
    method : str
    steps : int or None
        None means as many as the model asks for.
    seed : int
    keep_seed : bool
        Another run takes the same seed; otherwise a new one is drawn.
    variants : int
        Results to choose from.
    donors : Path or None
        A folder of real vessels to start from, at first the packaged ones; None starts from noise.
    donor : str or None
        The one to take; None leaves it to the seed.
    strength : float
        How much of a donor is made anew.
    device : str
    model : str or None
        None means the bundled one.
    """

    label: str = "blood_vessel"
    purpose: Purpose = field(default="inpaint")
    method: str = "turbo"  # nearest to real tissue on held-out holes, see docs/model-card.md
    steps: int | None = None
    seed: int = 0
    keep_seed: bool = False
    variants: int = 1
    donors: Path | None = BUNDLED_DONORS
    donor: str | None = None
    strength: float = 0.25
    device: str = "auto"
    model: str | None = None

    @property
    def start(self) -> Path | None:
        """The folder of donors that this run starts from; None: it starts from noise."""
        fits = self.donors != BUNDLED_DONORS or self.label == BANK_CLASS
        return self.donors if fits and self.purpose == "inpaint" else None


def task_of(purpose: str) -> Task:
    """The task of that purpose."""
    return next(task for task in TASKS if task.purpose == purpose)


def verb(settings: Settings) -> str:
    """What the run button says."""
    if settings.purpose == "inpaint":
        name = "vessel" if settings.label == "blood_vessel" else settings.label.replace("_", " ")
        return f"Inpaint {name}"
    return task_of(settings.purpose).title


def seconds_said(seconds: float) -> str:
    """A duration as people say it, such as ``about 7 s``."""
    if seconds < 1.5:
        return "about a second"
    if seconds < 90:
        return f"about {seconds:.0f} s"
    if seconds < 5400:
        return f"about {seconds / 60:.0f} min"
    return f"about {seconds / 3600:.1f} h"
