"""Judge a generator on held-out vessels and write the figures into its model card.

    python training/model_card.py --tiles FOLDER [--out runs/model-card] [--card docs/model-card.md]

Every filling is kept in the output folder: started again, the script goes on where it was. The
figures are in `results.json`, pictures to look at beside it.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from napari_histoaug.errors import HistoaugError
from napari_histoaug.evaluation.report import CardSettings, judge

ROOT = Path(__file__).parents[1]


def main() -> int:
    """Read the command line, judge, and say where the results are."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--tiles", type=Path, required=True, help="folder of RGB fields")
    parser.add_argument("--annotations", type=Path, default=ROOT / "training" / "annotations")
    parser.add_argument("--out", type=Path, default=Path("runs/model-card"))
    parser.add_argument("--card", type=Path, default=ROOT / "docs" / "model-card.md")
    parser.add_argument("--model", help="generator folder; the bundled one by default")
    parser.add_argument("--holes", type=int, default=60, help="held-out vessels to fill")
    parser.add_argument("--slow", type=int, default=8, help="of them by RePaint as published")
    given = parser.parse_args()
    settings = CardSettings(
        tiles=given.tiles,
        annotations=given.annotations,
        out=given.out,
        model=given.model,
        holes=given.holes,
        slow=given.slow,
    )
    try:
        figures = judge(settings, lambda line: print(line, file=sys.stderr, flush=True))
        from napari_histoaug.evaluation.card import write_card

        write_card(given.card, figures)
    except HistoaugError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Stopped; started again, it goes on where it was.", file=sys.stderr)
        return 130
    print(json.dumps({name: f["kid"] for name, f in figures["fills"].items()}, indent=1))
    print(f"written: {given.card}, {given.out / 'results.json'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
