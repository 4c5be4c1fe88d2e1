"""A segmenter from its folder: what it says, and what is refused."""

import json

import numpy as np
import pytest
import torch

from napari_histoaug.models import ModelError, SegmentationUNet, SegmentationUNetConfig
from napari_histoaug.models.segmenter_folder import SegmenterIndex, save_segmenter
from napari_histoaug.segmentation import load_segmenter

SMALL = SegmentationUNetConfig(classes=2, encoder="resnet18", width=8, decoder=(8, 8, 8, 8, 8))
INDEX = SegmenterIndex(
    name="small",
    classes=("blood_vessel", "fatty_tissue"),
    mpp=(0.5, 0.5),
    patch=64,
    thresholds=(0.5, 0.8),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("segmenters") / "small"
    save_segmenter(path, INDEX, SegmentationUNet(SMALL).eval(), dtype=torch.float32)
    return path


def test_probabilities_are_those_of_the_network(folder) -> None:
    segmenter = load_segmenter(folder, "cpu")
    windows = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), np.uint8)
    found = segmenter.probabilities(windows)
    x = torch.from_numpy(windows).permute(0, 3, 1, 2).float() / 127.5 - 1
    expected = torch.sigmoid(segmenter.unet.float()(x))
    assert found.shape == (3, 2, 64, 64)
    # bfloat16 where the processor has it
    np.testing.assert_allclose(found, expected.numpy(), atol=0.03)
    assert len(segmenter.sha256) == 64


def test_labels_follow_each_class_own_threshold(folder) -> None:
    segmenter = load_segmenter(folder, "cpu")
    probabilities = np.array(
        [[[0.4, 0.5, 0.9, 0.6, 0.1]], [[0.7, 0.7, 0.81, 0.99, 0.8]]], np.float32
    )
    assert segmenter.labels(probabilities).tolist() == [[0, 1, 1, 2, 2]]


def test_parts_that_do_not_belong_together_are_refused(folder, tmp_path) -> None:
    with pytest.raises(ModelError, match="does not exist"):
        load_segmenter_of(tmp_path / "nothing", folder, None)
    with pytest.raises(ModelError, match="do not belong together"):
        load_segmenter_of(
            tmp_path / "one", folder, {"classes": ["blood_vessel"], "thresholds": [0.5]}
        )
    with pytest.raises(ModelError, match="not valid at the whole"):
        load_segmenter_of(tmp_path / "two", folder, {"thresholds": [0.5]})
    with pytest.raises(ModelError, match="neither a folder"):
        load_segmenter("no such model", "cpu")


def load_segmenter_of(target, folder, changes) -> None:
    """Load a copy of a folder whose index was changed."""
    from napari_histoaug.models.segmenter_folder import load_segmenter_parts

    if changes is not None:
        target.mkdir()
        (target / "unet").symlink_to(folder / "unet")
        index = json.loads((folder / "segmenter_index.json").read_text())
        (target / "segmenter_index.json").write_text(json.dumps({**index, **changes}))
    load_segmenter_parts(target)
