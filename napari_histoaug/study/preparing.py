"""The first stage: label maps, who teaches and tests, and the real fields that teach.

Everything generated starts from these fields too: a study asks what generation adds to a
few outlined fields, not what more outlines would.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from napari_histoaug.annotations import ClassTable, rasterize, rasterize_geometry, read_geojson
from napari_histoaug.generation.donors import cut_donors, save_donor
from napari_histoaug.learning.segmentation import IGNORED
from napari_histoaug.learning.tissue import RIM, case_of, find_fields, read_field
from napari_histoaug.models.checkpoints import read_json, write_json
from napari_histoaug.study.config import REAL, StudyConfig, TissueConfig
from napari_histoaug.study.errors import StudyError
from napari_histoaug.study.slides import SETS
from napari_histoaug.study.stages import KEY, digest_of_files, fill, key_of, link

DATA, SPLITS, DATA_FACTS = "data", "splits.json", "data.json"
TILES, LABELS = "tiles", "labels"
WATCHED = 3  # fields of each validation case that are looked at while a segmenter is taught

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Places:
    """Where the first stage puts things, below `data`."""

    data: Path

    @property
    def labels(self) -> Path:
        """Label maps of all fields at full size: 0, 1, and 255 where nobody knows."""
        return self.data / LABELS

    @property
    def source(self) -> Path:
        """Tiles and labels of the fields that generated pairs may start from."""
        return self.data / "source"

    @property
    def donors(self) -> Path:
        """Real vessels of the source's fields."""
        return self.data / "donors"


def prepare(config: StudyConfig) -> bool:
    """Run the first stage; returns whether anything was done.

    Raises
    ------
    StudyError
        When a set has no outlined field, or too few of the training fields hold vessels.
    """
    t = config.tissue
    outlines = outlined(t)
    splits = {name: sorted(of) for name, of in outlines.items()}
    inputs = {
        "tissue": t.model_dump(mode="json", exclude={"tiles", "annotations", "attribution"}),
        "outlines": digest_of_files(path for of in outlines.values() for path in of.values()),
        "splits": splits,
    }
    if (t.tiles.parent / KEY).exists():  # cut from slides by a stage
        inputs["cut"] = key_of(t.tiles.parent)

    def make(part: Path) -> int:
        return _make(config, outlines, Places(part))

    done = fill(config.out / DATA, inputs, make, "cpu")
    for name in (SPLITS, DATA_FACTS):
        link(config.out / DATA / name, config.out / name)
    return done


def outlined(config: TissueConfig) -> dict[str, dict[str, Path]]:
    """Outlines of the fields of each set, by the field's name.

    Raises
    ------
    StudyError
        When a set has none.
    """
    found: dict[str, dict[str, Path]] = {}
    for name in SETS:
        fields = find_fields(config.tiles, getattr(config, f"{name}_cases"))
        known = {path.stem for path in fields}
        paths = sorted((config.annotations / name).rglob("*.geojson"))
        found[name] = {path.stem: path for path in paths if path.stem in known}
        if not found[name]:
            raise StudyError(
                f"{config.annotations / name} outlines no field of the {name} cases; name other "
                "cases or another folder."
            )
    return found


def field_of(config: TissueConfig, stem: str) -> Path:
    """The picture of a field."""
    return next(p for e in (".jpg", ".png") if (p := config.tiles / f"{stem}{e}").exists())


def label_map(path: Path, label: str, shape: tuple[int, int]) -> Pixels:
    """Paint outlines: 0, 1 and, where the class ends in ``*`` (disputed, ignore), 255."""
    box = (0, 0, *shape)
    document = read_geojson(path)
    labels = rasterize(document, ClassTable.from_names([label]), box)
    for feature in document.features:
        if (feature.class_name or "").endswith("*"):
            labels[rasterize_geometry(feature.geometry, box)] = IGNORED
    return labels


def coarsened(image: Pixels, labels: Pixels, factor: int) -> tuple[Pixels, Pixels]:
    """Shrink a picture and its labels by a whole factor: means, and what most pixels say.

    A pixel is rim, or unknown, when any of its pixels is.
    """
    if factor == 1:
        return image, labels
    height, width = (n - n % factor for n in labels.shape)
    blocks = image[:height, :width].reshape(height // factor, factor, width // factor, factor, 3)
    small = np.rint(blocks.mean((1, 3), dtype=np.float32)).astype(np.uint8)
    said = labels[:height, :width].reshape(height // factor, factor, width // factor, factor)
    known = said != IGNORED
    vessel = (known & (said % RIM > 0)).mean((1, 3)) >= 0.5
    rim = (known & (said >= RIM)).any((1, 3))
    found = vessel.astype(np.uint8) + RIM * rim.astype(np.uint8)
    found[~known.all((1, 3))] = IGNORED
    return small, found


def save_pair(folder: Path, name: str, image: Pixels, labels: Pixels) -> None:
    """Write a picture and its labels as PNG."""
    for kind, array in ((TILES, image), (LABELS, labels)):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        Image.fromarray(array).save(folder / kind / f"{name}.png")


def _make(config: StudyConfig, outlines: dict[str, dict[str, Path]], places: Places) -> int:
    t = config.tissue
    places.labels.mkdir(parents=True, exist_ok=True)
    shares: dict[str, float] = {}
    for of in outlines.values():
        for stem, path in of.items():
            with Image.open(field_of(t, stem)) as picture:
                labels = label_map(path, t.label, (picture.height, picture.width))
            Image.fromarray(labels).save(places.labels / f"{stem}.png")
            shares[stem] = float((labels == 1).mean())
    chosen = draw(t, {stem: shares[stem] for stem in outlines["train"]})
    _copy_source(config, chosen, places)
    write_json(places.data / SPLITS, {name: sorted(of) for name, of in outlines.items()})
    facts = {
        "fields": chosen,
        "patches": sum(patches_in(config, stem) for stem in chosen),
        "class_share": float(np.mean([shares[stem] for stem in chosen])),
        "mpp": t.mpp,
        "attribution": t.attribution,
    }
    write_json(places.data / DATA_FACTS, facts)
    return sum(map(len, outlines.values()))


def draw(config: TissueConfig, shares: dict[str, float]) -> list[str]:
    """Draw the fields whose outlines may be used: each case its part, at least one field.

    Parameters
    ----------
    shares : dict of str to float
        Labelled share of every training field.

    Raises
    ------
    StudyError
        When fewer hold enough vessels.
    """
    worth = sorted(stem for stem, share in shares.items() if share >= config.least_share)
    if len(worth) < config.fields:
        raise StudyError(
            f"Only {len(worth)} training fields are vessel to {config.least_share:.0%} or more; "
            f"set tissue.fields to at most that many, not {config.fields}."
        )
    rng = np.random.default_rng(config.seed)
    order = [worth[i] for i in rng.permutation(len(worth))]
    cases: dict[str, list[str]] = {}
    for stem in order:
        cases.setdefault(case_of(Path(stem)), []).append(stem)
    # Always the next field of the case that has got the smallest part of its own.
    taken = dict.fromkeys(cases, 0)
    chosen: list[str] = []
    while len(chosen) < config.fields:
        case = min(cases, key=lambda c: ((taken[c] + 0.5) / len(cases[c]), c))
        chosen.append(cases[case][taken[case]])
        taken[case] += 1
    return sorted(chosen)


def _copy_source(config: StudyConfig, chosen: list[str], places: Places) -> None:
    """Put the chosen fields, and the vessels in them, where generation finds nothing else."""
    t = config.tissue
    for folder in (places.source / TILES, places.source / LABELS, places.donors):
        folder.mkdir(parents=True, exist_ok=True)
    for stem in chosen:
        path = field_of(t, stem)
        link(path, places.source / TILES / path.name)
        link(places.labels / f"{stem}.png", places.source / LABELS / f"{stem}.png")
        image, labels = read_field(path, places.labels)
        for donor in cut_donors(image, labels == 1, (t.mpp, t.mpp)):
            save_donor(donor, places.donors)


def patches_in(config: StudyConfig, stem: str) -> int:
    """How many patches lie side by side in a field: what ratios are shares of."""
    with Image.open(field_of(config.tissue, stem)) as picture:
        size = config.tissue.patch
        return (picture.height // size) * (picture.width // size)


def cut_real(config: StudyConfig) -> bool:
    """The fields that teach, whole, and some held-out ones, in the segmenter's pixels.

    Examples are cut from whole fields: cut into patches first, they would always show the same.

    Returns whether anything was done.
    """
    data = Places(config.out / DATA)
    coarse = config.segmenter.coarse
    facts, splits = read_json(data.data / DATA_FACTS), read_json(data.data / SPLITS)

    def make(part: Path) -> int:
        for stem in facts["fields"]:
            pair = read_field(field_of(config.tissue, stem), data.labels)
            save_pair(part, stem, *coarsened(*pair, coarse))
        for case in config.tissue.validation_cases:
            own = [stem for stem in splits["validation"] if case_of(Path(stem)) == case]
            for stem in own[:WATCHED]:
                pair = read_field(field_of(config.tissue, stem), data.labels)
                save_pair(part, stem, *coarsened(*pair, coarse))
        return int(facts["patches"])

    inputs = {"data": key_of(data.data), "coarse": coarse, "whole": True}
    return fill(config.out / REAL, inputs, make, "cpu")
