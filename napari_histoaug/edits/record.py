"""The provenance of one accepted edit."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

from napari_histoaug.edits.versions import versions

if TYPE_CHECKING:
    from napari_histoaug.slides import Slide


Purpose = Literal["inpaint", "remove", "restore", "synthesise"]
"""A class put in; taken out in favour of its surroundings; an artefact repaired; a whole region."""


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


class Made(Protocol):
    """What a generated result says of itself."""

    @property
    def label(self) -> str: ...
    @property
    def method(self) -> str: ...
    @property
    def steps(self) -> int: ...
    @property
    def seed(self) -> int: ...
    @property
    def evaluations(self) -> int: ...
    @property
    def donor(self) -> str | None: ...
    @property
    def strength(self) -> float | None: ...


class EditRecord(BaseModel):
    """Everything needed to explain generated pixels, and to generate them again.

    Attributes
    ----------
    id : str
        Name of the edit, unique; made when not given.
    slide_sha256 : str
        Hash of the slide's bytes.
    box : (y, x, height, width)
        Where the crop lies, in level-0 pixels.
    label : str
        Class that was generated.
    purpose : {"inpaint", "remove", "restore", "synthesise"}
        Why.
    classes : tuple of str
        Of a synthesised region: the names of the values 1, 2, ... of its painted map.
    method : str
        Inpainting method, or the preset that stands for one with all its settings.
    steps, seed, evaluations : int
        Sampler steps, random seed, forward passes spent.
    donor : str or None
        The real vessel used as a start.
    strength : float or None
        Part of the noise levels that the donor went through.
    model, model_sha256 : str or None
        Generator name and hash of its weights.
    mpp : (y, x) or None
        Micrometres per pixel of level 0.
    versions : dict of str to str
        Software that took part; of this process when not given.
    created : str
        UTC time, ISO 8601.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    id: str = Field(default_factory=lambda: uuid.uuid4().hex, pattern=r"^[0-9A-Za-z_-]{1,64}$")
    slide_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    box: tuple[int, int, int, int]
    label: str
    purpose: Purpose = "inpaint"
    classes: tuple[str, ...] = ()
    method: str
    steps: int | None = None
    seed: int | None = None
    donor: str | None = None
    strength: float | None = None
    model: str | None = None
    model_sha256: str | None = None
    evaluations: int | None = None
    mpp: tuple[float, float] | None = None
    versions: dict[str, str] = Field(default_factory=versions)
    created: str = Field(default_factory=_now)

    @classmethod
    def of(
        cls,
        slide: Slide,
        box: tuple[int, int, int, int],
        made: Made,
        model: str,
        model_sha256: str,
        *,
        purpose: Purpose = "inpaint",
        classes: tuple[str, ...] = (),
    ) -> EditRecord:
        """Describe a generated result on a slide; hashes the slide when that was not done yet.

        Parameters
        ----------
        slide : Slide
        box : (y, x, height, width)
            Level-0 pixels.
        made : Made
            Such as :class:`~napari_histoaug.generation.InpaintResult`.
        model, model_sha256 : str
            The generator's.
        purpose, classes
            As the attributes.
        """
        return cls(
            slide_sha256=slide.sha256(),
            box=box,
            label=made.label,
            purpose=purpose,
            classes=classes,
            method=made.method,
            steps=made.steps,
            seed=made.seed,
            donor=made.donor,
            strength=made.strength,
            model=model,
            model_sha256=model_sha256,
            evaluations=made.evaluations,
            mpp=slide.mpp,
        )
