"""Diffusion inpainting of blood vessels, in place, on whole-slide images."""

__version__ = "0.1.0"
