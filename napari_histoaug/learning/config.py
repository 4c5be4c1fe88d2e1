"""Training configurations: YAML in, checked values out, a sentence for every bad one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from napari_histoaug.learning.config_files import ConfigError as ConfigError
from napari_histoaug.learning.config_files import load_config as load_config
from napari_histoaug.models import SpadeUNetConfig, TinyAutoencoderConfig, VQAutoencoderConfig
from napari_histoaug.models.folder import SamplingDefaults


def _spelled_out(value: object) -> object:
    # YAML takes a plain no for False.
    return "no" if value is False else value


class Section(BaseModel):
    """Part of a configuration: unknown settings are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class SplitConfig(Section):
    """Which sets of a manifest teach and check."""

    train: str = "train"
    validation: str = "validation"

    @model_validator(mode="after")
    def _no_set_does_both(self) -> SplitConfig:
        if self.train == self.validation:
            raise ValueError(f"the set {self.train} would be to learn from and to check with")
        return self


class DataConfig(Section):
    """Where the tissue is, and what of it teaches and what only checks.

    Either fields of view (`tiles`, cases) or extracted patches (`manifest`, sets).
    """

    tiles: Path | None = Field(None, description="folder of fields named <case>_x<X>_y<Y>.jpg")
    labels: Path | None = Field(None, description="folder of label maps, same stems, .png")
    train_cases: tuple[str, ...] = ()
    validation_cases: tuple[str, ...] = ()
    manifest: Path | None = Field(None, description="folder that histoaug extract wrote")
    split: SplitConfig = SplitConfig()
    form: Literal["zarr", "tar", "png"] | None = Field(
        None, description="read the patches as they were written"
    )
    slides: Path | None = Field(
        None, description="read the patches from these slides; folder or CSV file"
    )
    annotations: Path | None = Field(None, description="folder, if not beside the slides")
    synthetic: bool = Field(False, description="also learn from patches with generated pixels")
    validation_patches: int = Field(256, ge=1, description="patches to check with, at most")
    classes: tuple[str, ...] = ("blood_vessel",)
    mpp: float = Field(0.5, gt=0, description="micrometres per pixel of the fields")
    crop: int = Field(256, ge=32, description="side of a training example, pixels")
    vessel_share: float = Field(0.6, ge=0, le=1, description="share of examples around vessels")
    data_sets: dict[str, tuple[str, ...]] = Field(
        default_factory=dict,
        description="data sets by name and the cases of each; a diffusion network learns to tell "
        "them apart. training/combine_data_sets.py makes one folder of several",
    )

    @model_validator(mode="after")
    def _one_source(self) -> DataConfig:
        if (self.tiles is None) == (self.manifest is None):
            raise ValueError("name the tissue by either tiles or manifest")
        if self.manifest is not None:
            if (self.form is None) == (self.slides is None):
                raise ValueError("a manifest needs either slides, or the form of its patches")
            if self.labels is not None or self.train_cases or self.validation_cases:
                raise ValueError("labels and cases belong to tiles; a manifest has them itself")
        elif not (self.train_cases and self.validation_cases):
            raise ValueError("tiles need train_cases and validation_cases")
        return self

    @model_validator(mode="after")
    def _every_case_in_one_set(self) -> DataConfig:
        if not self.data_sets:
            return self
        if self.manifest is not None:
            raise ValueError("data_sets belong to tiles")
        named = [case for cases in self.data_sets.values() for case in cases]
        for case in (*self.train_cases, *self.validation_cases):
            if named.count(case) != 1:
                raise ValueError(f"the case {case} must be in exactly one of data_sets")
        return self

    def numbered_sets(self) -> dict[str, int]:
        """The data set of each case: 1 + its index; empty when there is only one."""
        return {
            case: number
            for number, cases in enumerate(self.data_sets.values(), start=1)
            for case in cases
        }

    @model_validator(mode="after")
    def _no_case_does_both(self) -> DataConfig:
        both = set(self.train_cases) & set(self.validation_cases)
        if both:
            raise ValueError(f"the case {min(both)} is among train_cases and validation_cases")
        return self


class LoopConfig(Section):
    """How long, how fast, how often saved."""

    out: Path
    steps: int = Field(ge=1)
    minutes: float | None = Field(None, gt=0, description="stop after this much training time")
    batch: int = Field(16, ge=1, description="examples a process and batch")
    learning_rate: float = Field(2e-4, gt=0)
    warmup: int = Field(100, ge=0, description="steps of linear warm-up")
    decay_to: float = Field(
        1.0, gt=0, le=1, description="exponential decay to this share at the end"
    )
    ema: float = Field(0.999, ge=0, lt=1)
    accumulate: int = Field(1, ge=1, description="batches a step")
    precision: Annotated[Literal["no", "bf16", "fp16"], BeforeValidator(_spelled_out)] = "no"
    compile: Annotated[Literal["no", "inductor", "eager"], BeforeValidator(_spelled_out)] = Field(
        "no", description="backend of torch.compile"
    )
    threads: int | None = Field(None, ge=1, description="CPU threads; all when omitted")
    save_minutes: float = Field(5.0, gt=0)
    validate_every: int = Field(250, ge=1)
    sample_every: int = Field(1000, ge=0, description="steps between sample pictures; 0 = none")
    ahead: int = Field(2, ge=1, description="batches made ready in advance")
    seed: int = Field(0, ge=0)


class PerceptualConfig(Section):
    """A fixed feature network added to the reconstruction loss."""

    network: Literal["none", "efficientnet-lite0"] = "none"
    weight: float = Field(0.5, ge=0)


class AdversarialConfig(Section):
    """A patch discriminator trained against the autoencoder; none with weight 0."""

    weight: float = Field(0.0, ge=0, description="of its verdict beside the absolute error")
    start_step: int = Field(0, ge=0, description="it neither learns nor counts before")
    ramp: int = Field(200, ge=1, description="steps until its verdict counts in full")
    learning_rate: float = Field(2e-4, gt=0, description="of the discriminator")
    width: int = Field(32, ge=8, description="channels of its first layer")
    layers: int = Field(3, ge=1, le=5, description="halvings; 2 sees patches of 34 px, 3 of 70 px")


class AutoencoderTraining(Section):
    """``train_autoencoder.py``."""

    data: DataConfig
    loop: LoopConfig
    model: VQAutoencoderConfig | None = None
    tiny: TinyAutoencoderConfig | None = None
    start: Path | None = Field(None, description="autoencoder folder to start from")
    freeze_encoder: bool = False
    perceptual: PerceptualConfig = PerceptualConfig()
    hue_weight: float = Field(0.0, ge=0, description="weight of the colour-difference term")
    revive_every: int = Field(
        200, ge=0, description="steps after which an unused code is moved to a latent; 0 = never"
    )
    adversarial: AdversarialConfig = AdversarialConfig()


class DiffusionTraining(Section):
    """``train_diffusion.py``."""

    data: DataConfig
    loop: LoopConfig
    model: SpadeUNetConfig
    autoencoder: Path | None = Field(None, description="autoencoder folder; pixel space if omitted")
    latents: Path | None = Field(None, description="folder of cached latents")
    copies: int = Field(1, ge=1, description="differently turned latents a field")
    validation_fields: int = Field(16, ge=1)
    start: Path | None = Field(None, description="unet folder to start from")
    full_share: float = Field(
        0.5,
        ge=0,
        le=1,
        description="examples without any known pixel; 1 = ordinary diffusion, no two-level time",
    )
    label_drop: float = Field(0.1, ge=0, le=1)
    name: str | None = Field(None, description="of the generator; the run's folder if omitted")
    sampling: SamplingDefaults = SamplingDefaults()
    attribution: str = Field("", description="what the licences of the tissue ask to be said")
    low_noise_share: float = Field(
        0.0, ge=0, le=1, description="examples drawn from the last tenth of the chain"
    )
    min_snr: float | None = Field(None, gt=0, description="gamma of min-SNR weighting; 5 is usual")
    sample_steps: int = Field(20, ge=1, description="sampler steps of the sample pictures")
