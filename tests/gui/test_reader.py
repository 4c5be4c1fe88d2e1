"""Reading slides into napari layers."""

from __future__ import annotations

import copy
import json
import subprocess
import sys

import numpy as np
import pytest
import tifffile
import zarr
from napari.components import ViewerModel
from napari.utils.notifications import notification_manager
from npe2 import PluginManifest

from napari_histoaug.errors import HistoaugError
from napari_histoaug.gui.reader import (
    get_pyramid_reader,
    get_slide_reader,
    read_slides,
    slide_layer,
)
from napari_histoaug.gui.session import KEY, session_of


@pytest.fixture
def said():
    """The notifications of this test."""
    notification_manager.records.clear()
    return notification_manager.records


def add(viewer, path):
    data, settings, kind = slide_layer(path)
    assert kind == "image"
    return viewer.add_image(data, **settings)


def test_a_slide_becomes_a_lazy_multiscale_layer_in_micrometres(make_pyramid_tiff):
    slide = make_pyramid_tiff(shapes=[(1400, 1800), (700, 900)], mpp=0.25)
    layer = add(ViewerModel(), slide.path)
    assert layer.multiscale
    assert layer.rgb
    assert all(isinstance(level, zarr.Array) for level in layer.data)
    np.testing.assert_allclose(layer.scale, (0.25, 0.25))
    assert [str(unit) for unit in layer.units] == ["micrometer", "micrometer"]
    assert layer.axis_labels == ("y", "x")
    assert layer.contrast_limits == [0, 255]
    assert layer.name == "slide"
    np.testing.assert_array_equal(np.asarray(layer.data[0]), slide.levels[0])


def test_the_metadata_is_small_plain_and_says_no_name(make_pyramid_tiff):
    slide = make_pyramid_tiff(name="Jane Doe.tif")
    layer = add(ViewerModel(), slide.path)
    card = layer.metadata[KEY]
    written = json.dumps(card)
    assert json.loads(written) == card
    assert "Jane" not in written
    assert str(slide.path.parent) not in written


def test_the_session_is_found_from_the_layer_whatever_its_name(make_pyramid_tiff):
    viewer = ViewerModel()
    slide = make_pyramid_tiff()
    first, second = add(viewer, slide.path), add(viewer, slide.path)
    first.name = "something else"
    session = session_of(first)
    assert session is not None
    assert session.slide.path == slide.path
    assert session is not session_of(second)
    assert session_of(viewer.add_labels(np.zeros((4, 4), np.uint8))) is None
    assert session_of(None) is None
    # what "duplicate layer" does with metadata
    assert copy.deepcopy(first.metadata)[KEY].session is session


def test_an_unknown_pixel_size_is_said_and_shown_in_pixels(make_pyramid_tiff, said):
    layer = add(ViewerModel(), make_pyramid_tiff(mpp=None).path)
    np.testing.assert_array_equal(layer.scale, (1, 1))
    assert [str(unit) for unit in layer.units] == ["pixel", "pixel"]
    (warning,) = [r for r in said if "how large its pixels are" in r.message]
    assert str(warning.severity) == "warning"


@pytest.mark.parametrize("content", [b"", b"this is no slide at all"])
def test_a_wrong_file_is_one_sentence_without_a_traceback(tmp_path, said, content):
    path = tmp_path / "wrong.svs"
    path.write_bytes(content)
    reader = get_slide_reader(str(path))
    assert reader is not None
    assert reader(str(path)) == [(None,)]
    (error,) = said
    assert str(error.severity) == "error"
    assert "wrong.svs" in error.message
    assert "\n" not in error.message
    # an ErrorNotification would offer the traceback
    assert not hasattr(error, "exception")


def test_a_missing_file_is_a_sentence(tmp_path):
    with pytest.raises(HistoaugError, match="no file"):
        slide_layer(tmp_path / "away.svs")


def test_one_wrong_slide_does_not_hide_the_others(make_pyramid_tiff, tmp_path, said):
    wrong = tmp_path / "wrong.svs"
    wrong.write_bytes(b"")
    good = make_pyramid_tiff().path
    layers = read_slides([str(wrong), str(good)])
    assert [settings["name"] for _, settings, _ in layers] == ["slide"]
    assert len(said) == 1


def test_pyramid_tiffs_are_taken(make_pyramid_tiff):
    assert get_pyramid_reader(str(make_pyramid_tiff().path)) is read_slides


def test_large_flat_tiffs_are_taken(make_pyramid_tiff):
    assert get_pyramid_reader(str(make_pyramid_tiff(shapes=[(64, 4112)]).path)) is read_slides


@pytest.mark.parametrize(
    ("shape", "photometric", "dtype"),
    [
        ((512, 512, 3), "rgb", np.uint8),
        ((5000, 600), "minisblack", np.uint8),
        ((4200, 64, 3), "rgb", np.uint16),
    ],
)
def test_other_tiffs_are_left_to_other_readers(tmp_path, shape, photometric, dtype):
    path = tmp_path / "image.tif"
    tifffile.imwrite(path, np.zeros(shape, dtype), photometric=photometric)
    assert get_pyramid_reader(str(path)) is None


def test_what_is_no_image_is_left_to_other_readers(tmp_path):
    path = tmp_path / "notes.tif"
    path.write_text("not a TIFF")
    assert get_pyramid_reader(str(path)) is None
    assert get_pyramid_reader(str(tmp_path / "away.tif")) is None
    (tmp_path / "empty.zarr").mkdir()
    assert get_pyramid_reader(str(tmp_path / "empty.zarr")) is None


def test_several_paths_are_taken_only_together(make_pyramid_tiff, tmp_path):
    good = str(make_pyramid_tiff().path)
    flat = tmp_path / "flat.tif"
    tifffile.imwrite(flat, np.zeros((64, 64, 3), np.uint8), photometric="rgb")
    assert get_pyramid_reader([good, good]) is read_slides
    assert get_pyramid_reader([good, str(flat)]) is None


@pytest.mark.parametrize(
    "name", ["liver-hemangioma_8192_pyramid.tif", "colon-schwann_approx20x_pyramid.tif"]
)
def test_real_pyramids_are_taken(shared_data, name):
    assert get_pyramid_reader(str(shared_data / "wsi" / name)) is read_slides


def write_ome_zarr(path, shapes):
    group = zarr.open_group(path, mode="w", zarr_format=3)
    for index, shape in enumerate(shapes):
        group.create_array(str(index), shape=(*shape, 3), dtype="uint8", chunks=(256, 256, 3))
    datasets = [
        {
            "path": str(index),
            "coordinateTransformations": [
                {"type": "scale", "scale": [0.5 * 2**index, 0.5 * 2**index, 1.0]}
            ],
        }
        for index in range(len(shapes))
    ]
    axes = [
        {"name": "y", "type": "space", "unit": "micrometer"},
        {"name": "x", "type": "space", "unit": "micrometer"},
        {"name": "c", "type": "channel"},
    ]
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": datasets}]}
    return str(path)


def test_zarr_pyramids_are_taken_and_small_flat_ones_are_not(tmp_path):
    pyramid = write_ome_zarr(tmp_path / "pyramid.zarr", [(600, 800), (300, 400)])
    assert get_pyramid_reader(pyramid) is read_slides
    ((levels, _, _),) = read_slides(pyramid)
    assert levels[0].shape == (600, 800, 3)
    assert get_pyramid_reader(write_ome_zarr(tmp_path / "flat.zarr", [(600, 800)])) is None


def test_napari_opens_a_slide_through_the_plugin(make_pyramid_tiff, npe2pm):
    if "napari-histoaug" not in npe2pm:
        npe2pm.register(PluginManifest.from_distribution("napari-histoaug"))
    viewer = ViewerModel()
    (layer,) = viewer.open(str(make_pyramid_tiff().path), plugin="napari-histoaug")
    assert session_of(layer) is not None


def test_finding_readers_loads_neither_torch_nor_openslide(tmp_path, make_pyramid_tiff):
    path = make_pyramid_tiff().path
    code = (
        f"import sys; PATH = {str(path)!r}\n"
        "from npe2 import PluginManager\n"
        "manager = PluginManager.instance(); manager.discover()\n"
        "readers = list(manager.iter_compatible_readers([PATH]))\n"
        "ours = [r for r in readers if r.plugin_name == 'napari-histoaug']\n"
        "assert len(ours) == 1, readers\n"
        "found = manager.commands.execute(ours[0].command, kwargs={'path': PATH})\n"
        "assert found is not None\n"
        "loaded = {'torch', 'openslide', 'qtpy', 'rasterio'} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
