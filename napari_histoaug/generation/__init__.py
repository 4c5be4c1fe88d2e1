"""Mask in, tissue out."""

from napari_histoaug.generation.generator import (
    GenerationError,
    Generator,
    available_generators,
    load_generator,
)
from napari_histoaug.generation.inpainting import InpaintResult, inpaint
from napari_histoaug.generation.synthesis import SynthesisResult, synthesize
from napari_histoaug.models.checkpoints import ModelError

__all__ = [
    "GenerationError",
    "Generator",
    "InpaintResult",
    "ModelError",
    "SynthesisResult",
    "available_generators",
    "inpaint",
    "load_generator",
    "synthesize",
]
