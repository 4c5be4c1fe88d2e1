"""Generators that come and go: whole, recorded, renamed, and never unpickled."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import yaml

from napari_histoaug.cli.commands import main
from napari_histoaug.generation import load_generator
from napari_histoaug.models import (
    LatentStatistics,
    ModelError,
    SpadeUNet,
    SpadeUNetConfig,
    TinyAutoencoder,
    TinyAutoencoderConfig,
)
from napari_histoaug.models.checkpoints import save_tensors
from napari_histoaug.models.exchange import (
    Mapping,
    export_generator,
    import_generator,
    read_mapping,
    renamed,
)
from napari_histoaug.models.folder import GeneratorIndex, load_parts, save_generator
from napari_histoaug.models.sums import check_sums

SHAPE = SpadeUNetConfig(channels=12, width=8, multipliers=(1, 2), spade_hidden=8)
INDEX = {"name": "tiny", "classes": ["blood_vessel"], "mpp": [0.5, 0.5]}


@pytest.fixture
def generator(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    shape = TinyAutoencoderConfig(latent_channels=12, colour_cell=4, width=8, blocks=1)
    statistics = LatentStatistics(mean=(0.0,) * 12, std=(1.0,) * 12)
    index = GeneratorIndex.model_validate({**INDEX, "latents": statistics})
    folder = tmp_path / "tiny"
    save_generator(folder, index, SpadeUNet(SHAPE), TinyAutoencoder(shape))
    return folder


def test_show_says_what_it_is(generator: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["model", "show", str(generator)]) == 0
    said = capsys.readouterr().out
    for fact in ("blood_vessel", "0.5 x 0.5 µm", "12 channels, factor 8", "v prediction"):
        assert fact in said
    assert load_parts(generator).sha256 in said


def test_verify_finds_a_changed_a_missing_and_a_foreign_file(
    generator: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["model", "verify", str(generator)]) == 0
    assert "every file is as recorded" in capsys.readouterr().out
    (generator / "extra.json").write_text("{}")
    assert main(["model", "verify", str(generator)]) == 2
    assert "extra.json does not belong" in capsys.readouterr().err
    (generator / "extra.json").unlink()
    weights = generator / "unet" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert main(["model", "verify", str(generator)]) == 2
    assert "is not the file that was recorded" in capsys.readouterr().err
    weights.unlink()
    assert main(["model", "verify", str(generator)]) == 2
    assert "is missing" in capsys.readouterr().err


def test_the_bundled_generator_is_as_recorded() -> None:
    # Weights that were replaced need a new record: write_sums(folder).
    assert check_sums(Path(__file__).parents[2] / "napari_histoaug/models/generators/bundled")


def test_export_and_import_change_no_weight(
    generator: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "exported"
    options = ["--model", str(generator), "--precision", "float32"]
    assert main(["model", "export", str(out), *options]) == 0
    assert check_sums(out)
    assert main(["model", "import", str(out), "--name", "mine"]) == 0
    ours, theirs = load_generator("mine", "cpu"), load_generator(generator, "cpu")
    torch.testing.assert_close(ours.unet.state_dict(), theirs.unet.state_dict(), rtol=0, atol=0)
    assert ours.index == theirs.index
    assert main(["model", "import", str(out), "--name", "mine"]) == 2
    assert "choose a new one" in capsys.readouterr().err
    assert main(["model", "export", str(out), *options]) == 2
    assert "is there already" in capsys.readouterr().err


def test_a_diffusers_folder_with_its_autoencoder_and_a_mapping(
    generator: Path, tmp_path: Path
) -> None:
    from diffusers import AutoencoderTiny

    theirs = tmp_path / "theirs"
    (generator / "unet").rename(tmp_path / "unet")
    theirs.mkdir()
    (tmp_path / "unet").rename(theirs / "unet")
    (theirs / "unet" / "model.safetensors").rename(
        theirs / "unet" / "diffusion_pytorch_model.safetensors"
    )
    (generator / "scheduler").rename(theirs / "scheduler")
    widths = (8, 8, 8, 8)
    AutoencoderTiny(
        latent_channels=12,
        encoder_block_out_channels=widths,
        decoder_block_out_channels=widths,
        num_encoder_blocks=(1, 1, 1, 1),
        num_decoder_blocks=(1, 1, 1, 1),
        scaling_factor=0.5,
    ).save_pretrained(theirs / "vae")
    (theirs / "model_index.json").write_text(json.dumps({"_class_name": "LDMPipeline"}))
    with pytest.raises(ModelError, match="LDMPipeline, which names no classes"):
        import_generator(theirs, tmp_path / "out")
    path = tmp_path / "mapping.yaml"
    path.write_text(yaml.safe_dump({"index": INDEX}))
    import_generator(theirs, tmp_path / "out", read_mapping(path))
    parts = load_parts(tmp_path / "out")
    assert parts.index.latents == LatentStatistics(mean=(0.0,) * 12, std=(2.0,) * 12)
    assert check_sums(tmp_path / "out")


def test_one_file_of_weights_with_other_names(tmp_path: Path) -> None:
    torch.manual_seed(0)
    unet = SpadeUNet(SHAPE.model_copy(update={"channels": 3}))
    foreign = {f"net.{k.replace('enter', 'head')}": v for k, v in unet.state_dict().items()}
    save_tensors(foreign, tmp_path / "theirs.safetensors")
    shape = unet.config.model_dump(mode="json")
    mapping = Mapping.model_validate(
        {"index": INDEX, "unet": shape, "rename": [[r"^net\.", ""], ["^head", "enter"]]}
    )
    import_generator(tmp_path / "theirs.safetensors", tmp_path / "out", mapping)
    found = load_parts(tmp_path / "out").unet.state_dict()
    torch.testing.assert_close(found, unet.state_dict(), rtol=0, atol=0)
    short = mapping.model_copy(update={"rename": ((r"^net\.", ""),)})
    with pytest.raises(ModelError, match=r"lacks the tensor enter\.weight"):
        import_generator(tmp_path / "theirs.safetensors", tmp_path / "other", short)
    assert not (tmp_path / "other").exists()
    assert not list(tmp_path.glob(".*.part"))
    with pytest.raises(ModelError, match="holds weights only; pass --mapping"):
        import_generator(tmp_path / "theirs.safetensors", tmp_path / "other")


def test_two_names_cannot_become_one() -> None:
    tensors = {"a.x": torch.zeros(1), "b.x": torch.zeros(1)}
    with pytest.raises(ModelError, match="two tensors the name x"):
        renamed(tensors, ((r"^[ab]\.", ""),))


@pytest.mark.parametrize("name", ["weights.ckpt", "weights.bin", "weights.pt"])
def test_pickles_are_refused_unopened(generator: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"cos\nsystem\n")
    with pytest.raises(ModelError, match="is a pickle, which can run code"):
        import_generator(tmp_path / name, tmp_path / "out")
    (generator / "unet" / "model.safetensors").unlink()
    (tmp_path / name).rename(generator / "unet" / name)
    with pytest.raises(ModelError, match="is a pickle"):
        import_generator(generator, tmp_path / "out")


def test_a_schedule_or_a_mapping_that_cannot_be_meant_is_a_sentence(
    generator: Path, tmp_path: Path
) -> None:
    path = generator / "scheduler" / "scheduler_config.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "beta_schedule": "scaled_linear"}))
    with pytest.raises(ModelError, match="asks for scaled_linear betas"):
        import_generator(generator, tmp_path / "out")
    path.write_text(json.dumps({**content, "prediction_type": "epsilon"}))
    with pytest.raises(ModelError, match="says epsilon, the U-Net v_prediction"):
        import_generator(generator, tmp_path / "out")
    bad = tmp_path / "bad.yaml"
    bad.write_text("rename: [['(', '']]")
    with pytest.raises(ModelError, match=r"is not valid at rename: .*not a regular expression"):
        read_mapping(bad)


def test_other_betas_survive(generator: Path, tmp_path: Path) -> None:
    path = generator / "scheduler" / "scheduler_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "beta_end": 0.012}))
    export_generator(generator, tmp_path / "out", torch.float16)
    assert load_parts(tmp_path / "out").schedule.beta_end == 0.012
