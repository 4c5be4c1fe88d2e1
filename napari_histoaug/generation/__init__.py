"""Mask in, tissue out."""

from napari_histoaug.generation.donors import (
    Donor,
    cut_donors,
    read_donor,
    read_donors,
    save_donor,
)
from napari_histoaug.generation.generator import (
    GenerationError,
    Generator,
    available_generators,
    load_generator,
)
from napari_histoaug.generation.inpainting import InpaintResult, inpaint, inpaint_many
from napari_histoaug.generation.methods import WAYS
from napari_histoaug.generation.synthesis import SynthesisResult, synthesize
from napari_histoaug.models.checkpoints import ModelError

__all__ = [
    "WAYS",
    "Donor",
    "GenerationError",
    "Generator",
    "InpaintResult",
    "ModelError",
    "SynthesisResult",
    "available_generators",
    "cut_donors",
    "inpaint",
    "inpaint_many",
    "load_generator",
    "read_donor",
    "read_donors",
    "save_donor",
    "synthesize",
]
