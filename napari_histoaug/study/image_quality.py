"""How real generated pictures look beside real ones: ``images/<variant>.json`` of a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from napari_histoaug.evaluation.image_scores import hole_crop
from napari_histoaug.evaluation.scores import kernel_interval, quartiles
from napari_histoaug.learning.segmentation import IGNORED
from napari_histoaug.learning.tissue import RIM
from napari_histoaug.metrics import frechet_distance
from napari_histoaug.metrics.extractors import Extractor
from napari_histoaug.metrics.objects import label_objects
from napari_histoaug.metrics.perceptual import Lpips
from napari_histoaug.study.errors import StudyError

Pixels = npt.NDArray[np.uint8]
Bool = npt.NDArray[np.bool_]
DRAWS = 200
LEAST_AREA = 100  # px; smaller real vessels make no crop


@dataclass(frozen=True)
class Pictures:
    """Pictures of one kind and what they are compared with.

    Attributes
    ----------
    variant : str
        Name of the kind, e.g. "inpainted".
    against : str
        What the real pictures are, in words.
    real, made : sequence of uint8 (H, W, 3)
        All of one size.
    before : sequence of uint8 (H, W, 3), optional
        For each made picture the real one it stands for; LPIPS is between these.
    real_holes, made_holes : sequence of bool (H, W), optional
        One vessel of each picture; empty masks are left out.
    """

    variant: str
    against: str
    real: Sequence[Pixels]
    made: Sequence[Pixels]
    before: Sequence[Pixels] | None = None
    real_holes: Sequence[Bool] | None = None
    made_holes: Sequence[Bool] | None = None


def judge_pictures(pictures: Pictures, extractor: Extractor, lpips: Lpips | None) -> dict[str, Any]:
    """Kernel and Fréchet distance, LPIPS, and the kernel distance of the crops of holes.

    Raises
    ------
    StudyError
        When there are fewer than four pictures on a side.
    """
    if min(len(pictures.real), len(pictures.made)) < 4:
        raise StudyError(f"{pictures.variant} has fewer than four pictures; make more.")
    real, made = (extractor(np.stack(of)) for of in (pictures.real, pictures.made))
    pairs = None
    if lpips is not None and pictures.before is not None:
        pairs = asdict(quartiles(lpips(np.stack(pictures.before), np.stack(pictures.made))))
    return {
        "variant": pictures.variant,
        "against": pictures.against,
        "kid": asdict(kernel_interval(real, made, draws=DRAWS, seed=0)),
        "fid": {"value": frechet_distance(real, made), "low": None, "high": None},
        "lpips": pairs,
        "lpips_network": None if lpips is None else lpips.name,
        "hole_kid": _holes(pictures, extractor),
        "n": len(made),
        "n_real": len(real),
        "dimensions": int(real.shape[1]),
        "extractor": extractor.name,
        "extractor_sha256": getattr(extractor, "sha256", None),  # else a part of the name
    }


def _holes(pictures: Pictures, extractor: Extractor) -> dict[str, Any] | None:
    if pictures.real_holes is None or pictures.made_holes is None:
        return None
    crops = [
        [hole_crop(image, hole) for image, hole in zip(of, holes, strict=True) if hole.any()]
        for of, holes in (
            (pictures.real, pictures.real_holes),
            (pictures.made, pictures.made_holes),
        )
    ]
    if min(map(len, crops)) < 4:
        return None
    features = [extractor(np.stack(of)) for of in crops]
    return asdict(kernel_interval(*features, draws=DRAWS, seed=0))


def largest_vessel(labels: Pixels) -> Bool:
    """The largest vessel of a label map (H, W), as a mask; empty where none is large enough."""
    numbered = label_objects(labels == 1)
    areas = np.bincount(numbered.ravel())
    areas[0] = 0
    largest = int(areas.argmax())
    found: Bool = (numbered == largest) & (areas[largest] >= LEAST_AREA)
    return found


def made_hole(labels: Pixels) -> Bool:
    """What was generated: the rim that was feathered into real tissue, and what it encloses."""
    rim = (labels >= RIM) & (labels != IGNORED)
    return np.asarray(ndimage.binary_fill_holes(rim), bool)


def grid_of(image: Pixels, labels: Pixels, size: int) -> list[tuple[Pixels, Pixels]]:
    """Cut a field into patches side by side; what is left over is dropped."""
    return [
        (image[y : y + size, x : x + size], labels[y : y + size, x : x + size])
        for y in range(0, image.shape[0] - size + 1, size)
        for x in range(0, image.shape[1] - size + 1, size)
    ]


def evenly(items: Sequence[Any], count: int) -> list[Any]:
    """At most `count` items, evenly spaced in their order."""
    if len(items) <= count:
        return list(items)
    return [items[i] for i in np.linspace(0, len(items) - 1, count).round().astype(int)]


def remade(
    real: Sequence[tuple[Pixels, Pixels]],
    variant: str,
    against: str,
    make: Callable[[Pixels, Pixels, int], Pixels],
) -> Pictures:
    """Make each real patch again.

    Parameters
    ----------
    make : callable
        Takes image, labels and the index of a patch: an autoencoder's reconstruction, or a
        synthesis from the labels.
    """
    made = [make(image, labels, index) for index, (image, labels) in enumerate(real)]
    images = [image for image, _ in real]
    return Pictures(variant, against, images, made, before=images)
