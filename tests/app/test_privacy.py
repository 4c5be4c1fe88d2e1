"""What a slide's metadata says of a patient reaches no file that the program writes.

Identifiers are planted in every text field, the file name and the folder's name; then the whole
journey is made, in the panels and on the command line, and every written byte is searched.
"""

from __future__ import annotations

import base64
import csv
import logging
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import shapely
import tifffile
from napari.components import ViewerModel
from PIL import Image

from napari_histoaug import generation
from napari_histoaug.annotations import Document, Feature, write_geojson
from napari_histoaug.cli import main
from napari_histoaug.exports import Kind
from napari_histoaug.gui.reader import slide_layer
from napari_histoaug.gui.widget import HistoaugWidget
from napari_histoaug.slides import open_slide

PHI = "PHI-JANE-DOE-19631"
DRAWN = (Kind.PATCHES, Kind.OUTLINES, Kind.LABELS)
LABEL_COLOUR = (11, 222, 33)
TEXT_TAGS = {
    "DocumentName": 269, "Make": 271, "Model": 272, "PageName": 285, "Software": 305,
    "DateTime": 306, "Artist": 315, "HostComputer": 316, "XMP": 700, "Copyright": 33432,
    "ImageID": 32781, "private": 65000,
}  # fmt: skip
APERIO = (
    "Aperio Image Library v11.2.1\n{w}x{h} [0,0 {w}x{h}] (128x128) JPEG/RGB Q=70|AppMag = 20|MPP = "
    "0.5|Filename = {phi}|User = {phi}|Patient = {phi}|Barcode = {phi}|ScanScope ID = {phi}"
)


def texts():
    return [(tag, "s", 0, f"{PHI} {name}", True) for name, tag in TEXT_TAGS.items()]


def tissue(height=700, width=900):
    random = np.random.default_rng(7)
    patches = random.integers(100, 220, (height // 20, width // 20, 3), dtype=np.uint8)
    return patches.repeat(20, axis=0).repeat(20, axis=1)


def label():
    return np.full((60, 90, 3), LABEL_COLOUR, np.uint8)


def write_svs(folder):
    """An SVS with a label page, identifiers in all its text."""
    path, image = folder / f"{PHI}.svs", tissue()
    height, width = image.shape[:2]
    with tifffile.TiffWriter(path) as writer:
        for index, pixels in enumerate((image, image[::4, ::4])):
            writer.write(
                pixels, tile=(128, 128), photometric="rgb", compression="jpeg", metadata=None,
                description=APERIO.format(w=width, h=height, phi=PHI), subfiletype=int(index > 0),
                extratags=texts(), software=False,
            )  # fmt: skip
        writer.write(
            label(), photometric="rgb", compression="lzw", rowsperstrip=60, subfiletype=1,
            description=f"Aperio Image Library v11.2.1\nlabel 90x60|User = {PHI}", metadata=None,
        )  # fmt: skip
    return path


def write_ome(folder):
    """A flat OME-TIFF in strips, identifiers all over its OME-XML."""
    path, image = folder / f"{PHI}.ome.tif", tissue()
    height, width = image.shape[:2]
    xml = f"""<?xml version="1.0" encoding="UTF-8"?>
<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" Creator="{PHI}">
<Experimenter ID="Experimenter:0" FirstName="{PHI}" LastName="{PHI}" Email="{PHI}"/>
<Instrument ID="Instrument:0"><Microscope SerialNumber="{PHI}"/></Instrument>
<Image ID="Image:0" Name="{PHI}"><AcquisitionDate>1963-01-01T00:00:00</AcquisitionDate>
<Description>{PHI}</Description>
<Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8" SizeX="{width}" SizeY="{height}"
 SizeC="3" SizeZ="1" SizeT="1" PhysicalSizeX="0.5" PhysicalSizeY="0.5" Interleaved="true">
<Channel ID="Channel:0:0" SamplesPerPixel="3" Name="{PHI}"/>
<TiffData IFD="0" PlaneCount="1"/></Pixels></Image>
<StructuredAnnotations><CommentAnnotation ID="Annotation:0"><Value>{PHI}</Value>
</CommentAnnotation></StructuredAnnotations></OME>"""
    tifffile.imwrite(
        path, image, photometric="rgb", compression="deflate", rowsperstrip=16, metadata=None,
        description=xml, extratags=texts(), software=False,
    )  # fmt: skip
    return path


def copy_dicom(folder, shared_data):
    """The real DICOM series with names, ids and comments filled in."""
    value = PHI.encode() + b" " * (len(PHI) % 2)
    for source in (shared_data / "wsi" / "dicom_cmu1_small_region").glob("*.dcm"):
        content = source.read_bytes()
        for tag in (b"\x10\x00\x10\x00PN", b"\x10\x00\x20\x00LO", b"\x08\x00\x90\x00PN"):
            assert content.count(tag + b"\0\0") == 1
            content = content.replace(tag + b"\0\0", tag + len(value).to_bytes(2, "little") + value)
        name = f"{PHI}-{source.stem[-4:]}.dcm"
        (folder / name).write_bytes(content)
    return max(folder.iterdir(), key=lambda path: path.stat().st_size)


@pytest.fixture(params=["svs", "ome-tiff", "dicom"])
def planted(request, tmp_path):
    """A slide full of identifiers in a folder that is called after the patient."""
    folder = tmp_path / f"{PHI} archive"
    folder.mkdir()
    if request.param == "dicom":
        return copy_dicom(folder, request.getfixturevalue("shared_data"))
    return {"svs": write_svs, "ome-tiff": write_ome}[request.param](folder)


class Written:
    """The files that this process opened for writing, wherever they are."""

    def __init__(self):
        self.paths, self.on = set(), True
        sys.addaudithook(self._hear)

    def _hear(self, event, arguments):
        if self.on and event == "open" and isinstance(arguments[0], (str, bytes, Path)):
            mode, flags = arguments[1], arguments[2]
            if (mode and set(mode) & set("wax+")) or (isinstance(flags, int) and flags & 3):
                path = arguments[0]
                self.paths.add(Path(path.decode() if isinstance(path, bytes) else path))


@pytest.fixture
def written():
    """Hear of every file opened for writing until the test ends; a hook cannot be taken away."""
    hearing = Written()
    yield hearing
    hearing.on = False


@pytest.fixture
def home(tmp_path, monkeypatch):
    """All folders of the user, and the temporary one, inside the test's."""
    home = tmp_path / "home"
    home.mkdir()
    for name in ("HOME", "TMPDIR", "XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(home))
    monkeypatch.setenv("XDG_DATA_HOME", str(home / "data"))
    return home


@pytest.fixture
def painter(monkeypatch, network):
    """The stand-in network behind the command line too."""
    fake = network.load_generator(None, "cpu")
    fake.device = "cpu"
    monkeypatch.setattr(generation, "load_generator", lambda source=None, device="auto": fake)
    monkeypatch.setattr(generation, "inpaint", network.inpaint)
    # small files behave like large ones without coarse levels
    for module in ("plan", "sidecar_place"):
        monkeypatch.setattr(f"napari_histoaug.slides.{module}.MOST_DECODED", 600_000)


def in_the_panels(qtbot, desk_class, network, path, out):
    """Open, paint, inpaint, accept, export; build the overview where there is none."""
    viewer = ViewerModel()
    arrays, settings, _ = slide_layer(path)
    viewer.add_image(arrays, **settings)
    widget = HistoaugWidget(viewer, inpaint=network.inpaint, load_generator=network.load_generator)
    qtbot.addWidget(widget)
    desk = desk_class(qtbot, viewer, widget, path, network)
    if widget.controller.overview.missing:
        desk.click(widget.slide_panel.overview_button)
        desk.wait_idle()
    desk.widget.paint_panel.tissue_box.setChecked(False)  # one of the slides is glass here
    desk.look_at(350, 450)
    # there is glass at this place of some slides
    widget.paint_panel.tissue_box.setChecked(False)
    desk.propose()
    desk.accept()
    widget.export_panel.folder_edit.setText(str(out))
    desk.click(widget.export_panel.export_button)
    desk.wait_idle()
    assert widget.controller.sentence == ""
    widget.controller.close()


def on_the_command_line(path, folder):
    outline = folder / "outlines.geojson"
    feature = Feature.new(shapely.Point(200, 200).buffer(30), "blood_vessel")
    write_geojson(Document.from_features([feature]), outline)
    assert main(["info", str(path)]) == 0
    assert main(["info", "--id", str(path)]) == 0
    inpaint = ["inpaint", str(path), "--mask", str(outline), "--out", str(folder / "filled")]
    assert main([*inpaint, "--accept"]) == 0
    export = ["export", str(path), "--out", str(folder / "exported"), "--size", "128"]
    for kind in Kind:
        given = ["--annotations", str(outline)] if kind in DRAWN else []
        assert main([*export, "--what", kind.value, *given]) == 0, kind


def test_no_identifier_reaches_a_file(
    planted, tmp_path, home, painter, network, qtbot, desk_class, written, caplog
):
    caplog.set_level(logging.DEBUG)
    slides = {path: path.read_bytes() for path in planted.parent.iterdir()}
    out = tmp_path / "out"
    in_the_panels(qtbot, desk_class, network, planted, out / "pairs")
    on_the_command_line(planted, out)
    written.on = False

    store = planted.parent / f"{planted.stem}.histoaug"
    assert sorted(planted.parent.iterdir()) == sorted([*slides, store])
    assert all(path.read_bytes() == content for path, content in slides.items())
    files = [p for root in (store, out, home) for p in root.rglob("*") if p.is_file()]
    for name in ("journal.jsonl", "store.json", "manifest.csv", "summary.json", "salt"):
        assert any(file.name == name for file in files), name
    for root in (store, out, home):
        for file in root.rglob("*"):
            assert_clean(file.relative_to(root).as_posix().encode(), file)
    for file in files:
        assert_clean(file.read_bytes(), file)
        if file.suffix == ".png":
            with Image.open(file) as picture:
                assert not picture.info, file
    # napari's own debugging output, which is off, names layers
    said = [r for r in caplog.records if r.levelno >= logging.INFO or "histoaug" in r.name]
    assert_clean("\n".join(record.getMessage() for record in said).encode(), "the log")
    elsewhere = {p for p in written.paths if p.exists() and tmp_path not in p.resolve().parents}
    for file in elsewhere - {Path("/dev/null")}:
        if file.is_file():
            assert_clean(file.read_bytes(), file)
    # the rows are there, under the salted id
    with (out / "pairs" / "manifest.csv").open() as file:
        (row,) = csv.DictReader(file)
    with open_slide(planted) as slide:
        assert row["slide_id"] == slide.slide_id()


def assert_clean(content, where):
    for name in (PHI, "JANE-DOE", "19631"):
        for text in (name, name.lower()):
            spellings = (
                text.encode(), text.encode("utf-16-le"), text.encode("utf-16-be"),
                base64.b64encode(text.encode())[:-4], text.encode().hex().encode(),
            )  # fmt: skip
            # a short number may be found in noise
            found = [s for s in spellings if len(s) > 7 and s in content]
            assert not found, f"{found} in {where}"


def test_the_search_finds_what_it_looks_for():
    for content in (PHI.encode(), b"x" + PHI.lower().encode(), PHI.encode("utf-16-le")):
        with pytest.raises(AssertionError):
            assert_clean(content, "here")
    assert_clean(b"nothing", "here")


def test_the_label_is_in_no_layer_and_no_array(tmp_path):
    arrays, settings, _ = slide_layer(write_svs(tmp_path))
    assert PHI not in str(settings["metadata"])
    for level in arrays:
        assert not (np.asarray(level) == LABEL_COLOUR).all(axis=-1).any()


@pytest.mark.parametrize("kind", ["svs", "dicom"])
def test_the_label_is_shown_when_asked_for_and_never_saved(
    kind, tmp_path, home, monkeypatch, qtbot, make_napari_viewer, written, request
):
    import napari

    from napari_histoaug.gui.label_window import LabelWindow
    from napari_histoaug.gui.launch import open_window

    folder = tmp_path / "archive"
    folder.mkdir()
    path = (
        write_svs(folder)
        if kind == "svs"
        else copy_dicom(folder, request.getfixturevalue("shared_data"))
    )
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*")}
    monkeypatch.setattr(napari, "Viewer", lambda title, show: make_napari_viewer())
    written.paths.clear()
    viewer, widget = open_window(path, show_label=True)
    (window,) = widget.findChildren(LabelWindow)
    assert window.isVisible()
    image = window.picture.pixmap().toImage()
    if kind == "svs":
        assert (image.width(), image.height()) == (90, 60)
        assert image.pixelColor(45, 30).getRgb()[:3] == LABEL_COLOUR
    assert len(viewer.layers) == 1
    assert {p: p.stat().st_mtime_ns for p in folder.rglob("*")} == before
    assert not [p for p in written.paths if p.suffix.lower() in {".png", ".jpg", ".tif", ".bmp"}]
    assert not [p for p in home.rglob("*") if p.suffix.lower() in {".png", ".jpg", ".tif", ".bmp"}]
    widget.controller.close()


def test_without_the_option_no_label_is_read(tmp_path, monkeypatch, make_napari_viewer):
    import napari

    from napari_histoaug.gui import label_window
    from napari_histoaug.gui.launch import open_window

    monkeypatch.setattr(napari, "Viewer", lambda title, show: make_napari_viewer())
    monkeypatch.setattr(label_window, "read_label", lambda path: pytest.fail("label read"))
    _, widget = open_window(write_svs(tmp_path))
    assert widget.findChildren(label_window.LabelWindow) == []
    widget.controller.close()


def test_a_slide_without_label_is_a_sentence(make_pyramid_tiff, capsys, tmp_path):
    path = shutil.copy(make_pyramid_tiff().path, tmp_path / "plain.tif")
    assert main(["view", str(path), "--show-label"]) == 2
    assert "carries no label image" in capsys.readouterr().err
