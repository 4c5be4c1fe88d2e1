"""What a segmenter sees in a hole, against a count by hand."""

from types import SimpleNamespace

import numpy as np
import pytest

from napari_histoaug.gui.judging import Scores, SegmenterJudge, together
from napari_histoaug.models import SegmentationUNet, SegmentationUNetConfig
from napari_histoaug.models.segmenter_folder import SegmenterIndex, save_segmenter
from napari_histoaug.segmentation import segmenter as rooms
from napari_histoaug.segmentation.hole_check import labels_in, share_found


class DarkIsVessel:
    """Takes every dark pixel for a vessel."""

    classes = ("fat", "blood_vessel")
    mpp = (0.5, 0.5)
    index = SimpleNamespace(name="dark")

    def probabilities(self, windows):
        assert all(side % 32 == 0 for side in windows.shape[1:3])
        dark = (windows.mean(-1) < 100).astype(np.float32)
        return np.stack([np.zeros_like(dark), dark], axis=1)

    def labels(self, probabilities):
        return (2 * (probabilities[1] > 0.5)).astype(np.uint8)


def picture():
    image = np.full((70, 90, 3), 220, np.uint8)
    image[20:40, 30:50] = 20
    hole = np.zeros((70, 90), bool)
    hole[20:40, 30:70] = True
    return image, hole


def test_the_share_is_that_of_the_hole():
    image, hole = picture()
    assert labels_in(DarkIsVessel(), image, None).shape == (70, 90)
    assert share_found(DarkIsVessel(), image, hole, "blood_vessel", None) == 0.5
    assert share_found(DarkIsVessel(), image, hole, "fat", 0.5) == 0
    assert share_found(DarkIsVessel(), image, hole, "nerve", 0.5) is None
    assert share_found(DarkIsVessel(), image, ~(hole | ~hole), "blood_vessel", 0.5) is None


def test_the_segmenter_sees_its_own_pixel_size():
    image, hole = picture()
    fine, fine_hole = image.repeat(2, 0).repeat(2, 1), hole.repeat(2, 0).repeat(2, 1)
    assert labels_in(DarkIsVessel(), fine, (0.25, 0.25)).shape == (70, 90)
    found = share_found(DarkIsVessel(), fine, fine_hole, "blood_vessel", 0.25)
    assert found == pytest.approx(0.5, abs=0.03)


def test_the_judge_takes_a_segmenter_that_is_there_and_says_when_none_is(tmp_path, monkeypatch):
    image, hole = picture()
    monkeypatch.setattr(rooms, "PACKAGED", tmp_path / "packaged")
    monkeypatch.setattr(rooms, "user_segmenters", lambda: tmp_path / "own")
    ask = image, image, hole, "blood_vessel", (0.5, 0.5), "cpu"
    assert SegmenterJudge()(*ask) == "Class: no segmenter here."
    config = SegmentationUNetConfig(classes=1, encoder="resnet18", width=8, decoder=(8,) * 5)
    index = SegmenterIndex(
        name="small", classes=("blood_vessel",), mpp=(0.5, 0.5), patch=64, thresholds=(0.5,)
    )
    folder = tmp_path / "own" / "small"
    save_segmenter(folder, index, SegmentationUNet(config).eval())
    judge = SegmenterJudge()
    said = judge(*ask)
    assert (said.segmenter, said.found) == ("small", said.before)
    assert judge(*ask[:3], "nerve", None, "cpu") == "Class: the segmenter does not know nerve."
    (folder / "unet" / "config.json").write_text("{")
    assert SegmenterJudge()(*ask).startswith("Class: ")


def test_several_holes_have_one_score():
    two = [Scores("blood_vessel", 0.5, 0.0, "s"), Scores("blood_vessel", 1.0, 0.5, "s")]
    assert together([*two, None]) == Scores("blood_vessel", 0.75, 0.25, "s")
    assert together([None, "No."]) == "No."
    assert together([None]) is None
