"""A whole study in small: every stage, what is skipped, what goes on, and what the test saw."""

from __future__ import annotations

import json
import shutil
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pyarrow import parquet
from scipy import ndimage

from napari_histoaug.generation import load_generator
from napari_histoaug.learning import latents
from napari_histoaug.learning.config_files import ConfigError, load_config
from napari_histoaug.learning.loop import never
from napari_histoaug.learning.tissue import TissueError
from napari_histoaug.metrics import Confusion
from napari_histoaug.models import SpadeUNet, SpadeUNetConfig
from napari_histoaug.models.folder import GeneratorIndex, SamplingDefaults, save_generator
from napari_histoaug.study import stages
from napari_histoaug.study.config import ImagesConfig, NetworksConfig, StudyConfig
from napari_histoaug.study.errors import StudyError
from napari_histoaug.study.imaging import variants
from napari_histoaug.study.networks import network_names, network_of
from napari_histoaug.study.predicting import SHADES, shade
from napari_histoaug.study.preparing import coarsened, draw
from napari_histoaug.study.provenance import leaks
from napari_histoaug.study.scoring import best_shade, curve_of
from napari_histoaug.study.script import every, run_all, run_stage, run_stages
from napari_histoaug.study.teaching import CellName, start_training, training_of

SIDE = 128
CASES = {"train": ("aorta", "bowel"), "validation": ("colon", "dermis"), "test": ("eye",)}
ROOT = Path(__file__).parents[2]


def field(folder: Path, split: str, name: str, seed: int) -> None:
    """A field: small dark discs on the left, nothing on the right, a disputed one at the corner."""
    rng = np.random.default_rng(seed)
    image = rng.integers(170, 200, (SIDE, SIDE, 3), dtype=np.uint8)
    rows, columns = np.mgrid[:SIDE, :SIDE] + 0.5
    features = []
    for y in range(12, SIDE - 8, 24):
        for x in (12, 36):
            image[np.hypot(rows - y, columns - x) < 5] = (150, 40, 60)
            corners = [
                [x + 5 * np.cos(a), y + 5 * np.sin(a)] for a in np.linspace(0, 2 * np.pi, 17)
            ]
            features.append(outline(corners, "blood_vessel"))
    features.append(outline([[120, 120], [127, 120], [127, 127], [120, 120]], "disputed*"))
    Image.fromarray(image).save(folder / "tiles" / f"{name}.png")
    path = folder / "annotations" / split / f"{name}.geojson"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))


def outline(corners: list[list[float]], name: str) -> dict[str, Any]:
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [[*corners[:-1], corners[0]]]},
        "properties": {"objectType": "annotation", "classification": {"name": name}},
    }


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> StudyConfig:
    folder = tmp_path_factory.mktemp("study")
    (folder / "tiles").mkdir()
    named = [(split, case, x) for split, of in CASES.items() for case in of for x in (0, SIDE)]
    for seed, (split, case, x) in enumerate(named):
        field(folder, split, f"{case}_x{x}_y0", seed)
    torch.manual_seed(0)
    shape = SpadeUNetConfig(width=8, multipliers=(1, 2), spade_hidden=8, unshuffle=4)
    index = GeneratorIndex(
        name="small", classes=("blood_vessel",), mpp=(0.5, 0.5), patch=64,
        sampling=SamplingDefaults(steps=2),
    )  # fmt: skip
    save_generator(folder / "generator", index, SpadeUNet(shape), None)
    return StudyConfig.model_validate(
        {
            "out": folder / "run",
            "tissue": {
                "tiles": folder / "tiles",
                "annotations": folder / "annotations",
                **{f"{split}_cases": cases for split, cases in CASES.items()},
                "patch": 64,
                "fields": 2,
            },
            "pools": {
                "plain": 2,
                "donor": 2,
                "removed": 2,
                "method": "pixel-time",
                "model": str(folder / "generator"),
                "generator_cases": ["aorta"],
                "device": "cpu",
                "placing": {"shapes": "vessels", "diameter": [10, 13]},
            },
            "segmenter": {
                "model": {"encoder": "resnet18", "width": 8, "decoder": [8, 8, 8, 8, 8]},
                "crop": 32,
                "start_steps": 2,
                "steps": 2,
                "batch": 3,
            },
            "filter": {"model": {"width": 4, "side": 16, "stages": 2}, "steps": 2},
            "selection": {"least_agreement": 0, "most_left": 1, "least_realism": 0, "steps": 2},
            "ratios": [100],
            "seeds": [0],
        }
    )


@pytest.fixture(scope="module")
def run(config: StudyConfig) -> Path:
    assert run_all(config, ["all"], never) == 0
    return config.out


def test_every_stage_leaves_its_result_its_key_and_its_cost(run: Path) -> None:
    assert (run / "report" / "index.html").is_file()
    results = json.loads((run / "results.json").read_text())
    assert {(c["recipe"], c["split"]) for c in results["cells"]} == {
        (recipe, split)
        for recipe in ("real", "plain", "donor", "hard-negatives", "selection")
        for split in ("validation", "test")
    }
    for place in ("data", "real", "starts/0", "made/donor", "pools/donor", "cells/real-0-0"):
        cost = json.loads((run / place / "cost.json").read_text())
        assert cost["seconds"] > 0
        assert cost["count"] > 0
        assert (run / place / "key.json").is_file()
    assert not list(run.rglob("*.part"))


def test_what_is_there_is_not_made_again(config: StudyConfig, run: Path) -> None:
    for stage in ("data", "real", "starts/0", "made/plain", "pools/plain", "cells/plain-100-0",
                  "scores/validation/plain-100-0", "scores/test/plain-100-0"):  # fmt: skip
        assert not run_stage(config, stage, never)


def test_scores_add_up_and_disputed_places_do_not_count(config: StudyConfig, run: Path) -> None:
    scores = json.loads((run / "cells" / "real-0-0" / "scores-test.json").read_text())
    fields = scores["fields"]
    assert set(fields) == {"eye_x0_y0", "eye_x128_y0"}
    truth = {name: counts["tp"] + counts["fn"] for name, counts in fields.items()}
    labels = np.asarray(Image.open(run / "data" / "labels" / "eye_x0_y0.png"))
    assert set(np.unique(labels)) == {0, 1, 255}
    small = coarsened(np.zeros((*labels.shape, 3), np.uint8), labels, config.segmenter.coarse)[1]
    assert truth["eye_x0_y0"] == int((small == 1).sum())
    everything = scores["curve"][0]
    known = sum(int((small != 255).sum()) for _ in fields)
    assert everything["threshold"] == 0
    assert everything["tp"] + everything["fp"] == known


def test_the_best_threshold_is_found_wherever_the_answers_crowd() -> None:
    true, false = np.zeros(SHADES + 1, np.int64), np.zeros(SHADES + 1, np.int64)
    true[[100, 1801, 1802]] = 10, 50, 40
    false[[0, 1800, 1801]] = 1000, 300, 5
    chosen = best_shade(true, false)
    assert chosen == 1801
    curve = curve_of(true, false, chosen)
    at = dict(curve)
    assert at[1801 / SHADES] == Confusion(90, 5, 10)
    assert at[0.0] == Confusion(100, 1305, 0)
    assert [t for t, _ in curve] == sorted(at)
    assert all(shade(threshold) == round(threshold * SHADES) for threshold in at)


def test_pools_hold_what_their_recipes_say(run: Path) -> None:
    kinds = {}
    for recipe in ("plain", "donor", "hard-negatives", "selection"):
        table = parquet.read_table(run / "pools" / recipe / "manifest.parquet").to_pylist()
        kinds[recipe] = sorted(row["kind"] for row in table)
        dropped = json.loads((run / "pools" / recipe / "dropped.json").read_text())
        judged = [row for row in table if row["kind"] != "untouched"]
        assert len(judged) + sum(dropped.values()) == (2 if recipe in ("plain", "donor") else 4)
    assert kinds["plain"] == ["plain"] * 2
    assert kinds["donor"] == ["donor"] * 2
    assert kinds["hard-negatives"] == ["donor"] * 2 + ["removed"] * 2 + ["untouched"] * 2


def test_untouched_places_are_pairs_without_their_vessel(run: Path) -> None:
    pool = run / "pools" / "hard-negatives"
    for index in range(2):
        pairs = [f"{kind}_x{index:07d}_y0.png" for kind in ("donor", "untouched")]
        image, before = (np.asarray(Image.open(pool / "tiles" / name)) for name in pairs)
        labels, empty = (np.asarray(Image.open(pool / "labels" / name)) for name in pairs)
        made = ndimage.binary_fill_holes(labels >= 128)
        np.testing.assert_array_equal(image[~made], before[~made])
        np.testing.assert_array_equal(labels[~made], empty[~made])
        assert (image[made] != before[made]).any()
        assert not empty[made].any()
        for name in pairs:
            assert (pool / "small" / "tiles" / name).is_file()


def test_cells_go_on_from_the_start_of_their_seed(
    config: StudyConfig, run: Path, tmp_path: Path
) -> None:
    parts = {}
    for name in ("real-0-0", "donor-100-0"):
        training = training_of(config, CellName.parse(name), tmp_path)
        assert training.start == run / "starts" / "0" / "segmenter"
        assert (training.loop.steps, training.loop.decay_to) == (2, 0.05)
        parts[name] = training
    assert parts["real-0-0"].synthetic is None
    start = start_training(config, 0, tmp_path)
    assert start.loop.seed != parts["real-0-0"].loop.seed
    assert (start.start, start.loop.decay_to) == (None, 1)
    facts = json.loads((run / "starts" / "0" / "start.json").read_text())
    content = json.loads((run / "provenance.json").read_text())
    assert content["starts"] == {"0": facts["fields"]}
    content["starts"]["0"].append("eye_x0_y0")
    assert leaks(content) == ["The start of seed 0 was taught on other fields than its cells."]
    alone = config.model_copy(
        update={"segmenter": config.segmenter.model_copy(update={"start_steps": 0})}
    )
    assert training_of(alone, CellName.parse("real-0-0"), tmp_path).start is None
    assert "starts/0" in list(takewhile(lambda stage: stage != "winner", every(config)))
    assert "starts/0" not in list(takewhile(lambda stage: stage != "winner", every(alone)))
    with pytest.raises(StudyError, match="share no start"):
        run_stage(alone, "starts/0", never)
    with pytest.raises(StudyError, match="names no start"):
        run_stage(config, "starts/first", never)


def test_a_removed_vessel_is_background(run: Path) -> None:
    table = parquet.read_table(run / "pools" / "hard-negatives" / "manifest.parquet").to_pylist()
    for row in table:
        labels = np.asarray(Image.open(run / "pools" / "hard-negatives" / row["labels"]))
        rim = labels >= 128
        assert rim.any() == (row["kind"] != "untouched")
        if row["kind"] == "untouched":
            continue
        inside = ndimage.binary_fill_holes(rim) & ~rim
        assert set(np.unique(labels[inside])) == ({0} if row["kind"] == "removed" else {1})


def test_no_test_tissue_touches_anything_before_the_end(run: Path) -> None:
    content = json.loads((run / "provenance.json").read_text())
    assert leaks(content) == []
    test_hash = content["fields"]["test"]["eye_x0_y0"]
    content["pools"]["plain"]["tissue"].append(test_hash)
    content["pools"]["donor"]["donors"].append("unknown")
    content["generator_cases"].append("eye")
    content["thresholds"]["real-0-0"][1] = 0.123
    content["taught_on"].append("eye_x0_y0")
    assert len(leaks(content)) == 5


def test_a_generator_taught_on_a_test_case_is_refused(config: StudyConfig) -> None:
    content = config.model_dump()
    content["pools"]["generator_cases"] = ("eye",)
    with pytest.raises(ValueError, match="taught on the held-out case eye"):
        StudyConfig.model_validate(content)


def test_the_test_is_not_touched_before_a_choice(
    config: StudyConfig, run: Path, tmp_path: Path
) -> None:
    shutil.copytree(run, tmp_path / "run")
    (tmp_path / "run" / "chosen.json").unlink()
    (tmp_path / "run" / "cells" / "real-0-0" / "scores-test.key.json").unlink()
    other = config.model_copy(update={"out": tmp_path / "run"})
    with pytest.raises(StudyError, match="the test is touched once"):
        run_stage(other, "scores/test/real-0-0", never)


def test_parts_of_a_kind_are_what_one_process_makes(
    config: StudyConfig, run: Path, tmp_path: Path
) -> None:
    shutil.copytree(run / "data", tmp_path / "run" / "data")
    pools = config.pools.model_copy(update={"shards": 2})
    other = config.model_copy(update={"out": tmp_path / "run", "pools": pools})
    with pytest.raises(StudyError, match="not there yet"):
        run_stage(other, "made/plain", never)
    for stage in ("made/plain:2of2", "made/plain:1of2", "made/plain"):
        assert run_stage(other, stage, never)
    for folder in ("tiles", "labels", "rows"):
        for path in (run / "made" / "plain" / folder).iterdir():
            twin = tmp_path / "run" / "made" / "plain" / folder / path.name
            assert twin.read_bytes() == path.read_bytes()


def test_networks_of_the_study_are_taught_on_its_tissue_and_judged(
    config: StudyConfig, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(run / "data", tmp_path / "run" / "data")
    shutil.copytree(run / "made", tmp_path / "run" / "made")
    for name in ("splits.json", "data.json"):
        shutil.copy(run / name, tmp_path / "run" / name)
    common = "data: {tiles: elsewhere, train_cases: [eye], validation_cases: [eye], crop: 64}\n"
    loop = "loop: {out: elsewhere, steps: 2, batch: 2, threads: 1}\n"
    (tmp_path / "vq.yaml").write_text(
        f"{common}{loop}model: {{latent_channels: 4, codes: 16, widths: [16, 16], blocks: 1, "
        "unshuffle: 2}\nperceptual: {weight: 0}\n"
    )
    (tmp_path / "unet.yaml").write_text(
        f"{common}{loop}model: {{width: 8, multipliers: [1, 2], spade_hidden: 8}}\n"
    )
    networks = NetworksConfig(
        autoencoders={"latent-4": tmp_path / "vq.yaml"},
        generators={"latent-4": tmp_path / "unet.yaml", "pixel": tmp_path / "unet.yaml"},
        settings=("loop.seed=3",),
    )
    other = config.model_copy(update={"out": tmp_path / "run", "networks": networks})
    known = takewhile(lambda stage: stage != "winner", every(other))
    assert [stage for stage in known if stage.startswith("networks")] == network_names(other)
    with pytest.raises(StudyError, match="not there yet"):
        run_stage(other, "networks/generators/latent-4", never)
    assert run_stage(other, "networks/autoencoders/latent-4", never)
    with pytest.raises(TissueError, match="128 x 128 pixels; to be learnt as latents"):
        run_stage(other, "networks/generators/latent-4", never)
    shutil.rmtree(other.out / "networks" / "generators" / "latent-4.part")
    monkeypatch.setattr(latents, "PIECE", 64)
    for stage in network_names(other)[1:]:
        assert run_stage(other, stage, never)
        assert not run_stage(other, stage, never)
        assert (other.out / stage / "report.html").is_file()
    for name, channels in (("latent-4", 4), ("pixel", 3)):
        made = load_generator(str(network_of(other, f"networks/generators/{name}")), "cpu")
        assert made.unet.config.channels == channels
        assert made.classes == ("blood_vessel",)
    assert {"reconstruction-4", "latent-4", "pixel"} <= {name for name, _ in variants(other)}
    with pytest.raises(StudyError, match="no generator latent-8; its configuration names latent-4"):
        run_stage(other, "networks/generators/latent-8", never)


def test_an_interrupted_stage_goes_on_and_a_changed_one_starts_anew(tmp_path: Path) -> None:
    place = tmp_path / "stage"

    def killed(part: Path) -> int:
        (part / "half").touch()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stages.fill(place, {"a": 1}, killed, "cpu")
    assert not place.exists()
    seen = []
    for inputs in ({"a": 2}, {"a": 2}):
        stages.fill(place, inputs, lambda part: seen.append((part / "half").exists()) or 1, "cpu")
    assert seen == [False]
    with pytest.raises(KeyboardInterrupt):
        stages.fill(place, {"a": 3}, killed, "cpu")
    stages.fill(place, {"a": 3}, lambda part: seen.append((part / "half").exists()) or 1, "cpu")
    assert seen == [False, True]


def test_fields_are_drawn_from_every_case(config: StudyConfig) -> None:
    shares = {f"{case}_x{x}_y0": 0.05 for case in ("aorta", "bowel") for x in range(8)}
    tissue = config.tissue.model_copy(update={"fields": 4})
    drawn = draw(tissue, shares)
    assert len(drawn) == 4
    assert sum(name.startswith("aorta") for name in drawn) == 2
    assert drawn == draw(tissue, shares)
    with pytest.raises(StudyError, match="Only 16 training fields"):
        draw(config.tissue.model_copy(update={"fields": 17}), shares)


def test_shrinking_keeps_what_most_pixels_say() -> None:
    labels = np.array([[1, 1, 0, 0], [1, 0, 0, 1], [128, 0, 255, 0], [0, 0, 0, 0]], np.uint8)
    image = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    small, said = coarsened(image, labels, 2)
    assert said.tolist() == [[1, 0], [128, 255]]
    assert small[0, 0].tolist() == image[:2, :2].mean((0, 1)).round().astype(int).tolist()


@pytest.mark.parametrize("name", ["donor-100", "real-100-0", "donor-0-1", "donor-x-1"])
def test_names_of_cells_are_checked(name: str) -> None:
    with pytest.raises(StudyError, match="names no cell"):
        CellName.parse(name)


def test_a_failed_stage_keeps_the_rest(
    config: StudyConfig, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["nonsense", "pools/plain"]
    assert run_all(config, names, never, keep_going=True) == 1
    said = capsys.readouterr().err
    assert "There is no stage nonsense" in said
    assert "pools/plain: there already" in said


def test_bad_settings_are_sentences(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = ROOT / "training" / "configs" / "study-demo.yaml"
    arguments = ["data", "--config", str(path), "--set", f"out={tmp_path}"]
    assert run_stages([*arguments, "compared_at=70"]) == 2
    assert "compared_at is none of the ratios" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="is in two sets"):
        load_config(StudyConfig, path, ["tissue.test_cases=[fat-necrosis]"])


def test_judged_pictures_stand_beside_the_tissue_they_were_made_of(
    config: StudyConfig, run: Path
) -> None:
    source = str(config.pools.model)
    images = ImagesConfig(count=4, steps=2, generators={"latent-0": source})
    of = {
        name: make()
        for name, make in variants(config.model_copy(update={"images": images, "out": run}))
    }
    assert set(of) == {"inpainted", "inpainted-donor", "latent-0"}
    for name in ("inpainted", "inpainted-donor"):
        pictures = of[name]
        assert pictures.before is not None
        assert pictures.made_holes is not None
        for before, made, hole in zip(
            pictures.before, pictures.made, pictures.made_holes, strict=True
        ):
            assert hole.any()
            np.testing.assert_array_equal(made[~hole], before[~hole])
            assert (made[hole] != before[hole]).any()
    whole = of["latent-0"]
    assert len(whole.made) == len(whole.real) == 4
    assert all(image.shape == (64, 64, 3) for image in whole.made)
