"""What the thesis reported, as far as it is known here; nothing in this module was measured here.

A figure that is not known is absent, never guessed. Fréchet distances depend on the network, the
resizing, the number of pictures and the split: none of theirs compares with another run's.
"""

from __future__ import annotations

from typing import Any

THESIS: dict[str, Any] = {
    "note": (
        "The thesis's own figures, from other tissue, other networks and another protocol: not "
        "comparable with this run. Blank: not known here."
    ),
    "fid": [
        {"data": "IKEM (heart)", "value": 77.4, "variant": None},
        {"data": "IKEM (heart)", "value": 59.9, "variant": "generated whole"},
        {"data": "IKEM (heart)", "value": 47.8, "variant": "inpainted"},
        {"data": "ICIAR (breast)", "value": 8.6, "variant": None},
        {"data": "ICIAR (breast)", "value": 10.7, "variant": None},
    ],
    "segmentation": {
        "dice": "fell",
        "precision": "fell",
        "recall": "rose",
    },
}
