"""What is made of every slide, and where each file of it lies."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from napari_histoaug import __version__
from napari_histoaug.annotations import ClassTable
from napari_histoaug.patches.forms import part_path
from napari_histoaug.patches.manifest import ManifestInfo, SlideEntry
from napari_histoaug.patches.settings import PatchSettings
from napari_histoaug.patches.staging import staging_folder

FormName = Literal["manifest", "zarr", "tar", "png"]


class Recipe(BaseModel):
    """What is made of every slide, and where.

    Attributes
    ----------
    out : Path
    settings : PatchSettings
    classes : ClassTable
    form : str
        "manifest" for positions only, else "zarr", "tar" or "png".
    synthetic : bool
        Whether patches with generated pixels are written in that form, too.
    verify : bool
        Read every patch even when only positions are wanted, so that damage is known.
    part : int
        Patches a part holds, at most but for the last tile's.
    skip_bad : bool
        Leave out broken features of the annotations; else their slide fails.
    run : str
        Token of the run that writes, see :class:`~.lock.RunLock`; "" for reading only.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    out: Path
    settings: PatchSettings
    classes: ClassTable
    form: FormName = "manifest"
    synthetic: bool = False
    verify: bool = True
    part: int = Field(4096, ge=1)
    skip_bad: bool = False
    run: str = ""

    @property
    def sha256(self) -> str:
        """The hash of everything but the place."""
        return self.settings.sha256(self.classes)

    @property
    def reads(self) -> bool:
        """Whether pixels of patches are read."""
        return self.verify or self.form != "manifest"

    def info(self, *entries: SlideEntry) -> ManifestInfo:
        """Return the metadata of a manifest of some slides."""
        return ManifestInfo(
            config_sha256=self.sha256,
            settings=self.settings,
            classes=self.classes,
            code_version=__version__,
            slides=entries,
        )

    @property
    def work(self) -> Path:
        """Folder of what the steps leave for each other."""
        return self.out / "work"

    @property
    def staging(self) -> Path:
        """Folder through which the run changes files; see :mod:`~.staging`."""
        return staging_folder(self.work, self.run)

    def plan_path(self, source: str) -> Path:
        """Where a slide's plan lies between the steps."""
        return self.work / f"{source}.parquet"

    def ledger_path(self, source: str, part: int) -> Path:
        """Where it is written that a part was read."""
        return self.work / f"{source}-{part:05d}.json"

    def part_path(self, source: str, part: int) -> Path:
        """Where a part lies in the form that was asked for."""
        assert self.form != "manifest"
        return part_path(self.out, self.form, source, part)

    def part_paths(self, source: str) -> list[Path]:
        """Where the parts of a slide lie that are there, of whichever plan."""
        if self.form == "manifest":
            return []
        return sorted((self.out / self.form).glob(f"{source}-*"))

    def manifest_path(self, source: str) -> Path:
        """Where a slide's finished manifest lies."""
        return self.out / "slides" / f"{source}.parquet"
