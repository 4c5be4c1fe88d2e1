"""kill -9 at the worst moments: what was accepted is whole or not there, and work goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap

import pytest

from napari_histoaug.edits import EditStore

pytestmark = pytest.mark.skipif(os.name != "posix", reason="SIGKILL exists on POSIX only")

PROGRAM = textwrap.dedent(
    """
    import os, signal, sys
    from pathlib import Path
    import numpy as np
    from napari_histoaug.edits import EditRecord, EditStore, crops, journal
    from napari_histoaug.slides import open_slide

    def die(*args, **kwargs):
        os.kill(os.getpid(), signal.SIGKILL)

    slide = open_slide(sys.argv[1])
    store = EditStore.open(slide)

    def accept(seed):
        image = np.full((60, 60, 3), seed, np.uint8)
        record = EditRecord(slide_sha256=slide.sha256(), box=(10, 20, 60, 60),
                            label="blood_vessel", method="draft", seed=seed)
        store.accept(image, np.ones((60, 60), bool), record)

    accept(1)
    moment = sys.argv[2]
    if moment == "pixels half written":
        create, done = crops._create, []
        def some(*args):
            create(*args)
            done.append(1)
            if len(done) == 2:
                die()
        crops._create = some
    elif moment == "before the pixels get their name":
        crops._through_to_disk = die
    elif moment == "before the journal's line":
        journal.Journal.append = die
    elif moment == "in the middle of the journal's line":
        dumps = journal.json.dumps
        def half(document, **options):
            if "event" not in document:
                return dumps(document, **options)
            with store._journal.path.open("ab") as file:
                file.write(dumps(document).encode()[:40])
                file.flush()
            die()
        journal.json.dumps = half
    elif moment == "after the journal's line":
        store._apply = die
    accept(2)
    """
)
KEPT = {
    "pixels half written": [1],
    "before the pixels get their name": [1],
    "before the journal's line": [1],
    "in the middle of the journal's line": [1],
    "after the journal's line": [1, 2],
}


@pytest.mark.parametrize("moment", KEPT)
def test_an_accept_that_is_killed_is_whole_or_not_there(slide, make_edit, moment):
    ended = subprocess.run([sys.executable, "-c", PROGRAM, slide.path, moment], timeout=120)
    assert ended.returncode == -signal.SIGKILL
    store = EditStore.open(slide)
    assert [edit.seed for edit in store.edits] == KEPT[moment]
    for edit in store.edits:
        assert (store.read_edit(edit)[0] == edit.seed).all()
    # and work goes on
    store.accept(*make_edit(seed=3).parts)
    store.undo()
    store.redo()
    assert [edit.seed for edit in EditStore.open(slide).edits] == [*KEPT[moment], 3]
