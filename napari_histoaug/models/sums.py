"""The sha256 of every file of a model folder, kept beside them in ``sha256.json``."""

from __future__ import annotations

from pathlib import Path

from napari_histoaug.models.checkpoints import ModelError, read_json, sha256_of, write_json

SUMS = "sha256.json"
KEPT = {".json", ".safetensors"}


def sums_of(folder: Path) -> dict[str, str]:
    """Hash every weight and configuration file in `folder`, by its path in it."""
    paths = sorted(p for p in folder.rglob("*") if p.suffix in KEPT and p != folder / SUMS)
    return {path.relative_to(folder).as_posix(): sha256_of([path]) for path in paths}


def write_sums(folder: Path) -> None:
    """Record the hashes of the files as they are now."""
    write_json(folder / SUMS, sums_of(folder))


def check_sums(folder: Path) -> bool:
    """Compare the files with their record; returns False when there is no record.

    Raises
    ------
    ModelError
        When a file is missing, added or changed; names the first.
    """
    if not (folder / SUMS).exists():
        return False
    recorded, found = read_json(folder / SUMS), sums_of(folder)
    for name in sorted({*recorded, *found}):
        if name not in found:
            raise ModelError(f"{folder / name} is missing; get the model again.")
        if name not in recorded:
            raise ModelError(f"{folder / name} does not belong to this model; remove it.")
        if recorded[name] != found[name]:
            raise ModelError(
                f"{folder / name} is not the file that was recorded (its sha256 begins with "
                f"{found[name][:12]}, not {str(recorded[name])[:12]}); get the model again."
            )
    return True
