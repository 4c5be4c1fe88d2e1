"""kill -9 while the network works: the slide and its earlier edits are as they were."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from napari_histoaug.gui.session import open_session

PROGRAM = textwrap.dedent(
    """
    import os, signal, sys
    from types import SimpleNamespace
    import numpy as np
    from napari.components import ViewerModel
    from qtpy.QtWidgets import QApplication
    from napari_histoaug.gui.reader import slide_layer
    from napari_histoaug.gui.widget import HistoaugWidget

    calls = []

    def inpaint(generator, image, hole, label, mpp, method, steps, seed, *, preview, **rest):
        preview(image // 2)
        if calls:
            os.kill(os.getpid(), signal.SIGKILL)
        calls.append(seed)
        out = image.copy()
        out[hole] = 7
        return SimpleNamespace(image=out, changed=hole.copy(), evaluations=1, method=method,
                               steps=1, seed=seed, label=label, donor=None, strength=None)

    def load(source, device):
        return SimpleNamespace(name="fake", sha256="f" * 64, classes=("blood_vessel",))

    app = QApplication([])
    viewer = ViewerModel()
    arrays, settings, _ = slide_layer(sys.argv[1])
    viewer.add_image(arrays, **settings)
    widget = HistoaugWidget(viewer, inpaint=inpaint, load_generator=load)
    controller = widget.controller
    viewer.camera.center, viewer.camera.zoom = (175, 225), 2
    for _ in range(2):
        controller.paint_here()
        layer = controller.canvas.layer
        rows, columns = np.mgrid[100:130, 100:130]
        layer.data_setitem((rows.ravel(), columns.ravel()), 1)
        controller.making.run()
        while controller.proposal is None:
            app.processEvents()
        controller.reviewing.accept()
        while controller.busy:
            app.processEvents()
    """
)


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL exists on POSIX only")
def test_a_killed_generation_leaves_the_slide_and_earlier_edits(slide_path):
    before = slide_path.read_bytes()
    ended = subprocess.run([sys.executable, "-c", PROGRAM, slide_path], timeout=300)
    assert ended.returncode == -signal.SIGKILL
    session = open_session(slide_path)
    (edit,) = session.edits.edits
    image, changed = session.edits.read_edit(edit)
    assert (image[changed] == 7).all()
    y, x, height, width = edit.box
    shown = np.asarray(session.pyramid.arrays[0][y : y + height, x : x + width])
    np.testing.assert_array_equal(shown[changed], image[changed])
    assert slide_path.read_bytes() == before
    session.slide.close()
