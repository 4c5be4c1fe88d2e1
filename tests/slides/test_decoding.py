"""Our own decoding of TIFF tiles: every codec to the byte, strictly, and checked at opening."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from napari_histoaug.slides import open_slide, self_check, tiff_reader
from napari_histoaug.slides.cache import ArrayCache
from napari_histoaug.slides.openslide_reader import OpenSlideReader
from napari_histoaug.slides.tiff_codecs import decoder
from napari_histoaug.slides.tiff_reader import TiffReader


def speckled(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Colours in patches of 16 pixels with grain, uint8 RGB."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 220, (height // 16 + 1, width // 16 + 1, 3), dtype=np.uint8)
    image = coarse.repeat(16, axis=0)[:height].repeat(16, axis=1)[:, :width]
    return image + random.integers(0, 36, image.shape, dtype=np.uint8)


CODECS = {
    "jpeg-ycbcr": {"compression": "jpeg", "photometric": "ycbcr"},
    "jpeg-rgb": {"compression": "jpeg", "photometric": "rgb"},
    "jpeg-420": {"compression": "jpeg", "photometric": "ycbcr", "subsampling": (2, 2)},
    "jpeg2000": {"compression": "jpeg2000", "photometric": "rgb"},
    "deflate": {"compression": "deflate", "photometric": "rgb"},
    "deflate-predictor": {"compression": "deflate", "photometric": "rgb", "predictor": True},
    "lzw-predictor": {"compression": "lzw", "photometric": "rgb", "predictor": True},
    "zstd": {"compression": "zstd", "photometric": "rgb"},
    "none": {"photometric": "rgb"},
    "big-endian": {"photometric": "rgb", "compression": "deflate"},
    "planes": {"photometric": "rgb", "planarconfig": "separate", "compression": "deflate"},
}


@pytest.mark.parametrize("tile", [(128, 128), (240, 256)])
@pytest.mark.parametrize("codec", CODECS)
def test_every_codec_gives_what_a_full_decode_gives(tmp_path, codec, tile):
    image = speckled(1500, 1310)
    options = CODECS[codec]
    data = np.moveaxis(image, -1, 0) if codec == "planes" else image
    path = tmp_path / "a.tif"
    order = ">" if codec == "big-endian" else "<"
    tifffile.imwrite(path, data, tile=tile, metadata=None, byteorder=order, **options)
    full = tifffile.imread(path)
    full = np.moveaxis(full, 0, -1) if codec == "planes" else full
    with open_slide(path) as slide:
        assert slide.notes == ()
        assert isinstance(slide._reader, TiffReader)
        # Large and decoded in place; small and through the cache.
        assert (slide.read_block(0, 3, 5, 1490, 1300) == full[3:1493, 5:1305]).all()
        assert (slide.read_block(0, 1300, 1200, 200, 110) == full[1300:, 1200:]).all()
        assert slide.failures == []


def test_real_slides_are_decoded_by_ourselves(shared_data):
    for name in ("CMU-1-Small-Region.svs", "tcga-cr-7395-01a-01-ts1.svs"):
        with open_slide(shared_data / "wsi" / name) as slide:
            assert isinstance(slide._reader, TiffReader)
            assert (slide.vendor, slide.notes) == ("aperio", ())


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    path = tmp_path_factory.mktemp("blocks") / "a.tif"
    levels = [speckled(1300, 1100), speckled(433, 367, 1)]
    with tifffile.TiffWriter(path) as writer:
        for index, image in enumerate(levels):
            writer.write(
                image, tile=(112, 112), photometric="rgb", compression="zlib",
                subfiletype=index, metadata=None,
            )  # fmt: skip
    with open_slide(path) as slide:
        yield slide, levels


@given(
    level=st.integers(0, 1),
    y=st.integers(-200, 1500),
    x=st.integers(-200, 1500),
    height=st.integers(0, 1400),
    width=st.integers(0, 1400),
)
def test_any_block_is_cut_from_the_level(opened, level, y, x, height, width):
    slide, levels = opened
    full = levels[level]
    expected = np.full((height, width, 3), 255, np.uint8)
    inside = np.zeros((height, width), bool)
    top, left = max(y, 0), max(x, 0)
    part = full[top : max(y + height, 0), left : max(x + width, 0)]
    where = np.s_[top - y : top - y + part.shape[0], left - x : left - x + part.shape[1]]
    expected[where] = part
    inside[where] = True
    assert (slide.read_block(level, y, x, height, width) == expected).all()
    assert (slide.read_valid(level, y, x, height, width) == inside).all()


def test_large_blocks_leave_the_cache_alone(make_pyramid_tiff, monkeypatch):
    cache = ArrayCache(2**24)
    monkeypatch.setattr(tiff_reader, "tile_cache", lambda: cache)
    made = make_pyramid_tiff(shapes=[(2048, 2048)], tile=256)
    with open_slide(made.path) as slide:
        before = len(cache)
        slide.read_block(0, 0, 0, 2048, 2048)
        assert len(cache) == before
        slide.read_block(0, 896, 1152, 256, 256)
        assert before < len(cache) <= before + 4
    assert len(cache) == 0


def test_a_decoder_that_disagrees_gives_way_to_openslide(make_pyramid_tiff, monkeypatch):
    made = make_pyramid_tiff()
    real = TiffReader.read

    def one_off(self, *box):
        return real(self, *box) ^ 1

    monkeypatch.setattr(TiffReader, "read", one_off)
    with open_slide(made.path) as slide:
        assert isinstance(slide._reader, OpenSlideReader)
        assert "do not agree" in slide.notes[0]
        assert (slide.read_block(0, 0, 0, 700, 900) == made.levels[0]).all()


def test_damaged_tiles_are_no_disagreement(make_pyramid_tiff):
    made = make_pyramid_tiff(shapes=[(256, 256)])
    data = bytearray(made.path.read_bytes())
    with tifffile.TiffFile(made.path) as tiff:
        places = zip(tiff.pages[0].dataoffsets, tiff.pages[0].databytecounts, strict=True)
    for offset, count in places:
        data[offset + 2 : offset + count // 2] = bytes(count // 2 - 2)
    made.path.write_bytes(data)
    native, reference = TiffReader(made.path), OpenSlideReader(made.path)
    assert self_check.disagreement(native, reference) is None


def test_a_jpeg_marked_by_adobe_or_jfif_is_judged_as_tifffile_does(tmp_path):
    # The tag says RGB: a JFIF tile is YCbCr all the same, any other is not, whatever Adobe says.
    import imagecodecs

    image = speckled(64, 64)
    jfif = imagecodecs.jpeg8_encode(image, 95)
    assert jfif[6:10] == b"JFIF"
    bare = jfif[:2] + jfif[20:]
    adobe = jfif[:2] + b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x01" + jfif[20:]
    for name, tile in {"jfif": jfif, "bare": bare, "adobe": adobe}.items():
        path = tmp_path / f"{name}.tif"
        tifffile.imwrite(
            path, iter([tile]), shape=(64, 64, 3), dtype=np.uint8, tile=(64, 64),
            photometric="rgb", compression="jpeg", metadata=None,
        )  # fmt: skip
        with tifffile.TiffFile(path) as tiff:
            ours = decoder(tiff.pages[0], (64, 64))(tile, 0, None)
            assert (ours == tiff.pages[0].asarray()).all(), name


def test_levels_only_openslide_sees_are_not_lost(make_pyramid_tiff, monkeypatch):
    made = make_pyramid_tiff(shapes=[(700, 900), (350, 450)])
    real = tiff_reader.find_levels
    monkeypatch.setattr(tiff_reader, "find_levels", lambda *args: real(*args)[:1])
    with open_slide(made.path) as slide:
        assert [level.shape for level in slide.levels] == [(700, 900), (350, 450)]
        assert "more levels" in slide.notes[0]


def test_philips_like_files_are_decoded_by_ourselves(tmp_path):
    # Philips pads its lower levels to whole tiles; sizes that fit need no padding.
    path = tmp_path / "a.tiff"
    rows = "".join(
        f'<DataObject ObjectType="PixelDataRepresentation"><Attribute Name="DICOM_PIXEL_SPACING" '
        f'Group="0x0028" Element="0x0030" PMSVR="IDoubleArray">"{s}" "{s}"</Attribute>'
        f"</DataObject>"
        for s in (0.00025, 0.0005)
    )
    text = (
        '<?xml version="1.0" encoding="UTF-8" ?><DataObject ObjectType="DPUfsImport">'
        '<Attribute Name="PIM_DP_SCANNED_IMAGES" Group="0x301D" Element="0x1003" '
        'PMSVR="IDataObjectArray"><Array><DataObject ObjectType="DPScannedImage">'
        '<Attribute Name="PIM_DP_IMAGE_TYPE" Group="0x301D" Element="0x1004" PMSVR="IString">WSI'
        '</Attribute><Attribute Name="PIIM_PIXEL_DATA_REPRESENTATION_SEQUENCE" Group="0x1001" '
        f'Element="0x8B01" PMSVR="IDataObjectArray"><Array>{rows}</Array></Attribute>'
        '<Attribute Name="DICOM_PIXEL_SPACING" Group="0x0028" Element="0x0030" '
        'PMSVR="IDoubleArray">"0.00025" "0.00025"</Attribute>'
        "</DataObject></Array></Attribute></DataObject>"
    )
    levels = [speckled(1024, 1536), speckled(512, 768, 1)]
    with tifffile.TiffWriter(path) as writer:
        for index, image in enumerate(levels):
            writer.write(
                image, tile=(512, 512), photometric="rgb", compression="zlib", metadata=None,
                subfiletype=index, description=text if index == 0 else None,
                software="Philips DP v1.0" if index == 0 else False,
            )  # fmt: skip
    with open_slide(path) as slide:
        assert (slide.vendor, slide.notes) == ("philips", ())
        assert isinstance(slide._reader, TiffReader)
        assert slide.mpp == (0.25, 0.25)
        for index, image in enumerate(levels):
            assert (slide.read_block(index, 0, 0, *image.shape[:2]) == image).all()
