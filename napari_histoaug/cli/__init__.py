"""The ``histoaug`` command. Everything heavy is imported by the command that needs it."""

from napari_histoaug.cli.commands import app, main

__all__ = ["app", "main"]
