"""Several data sets in one generator: combined fields, a network told which, a generator asked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from napari_histoaug.generation import GenerationError, load_generator, synthesize
from napari_histoaug.learning.batches import Examples
from napari_histoaug.learning.combining import CombineConfig, combine, combine_data_sets
from napari_histoaug.learning.config import ConfigError, DiffusionTraining, load_config
from napari_histoaug.learning.diffusion import DiffusionTask
from napari_histoaug.learning.scripts import fit_diffusion
from napari_histoaug.learning.sources import pixels


def member(folder: Path, case: str, colour: int, size: int, values: list[int]) -> dict:
    """A data set of one field, each class a band of rows."""
    (folder / "labels").mkdir(parents=True)
    rng = np.random.default_rng(colour)
    image = rng.integers(colour, colour + 20, (size, size, 3), dtype=np.uint8)
    labels = np.repeat(np.array(values, np.uint8), size // len(values))[:, None].repeat(size, 1)
    Image.fromarray(image).save(folder / f"{case}_x0_y0.png")
    Image.fromarray(labels).save(folder / "labels" / f"{case}_x0_y0.png")
    return {"tiles": folder, "labels": folder / "labels", "cases": [case]}


@pytest.fixture
def config(tmp_path: Path) -> CombineConfig:
    heart = member(tmp_path / "heart", "one", 100, 128, [0, 1, 2, 0])
    breast = member(tmp_path / "breast", "two", 180, 64, [0, 1])
    return CombineConfig.model_validate(
        {
            "out": tmp_path / "out",
            "mpp": 1.0,
            "classes": ["fat", "blood_vessel"],
            "rename": {"vessel": "blood_vessel"},
            "sets": {
                "heart": {**heart, "classes": ["blood_vessel", "muscle"], "mpp": 0.5},
                "breast": {**breast, "classes": ["vessel"], "mpp": 1.0},
            },
        }
    )


def test_fields_get_one_pixel_size_and_one_class_table(config: CombineConfig) -> None:
    names = yaml.safe_load(combine(config).read_text())
    assert names == {"data_sets": {"heart": ["heart.one"], "breast": ["breast.two"]}}
    heart, breast = (
        np.asarray(Image.open(config.out / "labels" / f"{name}_x0_y0.png"))
        for name in ("heart.one", "breast.two")
    )
    assert heart.shape == breast.shape == (64, 64)
    # Vessels are class 2 of the combined ones; muscle is none of them.
    assert [int(heart[row, 0]) for row in (8, 24, 40, 56)] == [0, 2, 0, 0]
    assert [int(breast[row, 0]) for row in (8, 40)] == [0, 2]


def test_a_value_without_a_name_is_told(config: CombineConfig) -> None:
    short = config.sets["heart"].model_copy(update={"classes": ("blood_vessel",)})
    with pytest.raises(ConfigError, match=r"value 2, but sets\.heart\.classes names 1"):
        combine(config.model_copy(update={"sets": {"heart": short}}))


def test_one_generator_learns_both_and_makes_either(config: CombineConfig, tmp_path: Path) -> None:
    names = yaml.safe_load(combine(config).read_text())["data_sets"]
    training = DiffusionTraining.model_validate(
        {
            "data": {
                "tiles": config.out / "tiles",
                "labels": config.out / "labels",
                "train_cases": ["heart.one", "breast.two"],
                "validation_cases": ["heart.other"],
                "data_sets": {**names, "heart": [*names["heart"], "heart.other"]},
                "classes": config.classes,
                "crop": 32,
            },
            "model": {"width": 8, "multipliers": [1, 2], "spade_hidden": 8, "unshuffle": 4},
            "loop": {"out": tmp_path / "run", "steps": 3, "batch": 4, "sample_every": 0},
            "label_drop": 0,
        }
    )
    for kind, ending in (("tiles", "png"), ("labels", "png")):
        source = config.out / kind / f"heart.one_x0_y0.{ending}"
        (config.out / kind / f"heart.other_x0_y0.{ending}").write_bytes(source.read_bytes())
    generator = load_generator(fit_diffusion(training), "cpu")
    assert generator.index.data_sets == ("heart", "breast")
    assert generator.unet.dataset is not None
    assert generator.unet.dataset.num_embeddings == 3
    task = DiffusionTask(training, *pixels(training.data))
    assert set(task.batch(Examples(0, 0, 32, 0, 32))["data_set"].tolist()) == {1, 2}
    told: list[int] = []
    usual = generator.unet.forward

    def listening(x, t, hole, labels, dataset, maps):  # type: ignore[no-untyped-def]
        told.extend(dataset.tolist())
        return usual(x, t, hole, labels, dataset, maps)

    generator.unet.forward = listening
    for name, number in (("heart", 1), ("breast", 2), (None, 0)):
        told.clear()
        synthesize(generator.like(name), np.zeros((32, 32), np.uint8), steps=2)
        assert set(told) == {number}
    with pytest.raises(GenerationError, match="not taught on the data set 'skin'; it knows heart"):
        generator.like("skin")


def test_every_case_is_in_one_data_set(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    data = {
        "tiles": "t",
        "train_cases": ["a"],
        "validation_cases": ["b"],
        "data_sets": {"x": ["a"]},
    }
    path.write_text(yaml.safe_dump({"data": data, "loop": {"out": "o", "steps": 1}, "model": {}}))
    with pytest.raises(ConfigError, match="case b must be in exactly one of data_sets"):
        load_config(DiffusionTraining, path)


def test_the_script_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(yaml.safe_dump({"out": "o", "classes": ["a"], "rename": {"b": "c"}}))
    assert combine_data_sets(["--config", str(path)]) == 2
    assert "sets" in capsys.readouterr().err
