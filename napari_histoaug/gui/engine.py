"""The functions of the room *generation* that the window uses, fetched when they are first needed.

They bring torch with them, which takes seconds to load and may be missing.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from napari_histoaug.gui.judging import Judge, packaged_judge

NO_TORCH = (
    "Generating needs PyTorch, which is not installed: close napari, run "
    "pip install torch, and start again. Everything else works."
)


@dataclass(frozen=True)
class Engine:
    """What makes tissue.

    Attributes
    ----------
    load_generator, inpaint, inpaint_many, synthesize
        As in :mod:`napari_histoaug.generation`.
    measure : callable
        Takes a generator; its :class:`~napari_histoaug.generation.pace.Pace`, or None.
    judge : Judge or None
        Scores a result; see :mod:`~napari_histoaug.gui.judging`.
    missing : str or None
        What is not installed and how to add it.
    """

    load_generator: Callable[..., Any]
    inpaint: Callable[..., Any]
    inpaint_many: Callable[..., Any]
    synthesize: Callable[..., Any]
    measure: Callable[[Any], Any] = lambda generator: None
    judge: Judge | None = None
    missing: str | None = None

    @classmethod
    def packaged(cls) -> Engine:
        """The real one."""
        missing = NO_TORCH if importlib.util.find_spec("torch") is None else None
        return cls(
            _load_generator,
            _inpaint,
            _inpaint_many,
            _synthesize,
            _measure,
            packaged_judge(),
            missing,
        )

    @classmethod
    def of(cls, load_generator: Callable[..., Any], inpaint: Callable[..., Any]) -> Engine:
        """One that fills its holes one after the other with a given function."""

        def many(
            generator: Any, images: Sequence[Any], holes: Sequence[Any], **options: Any
        ) -> list[Any]:
            seeds, told = options.pop("seeds"), options.pop("progress")
            options.pop("batch", None)
            donors = options.pop("donors", None)
            results: list[Any] = []
            for index, (image, hole, seed) in enumerate(zip(images, holes, seeds, strict=True)):
                before = len(results)

                def tell(done: int, total: int, before: int = before) -> None:
                    told(before * total + done, len(images) * total)

                own = {} if donors is None else {"donor": donors[index]}
                results.append(
                    inpaint(generator, image, hole, seed=seed, progress=tell, **options, **own)
                )
            return results

        return cls(load_generator, inpaint, many, _synthesize)


def _load_generator(source: str | None, device: str) -> Any:
    from napari_histoaug.generation import load_generator
    from napari_histoaug.generation.device import leave_a_core

    leave_a_core()
    return load_generator(source, device=device)


def _inpaint(*args: Any, **options: Any) -> Any:
    from napari_histoaug.generation import inpaint

    return inpaint(*args, **options)


def _inpaint_many(*args: Any, **options: Any) -> Any:
    from napari_histoaug.generation import inpaint_many

    return inpaint_many(*args, **options)


def _synthesize(*args: Any, **options: Any) -> Any:
    from napari_histoaug.generation import synthesize

    return synthesize(*args, **options)


def _measure(generator: Any) -> Any:
    from napari_histoaug.generation.pace import measure_pace

    return measure_pace(generator)
