"""A generator ready to use: networks on a device, and what they were taught."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import platformdirs
import torch

from napari_histoaug.diffusion import Schedule, linear_schedule
from napari_histoaug.errors import HistoaugError
from napari_histoaug.generation.device import pick_device
from napari_histoaug.models import LatentSpace, ModelError, SpadeUNet, channels_last
from napari_histoaug.models.folder import INDEX, GeneratorIndex, load_parts

PACKAGED = Path(__file__).parents[1] / "models" / "generators"
DEFAULT = "bundled"
BACKGROUND = ("background", "tissue")


class GenerationError(HistoaugError):
    """A request that a generator cannot fulfil."""


@dataclass(frozen=True)
class Generator:
    """Networks and what they were taught.

    Attributes
    ----------
    unet : SpadeUNet
        The diffusion network.
    autoencoder : LatentSpace or None
        Between pixels and latents; None for a pixel-space generator.
    schedule : Schedule
        The noise schedule of its training.
    index : GeneratorIndex
        Classes, pixel size, sampling defaults.
    sha256 : str
        Of the folder's files, for provenance.
    device : torch.device
        Where the networks are.
    data_set : str or None
        Whose look what is made shall have; one of `index.data_sets`. None: not told.
    """

    unet: SpadeUNet
    autoencoder: LatentSpace | None
    schedule: Schedule
    index: GeneratorIndex
    sha256: str
    device: torch.device
    data_set: str | None = None

    @property
    def name(self) -> str:
        """What the generator is called."""
        return self.index.name

    @property
    def mpp(self) -> tuple[float, float]:
        """Micrometres per pixel it works at, (y, x)."""
        return self.index.mpp

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes it knows, in label-mask order (mask value = 1 + index)."""
        return self.index.classes

    @property
    def default_steps(self) -> int:
        """Network evaluations of a pixel-time inpaint unless told otherwise."""
        return self.index.sampling.steps

    @property
    def factor(self) -> int:
        """Pixels a cell of the state covers, along each axis; 1 in pixel space."""
        return self.autoencoder.factor if self.autoencoder else 1

    @property
    def cell(self) -> int:
        """Pixels that are synthesised or kept together, along each axis."""
        return self.factor * self.unet.config.unshuffle

    @property
    def stride(self) -> int:
        """Sides of the network's windows are multiples of this many pixels."""
        return self.factor * self.unet.stride

    def like(self, data_set: str | None) -> Generator:
        """The same networks, told which of their data sets tissue is to look like.

        Raises
        ------
        GenerationError
            When they were not taught on it.
        """
        if data_set is not None and data_set not in self.index.data_sets:
            known = ", ".join(self.index.data_sets) or "only one, which has no name"
            raise GenerationError(
                f"The model {self.name} was not taught on the data set {data_set!r}; it knows "
                f"{known}."
            )
        return replace(self, data_set=data_set)

    @property
    def data_set_value(self) -> int:
        """What the network is told of the data set: 1 + its index, 0 = nothing."""
        return 0 if self.data_set is None else 1 + self.index.data_sets.index(self.data_set)

    def value_of(self, label: str) -> int:
        """Return the label-mask value of a class name; 0 for "background" or "tissue".

        Raises
        ------
        GenerationError
            When the generator does not know the class.
        """
        if label in BACKGROUND:
            return 0
        if label not in self.classes:
            known = ", ".join((*self.classes, BACKGROUND[0]))
            raise GenerationError(
                f"The model {self.name} does not know {label!r}; it knows {known}."
            )
        return 1 + self.classes.index(label)


def user_generators() -> Path:
    """The folder in which generators added by the user are looked up by name."""
    return platformdirs.user_data_path("napari-histoaug") / "generators"


def available_generators() -> list[str]:
    """Names of the generators that :func:`load_generator` finds without a path."""
    folders = [p for root in (PACKAGED, user_generators()) if root.is_dir() for p in root.iterdir()]
    return sorted({p.name for p in folders if (p / INDEX).is_file()})


def find_generator(source: str | Path | None) -> Path:
    """Return the folder of a generator given by name or path; the bundled one for None.

    Raises
    ------
    ModelError
        When there is no such generator.
    """
    name = DEFAULT if source is None else str(source)
    if name in available_generators():
        roots = (PACKAGED, user_generators())
        return next(root / name for root in roots if (root / name / INDEX).is_file())
    folder = Path(name)
    if folder.is_dir():
        return folder
    known = ", ".join(available_generators()) or "none"
    raise ModelError(
        f"There is no model {name!r}: neither a folder nor one of the known ones ({known})."
    )


def load_generator(
    source: str | Path | None = None, device: str = "auto", *, compiled: bool = False
) -> Generator:
    """Load a generator.

    Parameters
    ----------
    source : str or Path, optional
        A name, a generator folder, or None for the bundled one.
    device : str
        "auto", "cpu", "cuda", "cuda:1", "mps".
    compiled : bool
        Let torch.compile translate the U-Net at its first call: minutes once, then faster. Needs a
        C++ compiler.

    Raises
    ------
    ModelError
        When the folder is missing, incomplete or damaged; one sentence that names the file.
    """
    target = pick_device(device)
    parts = load_parts(find_generator(source))
    s = parts.schedule
    space = parts.latent_space
    # Weights keep requiring gradients: only then does autocast cast them once for many calls.
    # Nothing records any, since all work here runs in inference mode.
    unet = channels_last(parts.unet.to(target))
    if compiled:
        unet.compile()
    return Generator(
        unet=unet,
        autoencoder=None if space is None else channels_last(space.to(target)),
        schedule=linear_schedule(s.num_train_timesteps, s.beta_start, s.beta_end),
        index=parts.index,
        sha256=parts.sha256,
        device=target,
    )
