"""Seams and sharpness on pictures where the answer is known."""

import numpy as np
import pytest
from scipy import ndimage

from napari_histoaug.metrics import MetricError, seam_score, sharpness_ratio
from napari_histoaug.metrics.extractors import NetworkExtractor


@pytest.fixture(scope="module")
def tissue() -> np.ndarray:
    """Blotches of pink, equally fine everywhere."""
    rng = np.random.default_rng(0)
    grey = ndimage.gaussian_filter(rng.standard_normal((160, 160)), 2)
    return np.clip(170 + 200 * grey[..., None] + [30, -20, 10], 1, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def hole() -> np.ndarray:
    y, x = np.mgrid[:160, :160]
    return np.hypot(y - 80, x - 80) < 40


def test_untouched_tissue_is_as_sharp_as_itself_and_has_no_seam(tissue, hole) -> None:
    assert sharpness_ratio(tissue, hole) == pytest.approx(1, abs=0.25)
    seam = seam_score(tissue, hole)
    assert seam is not None
    assert seam.edge == pytest.approx(1, abs=0.1)
    assert seam.colour < 0.1


def test_a_blurred_filling_is_seen(tissue, hole) -> None:
    blurred = ndimage.gaussian_filter(tissue, (2, 2, 0))
    filled = np.where(hole[..., None], blurred, tissue)
    ratio = sharpness_ratio(filled, hole)
    assert ratio is not None
    assert ratio < 0.3


def test_a_colour_step_is_measured_in_optical_density(tissue, hole) -> None:
    darker = tissue.copy()
    darker[hole] = np.rint(darker[hole] * np.exp(-0.3)).astype(np.uint8)
    before, after = seam_score(tissue, hole), seam_score(darker, hole)
    assert before is not None
    assert after is not None
    assert after.colour - before.colour == pytest.approx(0.3, abs=0.06)
    assert after.edge > 2 * before.edge


def test_too_little_to_say() -> None:
    image = np.full((20, 20, 3), 128, np.uint8)
    hole = np.zeros((20, 20), bool)
    hole[9:11, 9:11] = True
    assert sharpness_ratio(image, hole) is None
    assert seam_score(image, hole) is None
    with pytest.raises(MetricError, match="must agree"):
        seam_score(image, hole[:-1])


def test_an_extractor_names_itself_and_refuses_what_is_no_picture() -> None:
    import torch

    extractor = NetworkExtractor(torch.nn.Identity(), "identity", "0123456789abcdef")
    images = np.random.default_rng(0).integers(0, 256, (20, 4, 5, 3), np.uint8)
    means = (images.reshape(20, -1, 3).mean(1) / 255 - [0.485, 0.456, 0.406]) / [
        0.229,
        0.224,
        0.225,
    ]
    np.testing.assert_allclose(extractor(images), means, rtol=1e-4)
    assert "0123456789ab" in extractor.name
    with pytest.raises(MetricError, match="8-bit RGB"):
        extractor(images[..., :2])
