"""Reading slides into napari layers."""

from __future__ import annotations

import copy
import functools
import http.server
import json
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
import tifffile
import zarr
from napari.components import ViewerModel
from napari.qt import QtViewer
from napari.utils.notifications import notification_manager
from npe2 import PluginManifest
from qtpy.QtCore import QMimeData, QPointF, Qt, QUrl
from qtpy.QtGui import QDropEvent
from qtpy.QtWidgets import QApplication

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


def write_ome_zarr(path, shapes, version="0.5", order="yxc", dtype="uint8"):
    """An OME-Zarr image with its axes in some order; level n holds the value n + 1 everywhere."""
    group = zarr.open_group(path, mode="w", zarr_format=3 if version == "0.5" else 2)
    sizes = {"t": 1, "z": 1, "c": 3}
    for index, (height, width) in enumerate(shapes):
        sides = [{**sizes, "y": height, "x": width}[name] for name in order]
        chunks = [min(side, 256) for side in sides]
        array = group.create_array(str(index), shape=sides, dtype=dtype, chunks=chunks)
        array[...] = index + 1
    datasets = [
        {
            "path": str(index),
            "coordinateTransformations": [
                {"type": "scale", "scale": [0.5 * 2**index if a in "yx" else 1 for a in order]}
            ],
        }
        for index in range(len(shapes))
    ]
    space = {"type": "space", "unit": "micrometer"}
    axes = [{"name": a, **(space if a in "zyx" else {"type": "channel"})} for a in order]
    multiscales = [{"version": version, "axes": axes, "datasets": datasets}]
    if version == "0.5":
        group.attrs["ome"] = {"version": version, "multiscales": multiscales}
    else:
        group.attrs["multiscales"] = multiscales
    return str(path)


def test_zarr_pyramids_are_taken_and_small_flat_ones_are_not(tmp_path):
    pyramid = write_ome_zarr(tmp_path / "pyramid.zarr", [(600, 800), (300, 400)])
    assert get_pyramid_reader(pyramid) is read_slides
    ((levels, _, _),) = read_slides(pyramid)
    assert levels[0].shape == (600, 800, 3)
    assert get_pyramid_reader(write_ome_zarr(tmp_path / "flat.zarr", [(600, 800)])) is None


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("order", ["cyx", "tczyx", "yxc"])
def test_the_order_of_the_axes_does_not_matter(tmp_path, version, order):
    path = write_ome_zarr(tmp_path / "image.zarr", [(600, 800), (300, 400)], version, order)
    assert get_pyramid_reader(path) is read_slides
    layer = add(ViewerModel(), path)
    assert [level.shape for level in layer.data] == [(600, 800, 3), (300, 400, 3)]
    assert [np.unique(level).tolist() for level in layer.data] == [[1], [2]]
    np.testing.assert_allclose(layer.scale, (0.5, 0.5))


def test_zarr_images_that_are_no_rgb_slides_are_left_to_others(tmp_path):
    shapes = [(600, 800), (300, 400)]
    deep = write_ome_zarr(tmp_path / "deep.zarr", shapes, order="cyx", dtype="uint16")
    grey = write_ome_zarr(tmp_path / "grey.zarr", shapes, order="yx")
    stack = write_ome_zarr(tmp_path / "stack.zarr", shapes, order="cyx")
    meta = tmp_path / "stack.zarr" / "0" / "zarr.json"
    meta.write_text(
        meta.read_text()
        .replace("[3, 600, 800]", "[7, 600, 800]")
        .replace("[\n    3,\n    600", "[\n    7,\n    600")
    )
    for path in (deep, grey, stack):
        assert get_pyramid_reader(path) is None


@pytest.fixture
def plugin(npe2pm):
    """Our plugin alone, as napari finds it."""
    if "napari-histoaug" not in npe2pm:
        npe2pm.register(PluginManifest.from_distribution("napari-histoaug"))


@pytest.fixture
def address(tmp_path):
    """A real web server of this test's folder."""
    pytest.importorskip("aiohttp")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            """Say nothing."""

    handler = functools.partial(Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_an_address_opens_through_napari(plugin, tmp_path, address):
    write_ome_zarr(tmp_path / "far.zarr", [(600, 800), (300, 400)], order="cyx")
    (layer,) = ViewerModel().open(f"{address}/far.zarr", plugin="napari-histoaug")
    assert layer.name == "far"
    assert np.unique(layer.data[0][:50, :50]).tolist() == [1]
    session = session_of(layer)
    assert session is not None
    assert os.devnull not in str(session.edits.folder)


def test_an_address_without_an_image_is_a_sentence(said, address):
    assert get_pyramid_reader(f"{address}/gone.zarr") is read_slides
    assert read_slides(f"{address}/gone.zarr") == [(None,)]
    (error,) = said
    assert "gone.zarr" in error.message
    assert "\n" not in error.message


def test_other_addresses_are_left_to_others():
    assert get_pyramid_reader("https://example.org/picture.tif") is None


def test_file_open_shows_the_good_ones_and_explains_the_bad_one(
    plugin, make_pyramid_tiff, tmp_path, said
):
    bad = tmp_path / "bad.svs"
    bad.write_bytes(b"no slide")
    good = [make_pyramid_tiff(name=name).path for name in ("first.tif", "second.tif")]
    viewer = ViewerModel()
    viewer.open([str(good[0]), str(bad), str(good[1])], plugin="napari-histoaug")
    assert [layer.name for layer in viewer.layers] == ["first", "second"]
    assert all(session_of(layer) is not None for layer in viewer.layers)
    errors = [r.message for r in said if str(r.severity) == "error"]
    assert len(errors) == 1
    assert "bad.svs" in errors[0]


def test_dropping_files_on_the_window_opens_them(
    plugin, make_napari_viewer, qtbot, make_pyramid_tiff, tmp_path, said
):
    bad = tmp_path / "bad.svs"
    bad.write_bytes(b"no slide")
    zarr_path = write_ome_zarr(tmp_path / "third.zarr", [(600, 800), (300, 400)], order="cyx")
    paths = [str(make_pyramid_tiff(name="first.tif").path), str(bad), zarr_path]
    viewer = make_napari_viewer()
    canvas = next(w for w in QApplication.allWidgets() if isinstance(w, QtViewer))
    drop(canvas, [QUrl.fromLocalFile(path) for path in paths])
    assert [layer.name for layer in viewer.layers] == ["first", "third"]
    errors = [r.message for r in said if str(r.severity) == "error"]
    assert len(errors) == 1
    assert "bad.svs" in errors[0]


def test_dropping_an_address_opens_it(plugin, make_napari_viewer, qtbot, tmp_path, address):
    write_ome_zarr(tmp_path / "far.zarr", [(600, 800), (300, 400)], order="cyx")
    viewer = make_napari_viewer()
    canvas = next(w for w in QApplication.allWidgets() if isinstance(w, QtViewer))
    drop(canvas, [QUrl(f"{address}/far.zarr")])
    assert [layer.name for layer in viewer.layers] == ["far"]


def drop(widget, urls):
    """Let go of these over a widget, as the window system says it."""
    data = QMimeData()
    data.setUrls(urls)
    action, button = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton
    place = QPointF(10, 10)
    event = QDropEvent(place, action, data, button, Qt.KeyboardModifier.NoModifier)
    widget.dropEvent(event)


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
