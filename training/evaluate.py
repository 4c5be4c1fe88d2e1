"""Judge predictions of vessels, or generated pictures.

``python training/evaluate.py segmentation --config training/configs/evaluate-segmentation.yaml``
``python training/evaluate.py images --config training/configs/evaluate-images.yaml``

Prints a table and writes ``results.json`` and ``report.html`` into the configuration's ``out``.
Dotted overrides follow, e.g. ``complete=true out=runs/mine``.
"""

from __future__ import annotations

from napari_histoaug.evaluation.scripts import evaluate

if __name__ == "__main__":
    raise SystemExit(evaluate())
