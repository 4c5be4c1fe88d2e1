"""Open napari with a slide and the panel, ready to paint."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import napari

    from napari_histoaug.gui.widget import HistoaugWidget


def open_window(path: str | Path, show_label: bool = False) -> tuple[napari.Viewer, HistoaugWidget]:
    """A napari window showing a slide, with the panel docked at its right.

    Parameters
    ----------
    path : str or Path
        A slide, or the address of an OME-Zarr image.
    show_label : bool
        Show the slide's label image too, in a window that goes with the panel.

    Raises
    ------
    HistoaugError
        One sentence, before any window opens, when the slide cannot be opened, or its label not.
    """
    from napari_histoaug.gui.reader import slide_layer

    label = None
    if show_label:
        from napari_histoaug.gui.label_window import LabelWindow, read_label

        label = read_label(path)
    arrays, settings, _ = slide_layer(path)
    import napari

    from napari_histoaug.gui.widget import HistoaugWidget

    viewer = napari.Viewer(title="Histoaug", show=False)
    viewer.add_image(arrays, **settings)
    widget = HistoaugWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Inpaint vessel", area="right")
    viewer.window.show()
    if label is not None:
        LabelWindow(label, widget).show()
    return viewer, widget


def view(path: str | Path, show_label: bool = False) -> int:
    """Show a slide until the window is closed; returns 0.

    Raises
    ------
    HistoaugError
        See :func:`open_window`.
    """
    import napari

    open_window(path, show_label)
    napari.run()
    return 0
