"""What the mouse does on the canvas: napari's own tools, and lasso, wand and vessel stamp."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_histoaug.errors import HistoaugError
from napari_histoaug.gui.geometry import Pair
from napari_histoaug.gui.pixels import read_grid
from napari_histoaug.masks.polygons import polygons_to_mask
from napari_histoaug.masks.stamps import Part, VesselShape, pick_shape, vessel_shapes
from napari_histoaug.masks.wand import wand_region

if TYPE_CHECKING:
    from napari.layers import Labels

    from napari_histoaug.gui.canvas import PaintCanvas
    from napari_histoaug.gui.visit import Visit

NATIVE = {"brush": "paint", "eraser": "erase", "fill": "fill", "polygon": "polygon"}
"""Tools that are modes of napari's Labels layer."""
OURS = ("lasso", "wand", "vessel")
TOOLS = (*NATIVE, *OURS)
WAND_REACH = 384
"""Canvas pixels around the click that the wand looks at."""


@dataclass
class ToolSettings:
    """How the tools work.

    Attributes
    ----------
    tolerance : float
        Of the wand: L*a*b* distance.
    shape : int or str or None
        Of the stamp: a vessel shape by its index, a size to draw from, or any.
    factor : float
        Of the stamp: enlargement.
    part : {"vessel", "wall", "lumen"}
        Of the stamp.
    keep_to_tissue : bool
        Strokes on the glass are left out; stamps move onto the tissue.
    """

    tolerance: float = 12.0
    shape: int | str | None = None
    factor: float = 1.0
    part: Part = "vessel"
    keep_to_tissue: bool = True
    rng: np.random.Generator = field(default_factory=np.random.default_rng)


class Toolbox:
    """The tool in the hand, for one canvas after the other.

    Parameters
    ----------
    tell : callable
        Shows a sentence to the user.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self.settings = ToolSettings()
        self.tool = "brush"
        self._tell = tell
        self._choosing = False

    def choose(self, tool: str, layer: Labels | None) -> None:
        """Take a tool into the hand."""
        self.tool = tool
        if layer is None:
            return
        self._choosing = True
        layer.mode = NATIVE.get(tool, "pan_zoom")
        self._choosing = False
        if tool in OURS:
            layer.mouse_pan = False
            layer.cursor = "cross"

    def learn(self, layer: Labels) -> bool:
        """Take over the mode that the user chose by napari's own controls; False when it is ours.

        Pan and zoom lays our tools aside.
        """
        if self._choosing:
            return False
        modes = {mode: tool for tool, mode in NATIVE.items()}
        self.tool = modes.get(str(layer.mode), "")
        return True

    def attend(self, visit: Visit, canvas: PaintCanvas) -> None:
        """Let our tools work on a canvas."""

        def on_drag(layer: Labels, event: Any) -> Iterator[None]:
            if event.button == 1 and self.tool in OURS:
                yield from self._use(visit, canvas, event)

        canvas.layer.mouse_drag_callbacks.append(on_drag)

    def _use(self, visit: Visit, canvas: PaintCanvas, event: Any) -> Iterator[None]:
        at = _position(canvas, event)
        if self.tool == "lasso":
            yield from _lasso(canvas, event, at)
            return
        try:
            if self.tool == "wand":
                self.wand(visit, canvas, at)
            else:
                self.stamp(visit, canvas, at)
        except HistoaugError as error:  # the slide cannot be read any more
            self._tell(str(error))

    def wand(self, visit: Visit, canvas: PaintCanvas, at: Pair) -> None:
        """Paint the connected region whose colour is like that at a place, canvas pixels."""
        height, width = canvas.layer.data.shape
        y, x = int(np.floor(at[0])), int(np.floor(at[1]))
        if not (0 <= y < height and 0 <= x < width):
            return
        top, left = max(y - WAND_REACH, 0), max(x - WAND_REACH, 0)
        bottom, right = min(y + WAND_REACH + 1, height), min(x + WAND_REACH + 1, width)
        corner = canvas.window.box[:2]
        box = (corner[0] + top, corner[1] + left, bottom - top, right - left)
        image, _ = read_grid(visit.session, canvas.window.step, box)
        region = wand_region(image, (y - top, x - left), self.settings.tolerance)
        with canvas.stroke() as pixels:
            pixels[top:bottom, left:right][region] = canvas.layer.selected_label

    def stamp(self, visit: Visit, canvas: PaintCanvas, at: Pair) -> None:
        """Paint a vessel's shape at a place, canvas pixels; beside it when that is glass."""
        shape = self._shape()
        mpp = visit.session.slide.mpp or (0.5, 0.5)
        pixel = (mpp[0] * canvas.window.step, mpp[1] * canvas.window.step)
        place = self._on_tissue(visit, canvas, at, shape.reach / min(mpp))
        if place is None:
            self._tell("There is no tissue near this place: click on the tissue.")
            return
        drawn = shape.drawn(canvas.layer.data.shape, place, pixel, self.settings.part)
        with canvas.stroke() as pixels:
            pixels[drawn] = canvas.layer.selected_label

    def _shape(self) -> VesselShape:
        chosen, rng = self.settings.shape, self.settings.rng
        if isinstance(chosen, int):
            shape = vessel_shapes()[chosen].turned(float(rng.uniform(0, 2 * np.pi)))
        else:
            shape = pick_shape(rng, vessel_shapes(), chosen)
        return shape.turned(0.0, self.settings.factor)

    def _on_tissue(self, visit: Visit, canvas: PaintCanvas, at: Pair, radius: float) -> Pair | None:
        """Return where to stamp; `radius` in level-0 pixels."""
        if not self.settings.keep_to_tissue or visit.session.rough:
            return at
        step, corner = canvas.window.step, canvas.window.box[:2]
        centre = ((corner[0] + at[0]) * step, (corner[1] + at[1]) * step)
        near = visit.ground(canvas).nearest(centre, radius)
        if near is None:
            return None
        if near == centre:
            return at
        self._tell("This place is glass: the vessel was moved onto the tissue beside it.")
        return near[0] / step - corner[0], near[1] / step - corner[1]


def _lasso(canvas: PaintCanvas, event: Any, at: Pair) -> Iterator[None]:
    """Draw a line while the button is held, then fill what it goes around: one stroke."""
    layer, corners = canvas.layer, [at]
    with layer.block_history():
        yield
        while event.type == "mouse_move":
            corners.append(_position(canvas, event))
            _paint(layer, _line(corners[-2], corners[-1], layer.data.shape))
            yield
        if len(corners) > 2:
            _paint(layer, np.nonzero(polygons_to_mask([corners], layer.data.shape)))


def _paint(layer: Labels, pixels: tuple[np.ndarray, ...]) -> None:
    if pixels[0].size:
        layer.data_setitem(pixels, layer.selected_label)


def _line(start: Pair, stop: Pair, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """The pixels under a line, those inside the canvas."""
    count = int(max(abs(stop[0] - start[0]), abs(stop[1] - start[1]))) + 2
    rows = np.floor(np.linspace(start[0], stop[0], count)).astype(int)
    columns = np.floor(np.linspace(start[1], stop[1], count)).astype(int)
    inside = (rows >= 0) & (rows < shape[0]) & (columns >= 0) & (columns < shape[1])
    return rows[inside], columns[inside]


def _position(canvas: PaintCanvas, event: Any) -> Pair:
    """Where the mouse is, in canvas pixels; pixel 0 spans 0 to 1."""
    y, x = canvas.layer.world_to_data(event.position)[-2:]
    return float(y) + 0.5, float(x) + 0.5
