"""What panel *Generate* can be asked for, through its real widgets."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from napari_histoaug.gui.engine import NO_TORCH, Engine
from napari_histoaug.gui.widget import HistoaugWidget


def choose_task(desk, title: str) -> None:
    box = desk.widget.generate_panel.task_box
    box.setCurrentText(title)
    box.activated.emit(box.currentIndex())


def test_variants_are_made_at_once_and_one_is_accepted(desk):
    desk.widget.generate_panel.options.variants_box.setValue(3)
    desk.propose()
    proposal, strip = desk.controller.proposal, desk.widget.review_panel.strip
    assert [variant[0].result.seed for variant in proposal.variants] == [0, 1, 2]
    assert strip.count() == 3
    strip.setCurrentRow(2)
    (layer,) = proposal.layers
    part = proposal.variants[2][0]
    np.testing.assert_array_equal(layer.data[..., :3][part.changed], part.image[part.changed])
    desk.accept()
    assert [edit.seed for edit in desk.session.edits.edits] == [2]


def test_a_used_seed_is_drawn_anew_unless_it_is_kept(desk):
    options = desk.widget.generate_panel.options
    desk.propose()
    desk.run()
    desk.wait_proposal()
    drawn = desk.controller.settings.seed
    assert drawn != 0
    assert options.seed_box.value() == drawn
    options.keep_box.setChecked(True)
    desk.run()
    desk.wait_proposal()
    assert [call["seed"] for call in desk.network.calls] == [0, drawn, drawn]
    desk.click(options.roll_button)
    assert options.seed_box.value() != drawn


def test_remove_fills_with_what_surrounds_the_hole(desk):
    choose_task(desk, "Remove")
    assert desk.widget.generate_panel.run_button.text() == "Remove"
    part = desk.propose()
    assert (part.result.label, part.purpose) == ("background", "remove")
    desk.accept()
    (record,) = desk.session.edits.edits
    assert (record.label, record.purpose) == ("background", "remove")


def test_restore_takes_the_class_annotated_around_the_hole(desk, tmp_path):
    desk.annotate(tmp_path, [(300, 400, 120, 120)], "blood_vessel")
    desk.click(desk.widget.paint_panel.outline_button)
    shapes = desk.viewer.layers.selection.active
    shapes.add_polygons(np.array([[340, 440], [340, 460], [360, 460], [360, 440]]) + 0.5)
    choose_task(desk, "Restore")
    desk.run()
    (part,) = desk.wait_proposal()
    assert (part.result.label, part.purpose) == ("blood_vessel", "restore")


def test_a_rectangle_is_synthesised_from_the_painted_map(desk):
    canvas = desk.paint_here()
    desk.paint(y=350, x=450)
    painted = np.asarray(canvas.layer.data) == 1
    desk.click(desk.widget.paint_panel.outline_button)
    shapes = desk.viewer.layers.selection.active
    shapes.add_rectangles(
        np.array([[299.5, 399.5], [299.5, 519.5], [419.5, 519.5], [419.5, 399.5]])
    )
    choose_task(desk, "Synthesise region")
    desk.run()
    (part,) = desk.wait_proposal()
    assert part.box == (300, 400, 120, 120)
    y, x = 300 - canvas.box[0], 400 - canvas.box[1]
    expected = painted[y : y + 120, x : x + 120]
    np.testing.assert_array_equal(desk.network.maps[0], expected)
    assert expected.any()
    # it passes into the slide along its edge
    moved = np.abs(part.image.astype(int) - part.before)
    assert moved[[0, -1]].max() < 10 < moved[60, 60].max()
    desk.accept()
    (record,) = desk.session.edits.edits
    assert (record.purpose, record.classes) == ("synthesise", desk.controller.classes.names)
    np.testing.assert_array_equal(desk.session.edits.painted_map(record) == 1, expected)


def test_every_annotated_outline_is_filled_and_accepted(desk, tmp_path):
    corners = [(200, 200), (200, 700), (900, 300), (1100, 1300)]
    desk.annotate(tmp_path, [(y, x, 40, 50) for y, x in corners], "blood_vessel")
    panel = desk.widget.generate_panel
    assert panel.batch_button.isVisibleTo(desk.widget)
    desk.click(panel.batch_button)
    desk.wait_idle()
    holes = np.zeros(desk.session.shape, bool)
    for record in desk.session.edits.edits:
        y, x, height, width = record.box
        holes[y : y + height, x : x + width] |= desk.session.edits.painted(record)
    expected = np.zeros_like(holes)
    for y, x in corners:
        expected[y : y + 40, x : x + 50] = True
    np.testing.assert_array_equal(holes, expected)
    assert "filled and accepted" in desk.controller.sentence


def test_a_cancelled_batch_keeps_what_was_finished(desk, tmp_path):
    boxes = [(60 + 420 * i, 60 + 420 * j, 20, 20) for i in range(3) for j in range(4)]
    desk.annotate(tmp_path, boxes, "blood_vessel")
    desk.network.steps, desk.network.wait_after = 1, None
    panel = desk.widget.generate_panel
    real, filled = desk.network.inpaint, []

    def slow(*args, **options):
        if len(filled) == 9:
            desk.network.wait_after = 0
        filled.append(options["seed"])
        return real(*args, **options)

    engine = desk.controller.making.engine
    desk.controller.making.engine = Engine.of(engine.load_generator, slow)
    desk.click(panel.batch_button)
    desk.qtbot.waitUntil(lambda: desk.network.wait_after == 0, timeout=20_000)
    desk.click(panel.run_button)
    desk.wait_idle()
    assert len(desk.session.edits.edits) == 8
    # and shows it
    edit = desk.session.edits.edits[0]
    y, x, height, width = edit.box
    image, changed = desk.session.edits.read_edit(edit)
    shown = desk.shown(0)[y : y + height, x : x + width]
    np.testing.assert_array_equal(shown[changed], image[changed])


def test_a_real_vessel_can_be_the_start(desk, tmp_path):
    for number in range(2):
        rgba = np.full((40, 40, 4), 255, np.uint8)
        rgba[..., :3] = 100 + number
        Image.fromarray(rgba).save(tmp_path / f"donor{number}.png")
    settings, options = desk.controller.settings, desk.widget.generate_panel.options
    settings.donors = tmp_path
    desk.controller.changed.emit()
    assert options.donor_list.count() == 2
    options.donor_list.setCurrentRow(1)
    options.strength_slider.setValue(30)
    given = []
    desk.controller.making.engine = Engine.of(
        desk.network.load_generator,
        lambda *args, donor, strength, **kw: (
            given.append((donor.image[0, 0, 0], strength)) or desk.network.inpaint(*args, **kw)
        ),
    )
    desk.propose()
    assert given == [(101, 0.3)]


def test_vessels_start_from_packaged_ones_and_other_tissue_from_noise(desk):
    settings, options = desk.controller.settings, desk.widget.generate_panel.options
    desk.controller.changed.emit()
    assert options.start_box.currentText() == "A real vessel"
    assert options.donor_list.count() > 40
    assert desk.propose().result.donor in {path.stem for path in settings.donors.glob("*.png")}
    settings.purpose = "remove"
    desk.controller.changed.emit()
    assert settings.start is None
    assert not options.donor_list.isVisibleTo(options)
    assert desk.propose().result.donor is None


def test_the_wait_is_told_before_the_start(qtbot, desk_class, slide_path, network):
    from napari.components import ViewerModel

    from napari_histoaug.generation.pace import Pace
    from napari_histoaug.gui.reader import slide_layer

    engine = Engine.of(network.load_generator, network.inpaint)
    engine = Engine(
        network.load_generator,
        network.inpaint,
        engine.inpaint_many,
        engine.synthesize,
        measure=lambda generator: Pace(0.25, 0.125, 1.0),
    )
    viewer = ViewerModel()
    arrays, options, _ = slide_layer(slide_path)
    viewer.add_image(arrays, **options)
    widget = HistoaugWidget(viewer, engine=engine)
    qtbot.addWidget(widget)
    desk = desk_class(qtbot, viewer, widget, slide_path, network)
    panel = widget.generate_panel
    panel.pace_box.setCurrentText("Quick")
    panel.pace_box.activated.emit(panel.pace_box.currentIndex())
    assert "5 evaluations" in panel.estimate.text()  # a quarter: it starts from a real vessel
    widget.controller.settings.donors = None
    widget.controller.changed.emit()
    assert "20 evaluations" in panel.estimate.text()
    desk.look_at(350, 450)
    desk.paint_here()
    qtbot.waitUntil(lambda: "about 6 s a hole" in panel.estimate.text(), timeout=20_000)
    for purpose in ("remove", "restore"):
        widget.controller.settings.purpose = purpose
        widget.controller.changed.emit()
        assert "20 evaluations, about 4 s a hole" in panel.estimate.text()  # 3.5, unguided
    widget.controller.close()


def test_without_torch_the_panel_says_what_to_add(qtbot, slide_path):
    from napari.components import ViewerModel

    from napari_histoaug.gui.reader import slide_layer

    def unused(*args, **options):
        raise AssertionError("nothing of the engine may be touched")

    engine = Engine(unused, unused, unused, unused, missing=NO_TORCH)
    viewer = ViewerModel()
    arrays, options, _ = slide_layer(slide_path)
    viewer.add_image(arrays, **options)
    widget = HistoaugWidget(viewer, engine=engine)
    qtbot.addWidget(widget)
    panel = widget.generate_panel
    assert not panel.run_button.isEnabled()
    assert "pip install torch" in panel.estimate.text()
    assert "pip install torch" in panel.run_button.toolTip()
    assert widget.paint_panel.paint_button.isEnabled()
    widget.controller.paint_here()
    assert widget.controller.canvas is not None
    widget.controller.close()


def test_notes_of_a_result_are_shown(desk):
    def noted(*args, **options):
        made = desk.network.inpaint(*args, **options)
        return SimpleNamespace(**{**vars(made), "notes": ("Memory was short: smaller windows.",)})

    desk.controller.making.engine = Engine.of(desk.network.load_generator, noted)
    desk.propose()
    assert "smaller windows" in desk.widget.generate_panel.progress_label.text()


@pytest.mark.parametrize("model", [None, "no such model"])
def test_the_card_of_the_model_is_shown(desk, model):
    options = desk.widget.generate_panel.options
    options.model_box.setCurrentText(model or "bundled")
    said = options.card.text()
    assert ("MIT licence" in said) if model is None else ("no model" in said)
