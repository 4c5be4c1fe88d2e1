"""Depth and colour: each kind converted by its stated rule, or refused by a sentence."""

from __future__ import annotations

import hashlib
import io
import pickle

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from napari_histoaug.slides import SlideError, open_slide


def speckled(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Colours in patches of 16 pixels with grain, uint8 RGB."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 220, (height // 16 + 1, width // 16 + 1, 3), dtype=np.uint8)
    image = coarse.repeat(16, axis=0)[:height].repeat(16, axis=1)[:, :width]
    return image + random.integers(0, 36, image.shape, dtype=np.uint8)


def write(path, data, **options):
    tifffile.imwrite(path, data, tile=(64, 64), metadata=None, **options)
    return path


@pytest.mark.parametrize("suffix", ["tif", "svs"])
def test_sixteen_bits_need_a_window_and_never_come_black(tmp_path, suffix):
    deep = np.random.default_rng(0).integers(0, 4096, (200, 150, 3), dtype=np.uint16)
    path = write(tmp_path / f"deep.{suffix}", deep, photometric="rgb")
    with pytest.raises(SlideError, match="16 bits a channel"):
        open_slide(path)
    with open_slide(path, window=(100, 3000)) as slide:
        assert "16-bit values from 100 to 3000 are shown as 0 to 255" in slide.notes[-1]
        expected = np.clip(np.rint((deep - 100.0) * 255 / 2900), 0, 255)
        assert np.abs(slide.read_block(0, 0, 0, 200, 150) - expected).max() <= 1
        again = pickle.loads(pickle.dumps(slide))
        assert (again.read_block(0, 0, 0, 200, 150) == slide.read_block(0, 0, 0, 200, 150)).all()


@pytest.mark.parametrize("window", [(5, 5), (9, 3), (0, float("nan")), (1, 2, 3)])
def test_a_window_without_width_is_refused(make_pyramid_tiff, window):
    with pytest.raises(SlideError, match="low < high"):
        open_slide(make_pyramid_tiff().path, window=window)


def test_a_window_changes_nothing_in_eight_bits(make_pyramid_tiff):
    made = make_pyramid_tiff()
    with open_slide(made.path, window=(10, 20)) as slide:
        assert slide.notes == ()
        assert (slide.read_block(0, 0, 0, 700, 900) == made.levels[0]).all()


def test_a_palette_is_looked_up(tmp_path):
    random = np.random.default_rng(0)
    values = random.integers(0, 256, (200, 150), dtype=np.uint8)
    colours = random.integers(0, 256, (256, 3), dtype=np.uint16)
    path = write(
        tmp_path / "a.tif", values, photometric="palette", colormap=(colours.T * 257).astype("u2")
    )
    with open_slide(path) as slide:
        assert (slide.read_block(0, 0, 0, 200, 150) == colours[values]).all()


@pytest.mark.parametrize(
    ("data", "options", "reason"),
    [
        (np.zeros((64, 64, 4), np.uint8), {"photometric": "separated"}, "CMYK"),
        (np.zeros((64, 64, 3), np.uint8), {"photometric": "cielab"}, "CIELAB"),
        (np.zeros((64, 64, 3), np.float32), {"photometric": "rgb"}, "32 bits"),
        (np.zeros((64, 64), np.uint32), {"photometric": "minisblack"}, "32 bits"),
        (np.zeros((64, 64), bool), {"photometric": "minisblack"}, "1 bits"),
    ],
)
@pytest.mark.parametrize("window", [None, (0, 1)])
def test_what_has_no_rule_is_refused(tmp_path, data, options, reason, window):
    path = write(tmp_path / "a.tif", data, **options)
    with pytest.raises(SlideError, match=reason):
        open_slide(path, window=window)


def warm_profile() -> bytes:
    """A profile that is no sRGB: the grey axis of one channel is bent by hand."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, green = data.find(b"rXYZ"), data.find(b"gXYZ")
    # The tag table says where each primary is: let red and green change places.
    data[red + 4 : red + 12], data[green + 4 : green + 12] = (
        data[green + 4 : green + 12],
        data[red + 4 : red + 12],
    )
    return bytes(data)


def test_srgb_on_request_is_recorded(tmp_path):
    image = speckled(300, 200)
    profile = warm_profile()
    path = write(tmp_path / "a.tif", image, photometric="rgb", iccprofile=profile)
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    expected = np.array(
        ImageCms.profileToProfile(
            Image.fromarray(image), source, ImageCms.createProfile("sRGB"),
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        )
    )  # fmt: skip
    with open_slide(path) as raw, open_slide(path, color_space="srgb") as managed:
        assert (raw.color_space, managed.color_space) == ("raw", "srgb")
        assert raw.icc_sha256 == managed.icc_sha256 == hashlib.sha256(profile).hexdigest()
        assert (raw.read_block(0, 0, 0, 300, 200) == image).all()
        block = managed.read_block(0, -10, 0, 310, 200)
        assert (block[:10] == 255).all()
        assert np.abs(block[10:].astype(int) - expected).max() <= 1
        assert np.abs(block[10:].astype(int) - image).mean() > 5
        again = pickle.loads(pickle.dumps(managed))
        assert (again.read_block(0, -10, 0, 310, 200) == block).all()


@pytest.mark.parametrize("profile", [None, bytes(500)])
def test_without_a_usable_profile_colours_stay_raw_and_it_is_said(tmp_path, profile):
    image = speckled(100, 100)
    path = write(tmp_path / "a.tif", image, photometric="rgb", iccprofile=profile)
    with open_slide(path, color_space="srgb") as slide:
        assert slide.color_space == "raw"
        assert "colour profile" in slide.notes[0]
        assert (slide.read_block(0, 0, 0, 100, 100) == image).all()


def test_an_unknown_color_space_is_refused(make_pyramid_tiff):
    with pytest.raises(SlideError, match="raw or srgb"):
        open_slide(make_pyramid_tiff().path, color_space="lab")


def test_the_real_profile_of_an_aperio_slide(shared_data):
    path = shared_data / "wsi" / "tcga-cr-7395-01a-01-ts1.svs"
    with open_slide(path) as slide, tifffile.TiffFile(path) as tiff:
        profile = tiff.pages[0].iccprofile
        assert slide.icc_sha256 == hashlib.sha256(profile).hexdigest()
