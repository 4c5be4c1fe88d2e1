"""A segmenter ready to use: a network on a device, and what it was taught."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import platformdirs
import torch

from napari_histoaug.generation.device import autocast, pick_device
from napari_histoaug.models import SegmentationNetwork, channels_last
from napari_histoaug.models.checkpoints import ModelError
from napari_histoaug.models.segmenter_folder import INDEX, SegmenterIndex, load_segmenter_parts

PACKAGED = Path(__file__).parents[1] / "models" / "segmenters"
DEFAULT = "bundled"


@dataclass(frozen=True)
class Segmenter:
    """A network and what it was taught.

    Attributes
    ----------
    unet : SegmentationNetwork
    index : SegmenterIndex
        Classes, pixel size, thresholds.
    sha256 : str
        Of the folder's files, for provenance.
    device : torch.device
        Where the network is.
    """

    unet: SegmentationNetwork
    index: SegmenterIndex
    sha256: str
    device: torch.device

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes it finds, in the order of its probability maps."""
        return self.index.classes

    @property
    def mpp(self) -> tuple[float, float]:
        """Micrometres per pixel it works at, (y, x)."""
        return self.index.mpp

    def probabilities(self, windows: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Probabilities float32 (N, classes, H, W) of RGB uint8 (N, H, W, 3).

        Sides must be multiples of 32.
        """
        x = torch.from_numpy(np.require(windows, requirements=["C", "W"])).to(self.device)
        x = x.permute(0, 3, 1, 2).float() / 127.5 - 1
        x = x.contiguous(memory_format=torch.channels_last)
        with torch.inference_mode(), autocast(self.device):
            logits = self.unet(x)
        return torch.sigmoid(logits.float()).cpu().numpy()

    def labels(self, probabilities: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
        """Label mask (H, W) of probabilities (classes, H, W): 0, or 1 + the class index.

        A pixel above several thresholds goes to the class that exceeds its own by most.
        """
        limits = np.array(self.index.thresholds, np.float32)[:, None, None]
        if len(limits) == 1:
            return (probabilities[0] >= limits[0]).astype(np.uint8)
        # Relative to what is left above the threshold, so that strict classes are not favoured.
        margin = (probabilities - limits) / (1 - limits)
        best = margin.argmax(0)
        return np.where(margin.max(0) >= 0, best + 1, 0).astype(np.uint8)


def user_segmenters() -> Path:
    """The folder in which segmenters added by the user are looked up by name."""
    return platformdirs.user_data_path("napari-histoaug") / "segmenters"


def available_segmenters() -> list[str]:
    """Names of the segmenters that :func:`load_segmenter` finds without a path."""
    folders = [p for root in (PACKAGED, user_segmenters()) if root.is_dir() for p in root.iterdir()]
    return sorted({p.name for p in folders if (p / INDEX).is_file()})


def load_segmenter(source: str | Path | None = None, device: str = "auto") -> Segmenter:
    """Load a segmenter.

    Parameters
    ----------
    source : str or Path, optional
        A name, a segmenter folder, or None for the bundled one.
    device : str
        "auto", "cpu", "cuda", "cuda:1", "mps".

    Raises
    ------
    ModelError
        When there is none, or it is incomplete or damaged; one sentence that names the file.
    """
    parts = load_segmenter_parts(find_segmenter(source))
    target = pick_device(device)
    unet = channels_last(parts.unet.to(target)).requires_grad_(False)
    return Segmenter(unet, parts.index, parts.sha256, target)


def find_segmenter(source: str | Path | None) -> Path:
    """Return the folder of a segmenter given by name or path; the bundled one for None.

    Raises
    ------
    ModelError
        When there is no such segmenter.
    """
    name = DEFAULT if source is None else str(source)
    for root in (PACKAGED, user_segmenters()):
        if (root / name / INDEX).is_file():
            return root / name
    if Path(name).is_dir():
        return Path(name)
    known = ", ".join(available_segmenters()) or "none"
    raise ModelError(
        f"There is no segmenter {name!r}: neither a folder nor one of the known ones ({known})."
    )
