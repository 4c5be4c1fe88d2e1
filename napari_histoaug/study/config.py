"""What a study is told: tissue, pools of generated pairs, segmenters to teach, what to select."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from napari_histoaug.generation.dataset_config import DatasetConfig, PlacingConfig, SourceConfig
from napari_histoaug.generation.donors import STRENGTH
from napari_histoaug.learning.config import Section
from napari_histoaug.models import ObjectClassifierConfig, SegmentationUNetConfig
from napari_histoaug.selection.config import SelectionConfig
from napari_histoaug.study.slides import SlidesConfig

REAL = "real"
KINDS = ("plain", "donor", "removed")
RECIPES = ("plain", "donor", "hard-negatives", "selection")


class TissueConfig(Section):
    """Fields of view, their outlines, and who teaches, chooses and tests.

    The first five are left out when the fields are cut from whole slides.
    """

    tiles: Path = Field(Path(), description="folder of fields named <case>_x<X>_y<Y>.jpg")
    annotations: Path = Field(
        Path(),
        description="folder with train, validation and test, each with <field>.geojson at any "
        "depth",
    )
    train_cases: tuple[str, ...] = Field((), min_length=1)
    validation_cases: tuple[str, ...] = Field((), min_length=2, description="the filter needs two")
    test_cases: tuple[str, ...] = Field((), min_length=1)
    label: str = "blood_vessel"
    mpp: float = Field(0.5, gt=0, description="micrometres per pixel of the fields")
    patch: int = Field(256, ge=64, description="side of a patch, pixels")
    fields: int = Field(20, ge=1, description="training fields whose outlines may be used")
    least_share: float = Field(
        0.01, ge=0, lt=1, description="of labelled pixels in a field that is taken"
    )
    seed: int = Field(0, ge=0, description="of the draw of those fields")
    attribution: str = ""

    @model_validator(mode="after")
    def _no_case_twice(self) -> TissueConfig:
        named = [*self.train_cases, *self.validation_cases, *self.test_cases]
        twice = sorted({case for case in named if named.count(case) > 1})
        if twice:
            raise ValueError(f"the case {twice[0]} is in two sets")
        return self


class PoolsConfig(Section):
    """Generated pairs: how many of each kind, and how they are made."""

    plain: int = Field(320, ge=1, description="vessels from noise, as the thesis made them")
    donor: int = Field(320, ge=1, description="vessels that start from real noised ones")
    removed: int = Field(100, ge=1, description="vessels replaced by their surroundings")
    untouched: bool = Field(
        True,
        description="beside removals, hard negatives are the places of the vessels as they were "
        "before: what is new is the vessel, and how frequent vessels are stays near the tissue's",
    )
    method: str = "turbo"
    steps: int | None = Field(None, ge=1)
    strength: float = Field(STRENGTH, gt=0, le=1, description="how far a donor is noised")
    placing: PlacingConfig = PlacingConfig()
    model: str | None = Field(None, description="name or folder; the bundled one if omitted")
    generator_cases: tuple[str, ...] = Field(
        (), description="cases that generator was taught on, as its model card says"
    )
    device: str = "auto"
    shards: int = Field(1, ge=1, description="parts that are made side by side")


class NetworksConfig(Section):
    """Networks taught for the study, on the training cases; none: a finished generator is used.

    A name of both tables is a latent one: its generator lives in its autoencoder's latents.
    """

    autoencoders: dict[str, Path] = Field(
        {}, description="name, e.g. latent-4: configuration of train_autoencoder.py"
    )
    generators: dict[str, Path] = Field(
        {}, description="name, e.g. pixel: configuration of train_diffusion.py"
    )
    settings: tuple[str, ...] = Field(
        (), description="overrides for all of them, e.g. loop.steps=2000"
    )


class SegmenterConfig(Section):
    """The segmenter of every cell: the same steps whatever it is taught on."""

    coarse: int = Field(2, ge=1, description="pixels of a field a side of its pixels")
    model: SegmentationUNetConfig = SegmentationUNetConfig()
    encoder_weights: Literal["imagenet"] | Path | None = Field(
        None, description="as train_segmentation.py takes them"
    )
    crop: int = Field(96, ge=32, multiple_of=32, description="side of an example, its pixels")
    vessel_share: float = Field(
        0.0,
        ge=0,
        le=1,
        description="share of real examples centred on vessels; 0 takes tissue evenly, so that "
        "vessels are as frequent as there, and nowhere in particular",
    )
    start_steps: int = Field(
        0,
        ge=0,
        description="steps on real tissue alone that all cells of a seed share; each goes on from "
        "there with its own mix. 0: every cell starts from the beginning",
    )
    steps: int = Field(300, ge=1, description="of each cell")
    batch: int = Field(12, ge=1)
    learning_rate: float = Field(1e-3, gt=0)
    ema: float = Field(0.98, ge=0, lt=1)
    stain: float = Field(0.15, ge=0, lt=1)
    precision: str = "no"
    threads: int | None = Field(None, ge=1)


class FilterConfig(Section):
    """The false-positive filter, taught on validation objects for each segmenter."""

    model: ObjectClassifierConfig = ObjectClassifierConfig(width=8)
    steps: int = Field(120, ge=1)
    least_area: int = Field(
        8, ge=1, description="pixels of the segmenter; smaller objects are not judged"
    )


class ImagesConfig(Section):
    """Which pictures are judged beside the inpainted ones, and by which network."""

    extractor: str = Field("auto", description="feature network, as evaluate.py takes it")
    count: int = Field(64, ge=4, description="validation patches that are made again")
    steps: int = Field(20, ge=1, description="of a synthesis")
    autoencoders: dict[str, Path] = Field(
        {}, description="name in the report, e.g. reconstruction-4: folder of an autoencoder"
    )
    generators: dict[str, str] = Field(
        {}, description="name in the report, e.g. latent-4: name or folder of a generator"
    )


class StudyConfig(Section):
    """``training/study``: a whole study in one folder."""

    out: Path
    slides: SlidesConfig | None = Field(None, description="whole slides to cut the tissue from")
    tissue: TissueConfig = TissueConfig()
    networks: NetworksConfig = NetworksConfig()
    pools: PoolsConfig = PoolsConfig()
    segmenter: SegmenterConfig = SegmenterConfig()
    filter: FilterConfig = FilterConfig()
    selection: SelectionConfig = SelectionConfig()
    images: ImagesConfig = ImagesConfig()
    recipes: tuple[str, ...] = RECIPES
    ratios: tuple[int, ...] = Field((50, 100, 200), description="% of the real patches")
    compared_at: int = Field(100, description="% at which the recipes are compared")
    seeds: tuple[int, ...] = (0, 1, 2)

    @model_validator(mode="after")
    def _tissue_from_one_place(self) -> StudyConfig:
        for name in ("tiles", "annotations", "train_cases", "validation_cases", "test_cases"):
            given = getattr(self.tissue, name) != TissueConfig.model_fields[name].default
            if given and self.slides is not None:
                raise ValueError(f"tissue.{name} is cut from the slides; leave it out")
            if not given and self.slides is None:
                raise ValueError(
                    f"tissue.{name} is missing, and there are no slides to cut it from"
                )
        if self.slides is not None and self.slides.side < self.tissue.patch:
            raise ValueError("a patch is larger than a field that is cut from the slides")
        return self

    @model_validator(mode="after")
    def _known(self) -> StudyConfig:
        held_out = {*self.tissue.validation_cases, *self.tissue.test_cases}
        if seen := sorted(held_out & set(self.pools.generator_cases)):
            raise ValueError(f"the generator was taught on the held-out case {seen[0]}")
        unknown = sorted(set(self.recipes) - set(RECIPES))
        if unknown:
            raise ValueError(f"there is no recipe {unknown[0]}")
        if self.compared_at not in self.ratios:
            raise ValueError("compared_at is none of the ratios")
        if self.segmenter.crop * self.segmenter.coarse > self.tissue.patch:
            raise ValueError("a segmenter's crop is larger than a patch")
        return self

    def tissue_cases(self, source: Path) -> tuple[str, ...]:
        """Training cases with a field in a folder of tissue."""
        return tuple(sorted(case for case in self.tissue.train_cases if _has(source, case)))

    def dataset(self, kind: str, source: Path, donors: Path, out: Path) -> DatasetConfig:
        """How the pairs of a kind are generated."""
        p, t = self.pools, self.tissue
        return DatasetConfig(
            out=out,
            count=getattr(p, kind),
            kind="removed" if kind == "removed" else "inpainted",
            source=SourceConfig(
                tiles=source / "tiles",
                labels=source / "labels",
                cases=self.tissue_cases(source),
                mpp=t.mpp,
            ),
            size=t.patch,
            label=t.label,
            placing=p.placing,
            donors=donors if kind == "donor" else None,
            strength=p.strength,
            model=p.model,
            device=p.device,
            method=p.method,
            steps=p.steps,
            # Kinds share nothing but the tissue: other seeds, other places.
            seed=KINDS.index(kind),
        )


def _has(source: Path, case: str) -> bool:
    return any((source / "tiles").glob(f"{case}_x*"))
