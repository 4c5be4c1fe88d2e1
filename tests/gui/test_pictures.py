"""Pictures that help to judge a result, and what is read of models without torch."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from napari_histoaug.gui.model_cards import ModelCard, known_models, read_card
from napari_histoaug.gui.pictures import OUTLINE, difference, picture, seams, thumbnail
from napari_histoaug.gui.tasks import PACES, seconds_said
from napari_histoaug.metrics import seam_map


@pytest.fixture
def case():
    before = np.random.default_rng(0).integers(150, 190, (80, 90, 3)).astype(np.uint8)
    changed = np.zeros((80, 90), bool)
    changed[20:60, 30:70] = True
    hole = np.zeros_like(changed)
    hole[24:56, 34:66] = True
    return before, changed, hole


def test_the_result_is_clear_outside_and_true_inside(case):
    before, changed, hole = case
    after = np.where(changed[..., None], 40, before).astype(np.uint8)
    rgba = picture("result", before, after, changed, hole)
    np.testing.assert_array_equal(rgba[..., 3] > 0, changed)
    np.testing.assert_array_equal(rgba[changed][:, :3], after[changed])
    outlined = picture("result", before, after, changed, hole, outlined=True)
    line = (outlined[..., :3] == OUTLINE).all(axis=-1)
    assert line[24, 40]
    assert line[55, 65]
    assert not line[30, 40]


def test_the_difference_is_black_where_nothing_moved_and_white_where_most_did():
    before = np.full((2, 3, 3), 100, np.uint8)
    after = before.copy()
    after[0, 1, 2], after[1, 2] = 148, 4
    shown = difference(before, after)
    assert shown[0, 0].tolist() == [0, 0, 0]
    assert shown[0, 1].tolist() == [255, 127, 0]
    assert shown[1, 2].tolist() == [255, 255, 255]


def test_a_seam_is_coloured_and_good_tissue_is_not(case):
    before, changed, _ = case
    np.testing.assert_array_equal(seams(before, changed)[40, 50], before[40, 50])
    dark = before.copy()
    dark[20:60, 30:70] //= 3
    shown = seams(dark, changed)
    assert shown[40, 30].tolist()[0] == 255
    assert shown[40, 30, 2] == 0
    np.testing.assert_array_equal(shown[40, 50], dark[40, 50])


def test_the_seam_map_is_the_step_in_steps_of_the_tissue():
    image = np.full((40, 40, 3), 255, np.uint8)
    image[::2] = 128  # rows in turn: a step of ln(255 / 128) between neighbours, 0 along rows
    hole = np.zeros((40, 40), bool)
    hole[:, 20:] = True
    image[:, 20:] = np.where(image[:, 20:] == 255, 64, 32)
    found = seam_map(image, hole, band=8)
    assert (found[:, :19] == 0).all()
    assert (found[:, 21:] == 0).all()
    # half of all neighbours in the band, those below each other, are a step apart
    rows, columns = 39 * 16, 40 * 14
    mean = np.log(255 / 128) * rows / (rows + columns)
    assert found[0, 19] == pytest.approx(np.log(128 / 32) / mean, rel=0.02)


def test_thumbnails_are_square():
    image = np.zeros((300, 200, 3), np.uint8)
    image[50:250] = 9
    assert thumbnail(image, 16).shape == (16, 16, 3)
    assert (thumbnail(image, 16) == 9).all()


def test_cards_agree_with_what_generation_finds():
    from napari_histoaug.generation import WAYS, available_generators, load_generator
    from napari_histoaug.generation.methods import Way

    assert sorted(known_models()) == available_generators()
    card = read_card(None)
    assert isinstance(card, ModelCard)
    generator = load_generator(device="cpu")
    assert (card.name, card.classes, card.mpp) == (
        generator.name,
        generator.classes,
        generator.mpp,
    )
    for pace in PACES:
        assert pace.method in WAYS
        if pace.evaluations is not None:
            assert Way.of(generator, pace.method).evaluations(generator) == pace.evaluations


def test_a_folder_without_a_card_is_a_sentence(tmp_path):
    assert "choose a folder" in str(read_card(str(tmp_path)))
    (tmp_path / "model_index.json").write_text(json.dumps({"name": "x"}))
    assert "cannot be read" in str(read_card(str(tmp_path)))


def test_the_window_loads_no_torch_before_it_is_needed():
    program = "import sys, napari_histoaug.gui.widget; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], timeout=120).returncode == 0


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.4, "about a second"), (7.2, "about 7 s"), (300, "about 5 min"), (9000, "about 2.5 h")],
)
def test_waits_are_said_as_people_say_them(seconds, said):
    assert seconds_said(seconds) == said
