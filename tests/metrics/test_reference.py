"""The same figures as torch-fidelity, of the same features."""

import sys
from collections.abc import Iterator
from types import SimpleNamespace
from unittest.mock import MagicMock

import numpy as np
import pytest

from napari_histoaug.metrics import frechet_distance, kernel_distance_of_subsets, overlap

PARTS = ("", ".datasets", ".models", ".transforms", ".transforms.functional")


@pytest.fixture(scope="module")
def reference() -> Iterator[SimpleNamespace]:
    """torch-fidelity's arithmetic; the torchvision it imports for other purposes is not needed."""
    with pytest.MonkeyPatch.context() as patch:
        for part in PARTS:
            patch.setitem(sys.modules, f"torchvision{part}", MagicMock())
        fidelity = pytest.importorskip("torch_fidelity", reason="torch-fidelity is not installed")
        from torch_fidelity import metric_fid, metric_kid, metric_prc

        yield SimpleNamespace(fid=metric_fid, kid=metric_kid, prc=metric_prc, package=fidelity)
        for name in [n for n in sys.modules if n.startswith("torch_fidelity")]:
            del sys.modules[name]


@pytest.fixture(scope="module")
def features() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    real = rng.standard_normal((300, 48)).astype(np.float32)
    return real, (1.2 * rng.standard_normal((400, 48)) + 0.2).astype(np.float32)


def test_frechet_distance(reference, features) -> None:
    import torch

    moments = [reference.fid.fid_features_to_statistics(torch.from_numpy(f)) for f in features]
    found = reference.fid.fid_statistics_to_metric(*moments, False)
    expected = found["frechet_inception_distance"]
    assert frechet_distance(*features) == pytest.approx(expected, rel=1e-6)


def test_kernel_distance(reference, features) -> None:
    import torch

    found = reference.kid.kid_features_to_metric(
        *map(torch.from_numpy, features),
        kid_subsets=10,
        kid_subset_size=100,
        kid_degree=3,
        kid_gamma=None,
        kid_coef0=1,
        rng_seed=2020,
        verbose=False,
    )
    ours = kernel_distance_of_subsets(*features, subsets=10, size=100)
    assert ours.mean == pytest.approx(found["kernel_inception_distance_mean"], rel=1e-5)
    assert ours.std == pytest.approx(found["kernel_inception_distance_std"], rel=1e-4)


def test_precision_and_recall(reference, features) -> None:
    import torch

    real, generated = features
    # Its first set is the generated one.
    found = reference.prc.prc_features_to_metric(
        torch.from_numpy(generated),
        torch.from_numpy(real),
        prc_neighborhood=3,
        prc_batch_size=1000,
        save_cpu_ram=False,
        verbose=False,
    )
    ours = overlap(real, generated)
    assert ours.precision == pytest.approx(found["precision"], abs=1e-6)
    assert ours.recall == pytest.approx(found["recall"], abs=1e-6)
