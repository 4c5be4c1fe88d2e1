"""Open napari with a slide and the panel, ready to paint."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import napari

    from napari_histoaug.gui.widget import HistoaugWidget


def open_window(path: str | Path) -> tuple[napari.Viewer, HistoaugWidget]:
    """A napari window showing a slide, with the panel docked at its right.

    Raises
    ------
    HistoaugError
        One sentence, before any window opens, when the slide cannot be opened.
    """
    from napari_histoaug.gui.reader import slide_layer

    arrays, settings, _ = slide_layer(path)
    import napari

    from napari_histoaug.gui.widget import HistoaugWidget

    viewer = napari.Viewer(title="Histoaug", show=False)
    viewer.add_image(arrays, **settings)
    widget = HistoaugWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Inpaint vessel", area="right")
    viewer.window.show()
    return viewer, widget


def view(path: Path) -> int:
    """Show a slide until the window is closed; returns 0.

    Raises
    ------
    HistoaugError
        See :func:`open_window`.
    """
    import napari

    open_window(path)
    napari.run()
    return 0
