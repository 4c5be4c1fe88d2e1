"""The network as the sampler wants it: windows of the state in, predicted noise out."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from napari_histoaug.diffusion import Window, guided, noise_from_velocity
from napari_histoaug.generation.device import autocast
from napari_histoaug.generation.generator import Generator
from napari_histoaug.generation.memory import ran_out, release
from napari_histoaug.models.spade_unet import SpadeMaps

MAPS_MEMORY = 1 << 30  # bytes of SPADE modulations kept between steps; others are made anew

Row = tuple[Window, bool]  # a window, and whether its label is told


class Denoiser:
    """A generator's U-Net with its label maps fixed.

    Parameters
    ----------
    generator : Generator
        The network, its schedule and device.
    labels : sequence of Tensor, (classes + 2, H, W), float
        Soft one-hot labels of each image, on the state's grid; the last channel says "no label".
    guidance : float
        Classifier-free guidance scale (Ho and Salimans 2022); 1 asks the network once. It pushes
        towards a class, so a hole that is to become background goes without: pushing it away
        from the average of all tissue makes it paler than any.
    rows : int
        Most windows (with guidance: twice as many rows) that go through the network at once.

    Attributes
    ----------
    evaluations : int
        Forward passes spent so far.
    notes : list of str
        What had to be done for lack of memory, in sentences.
    """

    def __init__(
        self,
        generator: Generator,
        labels: Sequence[Tensor],
        guidance: float = 1.0,
        rows: int = 8,
    ) -> None:
        self.generator = generator
        self.labels = labels
        self.guidance = guidance
        self.rows = rows if guidance == 1 else 2 * rows
        self.evaluations = 0
        self.notes: list[str] = []
        # A label map stays the same over all steps: its modulation is computed once.
        self._maps: dict[tuple[Row, ...], tuple[Tensor, SpadeMaps]] = {}
        self._maps_bytes = 0
        self._pushed: dict[Window, bool] = {}

    def whole(self, x: Tensor, t: Tensor, hole: Tensor) -> Tensor:
        """Predict the noise of whole images `x` (B, C, H, W): each is one window."""
        return self(x, t, hole, [Window(image, 0, 0) for image in range(len(x))])

    def __call__(self, x: Tensor, t: Tensor, hole: Tensor, windows: Sequence[Window]) -> Tensor:
        """Predict the noise of windows `x` (N, C, h, w) at timesteps `t` (N,).

        Raises
        ------
        RuntimeError
            When memory does not even suffice for one window.
        """
        pushed = [i for i, window in enumerate(windows) if self._pushes(window, hole[i, 0])]
        rows = [(window, True) for window in windows] + [(windows[i], False) for i in pushed]
        every = [*range(len(windows)), *pushed]
        out = self._in_parts(x[every], t[every], hole[every], rows)
        out, silent = out[: len(windows)], out[len(windows) :]
        if pushed:
            out[pushed] = guided(out[pushed], silent, self.guidance)
        if self.generator.unet.config.prediction == "v":
            return noise_from_velocity(x, out, self.generator.schedule.gather(t))
        return out

    def _pushes(self, window: Window, hole: Tensor) -> bool:
        """Whether a window's hole (h, w) is to hold a class, so that guidance has a direction."""
        if self.guidance == 1:
            return False
        if window not in self._pushed:
            classes = self._part(window, (hole.shape[0], hole.shape[1]))[1:-1].sum(dim=0) > 0
            self._pushed[window] = bool((classes & hole.to(classes.device)).any())
        return self._pushed[window]

    def _in_parts(self, x: Tensor, t: Tensor, hole: Tensor, rows: list[Row]) -> Tensor:
        while True:
            parts = [slice(i, i + self.rows) for i in range(0, len(rows), self.rows)]
            try:
                out = [self._forward(x[p], t[p], hole[p], tuple(rows[p])) for p in parts]
                return torch.cat(out).to(x.dtype)
            except RuntimeError as error:
                most = min(self.rows, len(rows))
                if not ran_out(error) or most == 1:
                    raise
                self.rows = most // 2
            self._maps.clear()
            self._maps_bytes = 0
            release(self.generator.device)
            self.notes.append(f"Memory was short: the network was given {self.rows} at a time.")

    def _forward(self, x: Tensor, t: Tensor, hole: Tensor, rows: tuple[Row, ...]) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        with torch.inference_mode(), autocast(self.generator.device):
            labels, maps = self._conditions(rows, (x.shape[2], x.shape[3]))
            told = torch.tensor(
                [tell * self.generator.data_set_value for _, tell in rows], device=x.device
            )
            out = self.generator.unet(x, t, hole, labels, told, maps)
        self.evaluations += 1
        return out

    def _conditions(self, rows: tuple[Row, ...], size: tuple[int, int]) -> tuple[Tensor, SpadeMaps]:
        """Labels (N, K, h, w) of the rows and what SPADE makes of them; kept while they fit."""
        if rows in self._maps:
            return self._maps[rows]
        labels = torch.stack([self._cut(window, tell, size) for window, tell in rows])
        labels = labels.to(self.generator.device)
        maps = self.generator.unet.modulations(labels, size)
        weight = sum(part.nbytes for pair in maps for part in pair)
        if self._maps_bytes + weight <= MAPS_MEMORY:
            self._maps[rows] = labels, maps
            self._maps_bytes += weight
        return labels, maps

    def _cut(self, window: Window, tell: bool, size: tuple[int, int]) -> Tensor:
        part = self._part(window, size)
        if tell:
            return part
        silent = torch.zeros_like(part)
        silent[-1] = 1
        return silent

    def _part(self, window: Window, size: tuple[int, int]) -> Tensor:
        labels = self.labels[window.image]
        return labels[:, window.y : window.y + size[0], window.x : window.x + size[1]]
