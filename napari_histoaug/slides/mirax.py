"""Is a MIRAX slide complete? Its index file is of no use without the folder beside it."""

from __future__ import annotations

import configparser
from pathlib import Path

from napari_histoaug.slides.errors import SlideError

_INDEX = "Slidedat.ini"


def check_mirax(path: Path) -> None:
    """Look for the data folder of an .mrxs file, its index and every data file the index names.

    Raises
    ------
    SlideError
        When one of them is missing.
    """
    folder = path.with_suffix("")
    if not folder.is_dir():
        raise SlideError(
            f"{path.name} has no data folder {path.stem} beside it; "
            "copy that folder next to the .mrxs file."
        )
    index = folder / _INDEX
    if not index.is_file():
        raise SlideError(
            f"{path.name} has a data folder without {_INDEX}; copy the whole folder again."
        )
    missing = [name for name in _data_files(index) if not (folder / name).is_file()]
    if missing:
        raise SlideError(
            f"{path.name} lacks {len(missing)} of its data files ({missing[0]} is one); "
            "copy the whole folder again."
        )


def _data_files(index: Path) -> list[str]:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(index.read_text("utf-8-sig", errors="replace"))
        section = dict(parser["DATAFILE"])
    except (configparser.Error, KeyError, OSError):
        return []  # OpenSlide will say what is wrong with it
    named = [
        value for key, value in section.items() if key.startswith("file_") and key != "file_count"
    ]
    # The index may not point out of its folder.
    return [Path(name.replace("\\", "/")).name for name in named]
