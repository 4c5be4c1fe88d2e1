"""Training from a manifest of patches: from slides, by extraction, to networks."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from napari_histoaug.annotations import write_geojson
from napari_histoaug.edits import EditRecord, EditStore
from napari_histoaug.generation import load_generator
from napari_histoaug.learning.batches import Examples
from napari_histoaug.learning.config import ConfigError, DataConfig, DiffusionTraining, load_config
from napari_histoaug.learning.diffusion import DiffusionTask
from napari_histoaug.learning.patch_latents import chunk_paths, latent_patch_tissue
from napari_histoaug.learning.patch_tissue import patch_tissue, told_by_manifest
from napari_histoaug.learning.scripts import train_autoencoder, train_diffusion
from napari_histoaug.learning.segmentation import said
from napari_histoaug.learning.segmentation_config import SegmentationTraining
from napari_histoaug.learning.segmentation_script import segmentation_tissue, train_segmentation
from napari_histoaug.learning.sources import pixels, settled
from napari_histoaug.learning.tissue import RIM, turn
from napari_histoaug.models import load_autoencoder
from napari_histoaug.patches.run import ExtractConfig, Here, run_extraction
from napari_histoaug.segmentation import load_segmenter
from napari_histoaug.slides import open_slide

_where = Path(__file__).parents[1] / "patches" / "conftest.py"
_spec = importlib.util.spec_from_file_location("patch_pieces", _where)
assert _spec is not None
assert _spec.loader is not None
pieces = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(pieces)

BOX = (100, 100, 48, 48)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two slides, one set each, written as zarr; the first has an accepted edit with a rim."""
    folder = tmp_path_factory.mktemp("data")
    names = "[{name: blood_vessel, color: [9, 9, 9]}, {name: fatty_tissue, color: [99, 9, 9]}]"
    (folder / "classes.yaml").write_text(f"classes: {names}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(folder / "user"))
        for number in range(2):
            path = folder / "slides" / f"{number}.tif"
            pieces.write_slide(path, pieces.pink_square(320, 384, 20, seed=number), halvings=1)
            write_geojson(pieces.discs(12, 320, 384, number), path.with_suffix(".geojson"))
        accept_with_rim(folder / "slides" / "0.tif")
        config = ExtractConfig.model_validate({
            "slides": folder / "slides", "out": folder / "patches", "form": "zarr", "part": 40,
            "classes": str(folder / "classes.yaml"),
            "patches": {"size": 64, "stride": 32, "mpp": 0.5}, "group_by": "slide",
            "splits": {"train": 0.5, "check": 0.5}, "held_out": {"check": ["1.tif"]},
        })  # fmt: skip
        run_extraction(config, Here())
    return folder


def accept_with_rim(path: Path) -> None:
    slide = open_slide(path)
    record = EditRecord(
        slide_sha256=slide.sha256(), box=BOX, label="blood_vessel", method="pixel-time"
    )
    changed, painted = np.ones((48, 48), bool), np.zeros((48, 48), bool)
    painted[8:40, 8:40] = True
    EditStore.open(slide).accept(np.full((48, 48, 3), 9, np.uint8), changed, record, painted)


@pytest.fixture(autouse=True)
def _same_user(folder: Path, _own_user_folders: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "user"))


def settings(folder: Path, out: Path, **changes: object) -> dict[str, object]:
    data = {
        "manifest": str(folder / "patches"), "form": "zarr", "crop": 64,
        "split": {"train": "train", "validation": "check"},
    }  # fmt: skip
    loop = {"out": str(out), "steps": 2, "batch": 2, "threads": 1}
    model = {"width": 8, "multipliers": [1, 2], "spade_hidden": 8, "unshuffle": 4}
    return {"data": data, "model": model, "loop": loop, **changes}


def written(content: dict[str, object], path: Path) -> str:
    path.write_text(yaml.safe_dump(content))
    return str(path)


def data_of(folder: Path, **changes: object) -> DataConfig:
    given = {**settings(folder, folder)["data"], **changes}  # type: ignore[dict-item]
    return told_by_manifest(DataConfig.model_validate(given))


def test_the_manifest_says_classes_and_pixel_size(folder: Path) -> None:
    data = data_of(folder)
    assert data.classes == ("blood_vessel", "fatty_tissue")
    assert data.mpp == 0.5
    with pytest.raises(ConfigError, match="classes are blood_vessel, fatty_tissue, not fat"):
        data_of(folder, classes=["fat"])
    with pytest.raises(ConfigError, match=r"at 0\.5 µm a pixel, not 1\.0"):
        data_of(folder, mpp=1.0)


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("data.tiles=here", "either tiles or manifest"),
        ("data.slides=here", "needs either slides, or the form"),
        ("data.form=null", "needs either slides, or the form"),
        ("data.train_cases=[a]", "cases belong to tiles"),
        ("data.split.validation=train", "the set train would be to learn from and to check"),
        ("data.split.train=dev", "no patch in the set 'dev'"),
        ("data.crop=128", "larger than the smallest piece of tissue"),
    ],
)
def test_a_bad_setting_has_its_sentence(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], override: str, sentence: str
) -> None:
    path = written(settings(folder, tmp_path / "run"), tmp_path / "c.yaml")
    assert train_diffusion(["--config", path, override]) == 2
    assert sentence in capsys.readouterr().err


def test_examples_are_the_same_from_slides_and_from_what_was_written(
    folder: Path, tmp_path: Path
) -> None:
    path = tmp_path / "c.yaml"
    written(settings(folder, tmp_path), path)
    from_slides = ["data.form=null", f"data.slides={folder / 'slides'}"]
    batches = []
    for overrides in ([], from_slides):
        config = settled(load_config(DiffusionTraining, path, ["data.crop=32", *overrides]))
        task = DiffusionTask(config, *pixels(config.data))
        whole = task.batch(Examples(3, 5, 8, 0, 8))
        part = task.batch(Examples(3, 5, 8, 4, 4))
        for name, tensor in part.items():
            assert torch.equal(tensor, whole[name][4:])
        batches.append(whole)
    for name, tensor in batches[0].items():
        assert torch.equal(tensor, batches[1][name])


def test_patches_are_read_when_asked_for_and_few_are_checked(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = data_of(folder, validation_patches=5)
    read: list[int] = []
    tissue = patch_tissue(data, "train")
    get = tissue.regions.data.__getitem__  # type: ignore[attr-defined]
    monkeypatch.setattr(
        type(tissue.regions.data),  # type: ignore[attr-defined]
        "__getitem__",
        lambda self, number: (read.append(number), get(number))[1],
    )
    tissue.check(64, 4, 2)
    tissue.cut(np.random.default_rng(0), 64)
    assert len(read) == 1
    assert len(pixels(data)[1].regions) == 5
    with pytest.raises(ConfigError, match=r"'check' of .* has no generated patch"):
        patch_tissue(data, "check", "generated")


def test_generated_patches_are_mixed_in_with_their_rim_marked(folder: Path, tmp_path: Path) -> None:
    content = settings(folder, tmp_path, model={"encoder": "resnet18"}, synthetic_share=0.5)
    content["data"] |= {  # type: ignore[operator]
        "form": None, "slides": str(folder / "slides"), "synthetic": True,
    }  # fmt: skip
    written(content, tmp_path / "c.yaml")
    config = settled(load_config(SegmentationTraining, tmp_path / "c.yaml"))
    train, held_out, synthetic = segmentation_tissue(config)
    assert synthetic is not None
    assert all(
        (region.labels < RIM).all() for tissue in (train, held_out) for region in tissue.regions
    )
    for region in synthetic.regions:
        made = (region.state == 9).all(2)
        marked = region.labels >= RIM
        # 8 px all around are rim; a pixel of the slide may be of the same colour, but is not here.
        assert made.any()
        assert not (marked & ~made).any()
        assert (said(region.labels, 0.2)[0][made & ~marked] == 1).all()
    assert sum((region.labels >= RIM).sum() for region in synthetic.regions) > 0
    with pytest.raises(ConfigError, match="from two places"):
        segmentation_tissue(
            config.model_copy(update={"synthetic": {"tiles": tmp_path, "labels": tmp_path}})
        )


def test_from_slides_to_a_generator_and_a_segmenter(folder: Path, tmp_path: Path) -> None:
    path = written(settings(folder, tmp_path / "run"), tmp_path / "c.yaml")
    assert train_diffusion(["--config", path]) == 0
    generator = load_generator(tmp_path / "run" / "generator", device="cpu")
    assert generator.classes == ("blood_vessel", "fatty_tissue")
    assert generator.mpp == (0.5, 0.5)
    shape = {"encoder": "resnet18", "width": 8, "decoder": [8, 8, 8, 8, 8]}
    second = settings(folder, tmp_path / "seg", model=shape, window=64)
    assert train_segmentation(["--config", written(second, tmp_path / "s.yaml")]) == 0
    segmenter = load_segmenter(tmp_path / "seg" / "segmenter", "cpu")
    assert segmenter.classes == ("blood_vessel", "fatty_tissue")
    rows = (tmp_path / "seg" / "log.jsonl").read_text().splitlines()
    assert any("held_out_dice" in json.loads(row) for row in rows)
    report = (tmp_path / "run" / "report.html").read_text()
    assert str(folder) not in report


def test_latents_of_patches_are_encoded_once_and_are_those_of_the_pixels(
    folder: Path, tmp_path: Path
) -> None:
    shape = {"widths": [16, 16], "codes": 8, "unshuffle": 2, "latent_channels": 4}
    first = settings(folder, tmp_path / "vq", model=shape)
    assert train_autoencoder(["--config", written(first, tmp_path / "vq.yaml")]) == 0
    coder = tmp_path / "vq" / "autoencoder"
    unet = {"width": 8, "multipliers": [1, 2], "spade_hidden": 8}
    second = settings(folder, tmp_path / "run", model=unet, autoencoder=str(coder), copies=2)
    path = written(second, tmp_path / "c.yaml")
    assert train_diffusion(["--config", path]) == 0
    train, _ = pixels(data_of(folder))
    cache, name = tmp_path / "run" / "latents", train.facts.digest
    tissue, statistics = latent_patch_tissue(cache, train, 4, copies=2)
    count = len(train.regions)
    assert len(tissue.regions) == 2 * count
    autoencoder = load_autoencoder(coder).eval()
    for index in (0, count + 3):
        pixel, latent = train.regions[index % count], tissue.regions[index]
        which = next(n for n in range(8) if (turn(pixel.labels, n) == latent.labels).all())
        x = torch.from_numpy(turn(pixel.state, which)).permute(2, 0, 1)[None].float() / 127.5 - 1
        with torch.no_grad():
            direct = autoencoder.encode(x)[0].permute(1, 2, 0).numpy()
        direct = (direct - np.array(statistics.mean)) / np.array(statistics.std)
        assert np.abs(latent.state - direct).mean() < 0.01
    before = [p.stat().st_mtime_ns for p in chunk_paths(cache, name, 1, 0)]
    assert train_diffusion(["--config", path, "loop.steps=3"]) == 0
    assert [p.stat().st_mtime_ns for p in chunk_paths(cache, name, 1, 0)] == before
