"""Cutting training examples: image and labels stay together, however they are turned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from napari_histoaug.learning.latents import cache_latents, latent_tissue
from napari_histoaug.learning.tissue import (
    Region,
    Tissue,
    TissueError,
    case_of,
    find_fields,
    pixel_tissue,
    read_field,
    turn,
)
from napari_histoaug.models import TinyAutoencoder, TinyAutoencoderConfig


def write_field(folder: Path, name: str, size: int = 64) -> None:
    """A field that is red exactly where its label map says vessel."""
    labels = np.zeros((size, size), np.uint8)
    labels[size // 8 : size // 3, size // 2 :] = 1
    image = np.full((size, size, 3), 200, np.uint8)
    image[labels == 1] = (255, 0, 0)
    (folder / "labels").mkdir(exist_ok=True)
    Image.fromarray(image).save(folder / f"{name}.png")
    Image.fromarray(labels).save(folder / "labels" / f"{name}.png")


def test_case_names() -> None:
    assert case_of(Path("colon-submucosal-lipoma_x1024_y2048.jpg")) == "colon-submucosal-lipoma"


def test_labels_follow_the_image_through_every_turn(tmp_path: Path) -> None:
    write_field(tmp_path, "case_x0_y0")
    tissue = pixel_tissue(tmp_path, tmp_path / "labels", ["case"])
    rng = np.random.default_rng(0)
    shares = set()
    for _ in range(30):
        state, labels = tissue.cut(rng, 32)
        assert state.shape == (3, 32, 32)
        assert state.dtype == np.float32
        np.testing.assert_array_equal(state[1] == -1, labels == 1)
        shares.add(int(labels.sum()))
    assert len(shares) > 3


def test_centred_cuts_contain_labelled_tissue() -> None:
    labels = np.zeros((512, 512), np.uint8)
    labels[32:80, 400:450] = 1
    region = Region(np.zeros((512, 512, 3), np.uint8), labels)
    rng = np.random.default_rng(0)
    always = Tissue([region], vessel_share=1.0)
    assert all(always.cut(rng, 128)[1].any() for _ in range(50))
    never = Tissue([region], vessel_share=0.0)
    assert not all(never.cut(rng, 128)[1].any() for _ in range(50))


def test_cached_latents_equal_a_direct_encoding(tmp_path: Path) -> None:
    write_field(tmp_path, "case_x0_y0", size=512)
    autoencoder = TinyAutoencoder(
        TinyAutoencoderConfig(latent_channels=4, width=8, blocks=1, levels=2)
    ).eval()
    fields = find_fields(tmp_path, ["case"])
    cache_latents(autoencoder, fields, tmp_path / "cache")
    tissue, statistics = latent_tissue(
        tmp_path / "cache", fields, tmp_path / "labels", autoencoder.factor
    )
    region = tissue.regions[0]
    image, labels = read_field(fields[0], tmp_path / "labels")
    which = next(n for n in range(8) if (turn(labels, n) == region.labels).all())
    x = torch.from_numpy(turn(image, which)).permute(2, 0, 1)[None].float() / 127.5 - 1
    with torch.no_grad():
        direct = autoencoder.encode(x)[0].permute(1, 2, 0).numpy()
    direct = (direct - np.array(statistics.mean)) / np.array(statistics.std)
    # float16 on the way: 11 bits of mantissa.
    assert np.abs(region.state.astype(np.float32) - direct).mean() < 0.004


def test_encoding_skips_what_is_there(tmp_path: Path) -> None:
    write_field(tmp_path, "case_x0_y0", size=512)
    autoencoder = TinyAutoencoder(
        TinyAutoencoderConfig(latent_channels=4, width=8, blocks=1, levels=2)
    )
    fields = find_fields(tmp_path, ["case"])
    cache_latents(autoencoder, fields, tmp_path / "cache")
    (file,) = (tmp_path / "cache").glob("*.npy")
    np.save(file, np.zeros((1, 128, 128, 4), np.float16))
    cache_latents(autoencoder, fields, tmp_path / "cache", copies=2)
    assert not np.load(file).any()
    assert len(list((tmp_path / "cache").glob("*.npy"))) == 2


def test_missing_tissue_is_named(tmp_path: Path) -> None:
    with pytest.raises(TissueError, match="nowhere does not exist"):
        find_fields(tmp_path / "nowhere", ["case"])
    with pytest.raises(TissueError, match="no field of the case other"):
        find_fields(tmp_path, ["other"])
    write_field(tmp_path, "case_x0_y0")
    (tmp_path / "labels" / "case_x0_y0.png").unlink()
    with pytest.raises(TissueError, match="case_x0_y0 cannot be read"):
        pixel_tissue(tmp_path, tmp_path / "labels", ["case"])
    with pytest.raises(TissueError, match="no latents of case_x0_y0"):
        latent_tissue(tmp_path, find_fields(tmp_path, ["case"]), None, 4)


def test_the_share_of_vessels_asked_for_is_the_one_cut(tmp_path: Path) -> None:
    write_field(tmp_path, "case_x0_y0", size=512)
    rng = np.random.default_rng(0)
    tissue = pixel_tissue(tmp_path, tmp_path / "labels", ["case"], vessel_share=1.0)
    assert all(tissue.cut(rng, 128)[1].any() for _ in range(50))


def test_latents_of_another_encoder_are_refused_and_another_decoder_does_not_matter(
    tmp_path: Path,
) -> None:
    write_field(tmp_path, "case_x0_y0", size=512)
    fields = find_fields(tmp_path, ["case"])
    shape = TinyAutoencoderConfig(latent_channels=4, width=8, blocks=1)
    one, other = TinyAutoencoder(shape), TinyAutoencoder(shape)
    cache_latents(one, fields, tmp_path / "cache")
    written = (tmp_path / "cache" / f"{fields[0].stem}.0.npy").stat().st_mtime_ns
    other.encoder.load_state_dict(one.encoder.state_dict())
    cache_latents(other, fields, tmp_path / "cache")
    assert (tmp_path / "cache" / f"{fields[0].stem}.0.npy").stat().st_mtime_ns == written
    with pytest.raises(TissueError, match="made by another autoencoder"):
        cache_latents(TinyAutoencoder(shape), fields, tmp_path / "cache")


@pytest.mark.parametrize(
    ("size", "cell", "classes", "sentence"),
    [
        (100, 8, 1, "use a multiple of 8"),
        (4096, 8, 1, "larger than the smallest piece of tissue"),
        (64, 8, 0, "hold the value 1, but data.classes names 0 classes"),
    ],
)
def test_tissue_that_does_not_fit_the_network_is_a_sentence(
    tmp_path: Path, size: int, cell: int, classes: int, sentence: str
) -> None:
    write_field(tmp_path, "case_x0_y0", size=128)
    tissue = pixel_tissue(tmp_path, tmp_path / "labels", ["case"])
    with pytest.raises(TissueError, match=sentence):
        tissue.check(size, cell, classes)
