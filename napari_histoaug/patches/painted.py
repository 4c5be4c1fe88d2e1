"""What an accepted edit says of the classes of its pixels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_histoaug.annotations import ClassTable
from napari_histoaug.edits import EditRecord, EditStore

NOTHING = ("background", "tissue")
"""Labels of edits that leave no class behind: something was removed, or repaired."""


class Said(NamedTuple):
    """Mask values, uint8 (H, W), of an edit's box, and bool (H, W): where they hold."""

    values: NDArray[np.uint8]
    where: NDArray[np.bool_]


def said_by(store: EditStore, record: EditRecord, classes: ClassTable) -> Said:
    """Return what an edit says in the mask values of a class table.

    A painted hole says the class it was filled with, which is 0 for what was removed; a
    synthesised region says the map it was made from. Classes that the table does not know are 0 in
    a region, and a hole of one says nothing.
    """
    painted = store.painted_map(record)
    if record.purpose == "synthesise":
        values = np.zeros(256, np.uint8)
        for value, name in enumerate(record.classes, start=1):
            found = classes.find(name)
            values[value] = 0 if found is None else found + 1
        return Said(values[painted], store.read_edit(record)[1])
    where = painted != 0
    found = classes.find(record.label)
    if found is None and record.label not in NOTHING:
        where = np.zeros_like(where)
    return Said(np.where(where, 0 if found is None else found + 1, 0).astype(np.uint8), where)


def check_known(store: EditStore, classes: ClassTable) -> None:
    """Stop when an edit in force is of a class that the table does not know.

    Raises
    ------
    AnnotationError
        It names the class and the nearest known one.
    """
    for record in store.edits:
        names = record.classes if record.purpose == "synthesise" else (record.label,)
        for name in names:
            if name not in NOTHING:
                classes.index_of(name)
