"""Write the report of a study again from what its run folder holds, or keep a copy elsewhere.

    python training/study/report.py --config training/configs/NAME.yaml [--to FOLDER] [out=FOLDER]

Writes `results.json` and `report/index.html`; what the run lacks is named in them.
"""

from __future__ import annotations

from napari_histoaug.study.report_script import report

if __name__ == "__main__":
    raise SystemExit(report())
