"""How real generated pictures look: distances between sets, pairs, crops of holes, seams."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow

from napari_histoaug.evaluation.config import ImageEvaluation
from napari_histoaug.evaluation.errors import EvaluationError
from napari_histoaug.evaluation.page import Table
from napari_histoaug.evaluation.scores import Features, Range, kernel_interval, quartiles
from napari_histoaug.evaluation.segmentation_scores import Judged
from napari_histoaug.metrics import frechet_distance, overlap, seam_score, sharpness_ratio
from napari_histoaug.metrics.extractor_choice import choose_extractor
from napari_histoaug.metrics.extractors import Extractor
from napari_histoaug.metrics.perceptual import choose_lpips

Image = npt.NDArray[np.uint8]
Bool = npt.NDArray[np.bool_]
Say = Callable[[str], None]
PICTURES = {".png", ".jpg", ".jpeg", ".tif", ".tiff"}
AT_A_TIME = 64
LEAST_CROP = 64


def judge_images(config: ImageEvaluation, say: Say) -> Judged:
    """Compare two folders of pictures.

    Raises
    ------
    EvaluationError
        When a folder holds no or only one picture, or pictures of several sizes.
    MetricError
        When the feature network cannot be loaded.
    """
    extractor = choose_extractor(config.extractor, config.weights, config.resize)
    real, made = (_pictures(folder) for folder in (config.real, config.generated))
    say(f"{len(real)} real and {len(made)} generated pictures; {extractor.name}")
    features = (_features(extractor, real), _features(extractor, made))
    figures: dict[str, Any] = {"whole": _distances(features[0], features[1], config)}
    notes = _warnings(*features)
    rows = _rows("whole picture", figures["whole"])
    if config.lpips is not None:
        lpips, name = _lpips(config)
        figures["lpips"] = {"name": name, **asdict(lpips)}
        rows.append(["pairs of one name", name, _text(lpips)])
    if config.holes is not None:
        figures["holes"], more = _holes(config, extractor, real, made)
        rows += more
    about = (
        f"{config.split}: {len(real)} real, {len(made)} generated, {features[0].shape[1]} "
        f"dimensions; {extractor.name}"
    )
    return Judged(
        {"extractor": extractor.name, "real": len(real), "generated": len(made), **figures},
        [Table(about, ("of", "figure", "value"), rows)],
        notes,
        0,
    )


def _distances(real: Features, made: Features, config: ImageEvaluation) -> dict[str, Any]:
    rng = np.random.default_rng(config.seed)
    found: dict[str, Any] = {
        "kernel distance (KID)": asdict(
            kernel_interval(real, made, draws=config.draws, seed=config.seed)
        ),
        "Fréchet distance (FID)": asdict(_frechet(real, made, config.draws, rng)),
    }
    both = overlap(real, made, config.neighbours)
    found["precision"], found["recall"] = (
        asdict(Range(value, None, None)) for value in (both.precision, both.recall)
    )
    return found


def _frechet(real: Features, made: Features, draws: int, rng: np.random.Generator) -> Range:
    """Fréchet distance; its interval is that of halves, moved to the whole, as for the KID."""
    value = frechet_distance(real, made)
    n, m = len(real) // 2, len(made) // 2
    if min(n, m) < 2:
        return Range(value, None, None)
    found = [
        frechet_distance(
            real[rng.choice(len(real), n, replace=False)],
            made[rng.choice(len(made), m, replace=False)],
        )
        for _ in range(draws)
    ]
    low, high = np.percentile(np.array(found) - np.mean(found), [2.5, 97.5])
    return Range(value, max(0.0, float(value + low)), float(value + high))


def _warnings(real: Features, made: Features) -> list[str]:
    notes = []
    few, dimensions = min(len(real), len(made)), real.shape[1]
    if few <= dimensions:
        notes.append(
            f"{few} pictures in {dimensions} dimensions bias the Fréchet distance upwards: compare "
            "it only between sets of the same size, and go by the kernel distance."
        )
    if real.shape == made.shape and np.array_equal(real, made):
        notes.append("Both folders hold the same pictures: all distances are those of one set.")
    return notes


def _lpips(config: ImageEvaluation) -> tuple[Range, str]:
    assert config.lpips is not None
    measure = choose_lpips(config.lpips, config.lpips_weights, config.lpips_heads)
    of = [{p.stem: p for p in _pictures(f)} for f in (config.real, config.generated)]
    stems = sorted(set(of[0]) & set(of[1]))
    if not stems:
        raise EvaluationError(
            f"LPIPS compares pictures of the same name; {config.real} and {config.generated} share "
            "none."
        )
    found = []
    for start in range(0, len(stems), AT_A_TIME):
        some = stems[start : start + AT_A_TIME]
        found.append(measure(*(np.stack([_read(side[s]) for s in some]) for side in of)))
    return quartiles(np.concatenate(found)), measure.name


def _holes(
    config: ImageEvaluation, extractor: Extractor, real: Sequence[Path], made: Sequence[Path]
) -> tuple[dict[str, Any], list[list[str]]]:
    """Figures of what was generated alone: whole pictures are mostly real and flatter it."""
    by_stem = {path.stem: path for path in real}
    crops: tuple[list[Image], list[Image]] = ([], [])
    edges, colours, sharp = [], [], []
    for path in made:
        hole = _hole(config, path)
        image = _read(path)
        if hole.shape != image.shape[:2]:
            raise EvaluationError(
                f"The mask of {path.name} is {hole.shape}, the picture {image.shape[:2]}; they "
                "must agree."
            )
        if path.stem in by_stem:
            for kept, picture in zip(crops, (_read(by_stem[path.stem]), image), strict=True):
                kept.append(hole_crop(picture, hole))
        if (seam := seam_score(image, hole)) is not None:
            edges.append(seam.edge)
            colours.append(seam.colour)
        if (ratio := sharpness_ratio(image, hole)) is not None:
            sharp.append(ratio)
    figures: dict[str, Any] = {}
    for name, values in (("edge", edges), ("colour step", colours), ("sharpness", sharp)):
        if values:
            figures[name] = asdict(quartiles(np.array(values)))
    rows = _rows("hole", figures)
    if len(crops[0]) > max(1, config.neighbours):
        ours, theirs = (extractor(np.stack(each)) for each in crops)
        distances = _distances(ours, theirs, config)
        figures["crops"] = distances
        rows += _rows(f"crop of the hole, N = {len(crops[0])}", distances)
    return figures, rows


def _hole(config: ImageEvaluation, path: Path) -> Bool:
    assert config.holes is not None
    mask = config.holes / f"{path.stem}.png"
    if not mask.is_file():
        raise EvaluationError(f"{config.holes} holds no mask {mask.name}; give one a picture.")
    with Pillow.open(mask) as picture:
        hole = np.asarray(picture.convert("L")) > 0
    if not hole.any():
        raise EvaluationError(f"The mask {mask.name} is empty; leave its picture out.")
    return hole


def hole_crop(image: Image, hole: Bool) -> Image:
    """The hole's bounding square, 128 px."""
    rows, columns = np.flatnonzero(hole.any(1)), np.flatnonzero(hole.any(0))
    side = min(max(np.ptp(rows) + 1, np.ptp(columns) + 1, LEAST_CROP), *image.shape[:2])
    y, x = (
        int(np.clip((at[0] + at[-1] + 1 - side) // 2, 0, length - side))
        for at, length in ((rows, image.shape[0]), (columns, image.shape[1]))
    )
    piece = Pillow.fromarray(image[y : y + side, x : x + side])
    return np.asarray(piece.resize((128, 128), Pillow.Resampling.BICUBIC))


def _pictures(folder: Path) -> list[Path]:
    found = sorted(p for p in folder.glob("*") if p.suffix.lower() in PICTURES)
    if len(found) < 2:
        raise EvaluationError(
            f"{folder} holds {len(found)} pictures; distances between sets need two or more, and "
            "mean something from hundreds on."
        )
    return found


def _features(extractor: Extractor, paths: Sequence[Path]) -> Features:
    found = []
    for start in range(0, len(paths), AT_A_TIME):
        images = [_read(path) for path in paths[start : start + AT_A_TIME]]
        if len({image.shape for image in images}) > 1:
            raise EvaluationError(
                f"{paths[start].parent} holds pictures of several sizes; bring them to one."
            )
        found.append(extractor(np.stack(images)))
    return np.concatenate(found)


def _read(path: Path) -> Image:
    try:
        with Pillow.open(path) as picture:
            return np.asarray(picture.convert("RGB"))
    except OSError:
        raise EvaluationError(f"The picture {path} cannot be read; replace it.") from None


def _rows(of: str, figures: dict[str, Any]) -> list[list[str]]:
    return [
        [of, name, _text(Range(**value))] for name, value in figures.items() if "value" in value
    ]


def _text(value: Range) -> str:
    if value.low is None or value.high is None:
        return f"{value.value:.4g}"
    return f"{value.value:.4g} [{value.low:.4g}, {value.high:.4g}]"
