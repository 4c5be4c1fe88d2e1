"""The Snakemake workflow: what it would do, without doing it."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from itertools import takewhile
from pathlib import Path

import pytest
import yaml

from napari_histoaug.learning.config_files import load_config
from napari_histoaug.study.config import StudyConfig

ROOT = Path(__file__).parents[2]
PROFILES = ROOT / "training" / "study" / "profiles"


def snakemake_python() -> str:
    """The Python of an environment with Snakemake: this one, or that of `make study`."""
    if importlib.util.find_spec("snakemake") is not None:
        return sys.executable
    own = ROOT / ".venv-study" / "bin" / "python"
    if not own.exists():
        pytest.skip("Snakemake is not installed here (make study, or the extra study)")
    return str(own)


def dry_run(*arguments: str) -> str:
    snakefile = ["--snakefile", "training/study/Snakefile"]
    command = [snakemake_python(), "-m", "snakemake", "-n", *snakefile]
    done = subprocess.run(
        [*command, *arguments], cwd=ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, "HOME": os.environ.get("XDG_CONFIG_HOME", "/tmp")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def counts(said: str) -> dict[str, int]:
    lines = [line.split() for line in said.split("Job stats:")[-1].splitlines()]
    return {line[0]: int(line[1]) for line in lines if len(line) == 2 and line[1].isdigit()}


def test_the_workflow_makes_every_cell_of_the_comparison(tmp_path: Path) -> None:
    shown = dry_run("-p", "--cores", "1", "--config", f"set=out={tmp_path}/run")
    # Settings come last, and take whatever follows them.
    options = f"--config training/configs/study-demo.yaml --set out={tmp_path}/run"
    assert f"stage.py cells/donor-100-0 {options}\n" in shown
    said = counts(shown)
    assert (said["cell"], said["validate"], said["test"]) == (15, 15, 15)
    assert (said["start"], said["autoencoder"], said["generator"]) == (3, 2, 3)
    assert (said["made"], said["pool"], said["winner"], said["report"]) == (3, 4, 1, 1)


def test_shards_are_jobs_of_their_own(tmp_path: Path) -> None:
    where = f"set=out={tmp_path}/run pools.shards=4"
    said = counts(dry_run("--cores", "1", "--config", where))
    assert (said["shard"], said["made"]) == (12, 3)


def test_each_slide_is_a_job_and_no_name_of_one_is_shown(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("slide,patient\nJane.svs,Doe\nJoe.svs,Roe\nJim.svs,Poe\n")
    study = tmp_path / "study.yaml"
    study.write_text(f"out: {tmp_path}/run\nslides: {{table: {tmp_path}/table.csv}}\n")
    shown = dry_run("-p", "--cores", "1", "--config", f"study={study}")
    said = counts(shown)
    assert (said["slide"], said["extracted"], said["data"]) == (3, 1, 1)
    assert f"stage.py slides/3 --config {study}\n" in shown
    for name in ("Jane", "Doe"):
        assert name not in shown


def test_snakemake_takes_nothing_away_that_a_stage_would_keep() -> None:
    rules = (ROOT / "training" / "study" / "Snakefile").read_text().split("    output:\n")[1:]
    made = [
        line for rule in rules for line in takewhile(lambda x: x[:8].isspace(), rule.split("\n"))
    ]
    assert len(made) > 15
    assert all(line.strip().startswith("update(") for line in made)


@pytest.mark.parametrize("name", ["local", "slurm"])
def test_profiles_go_on_when_a_stage_fails(name: str) -> None:
    profile = yaml.safe_load((PROFILES / name / "config.yaml").read_text())
    assert profile["keep-going"] is True
    rules = (ROOT / "training" / "study" / "Snakefile").read_text()
    for entry in profile.get("set-resources", []):
        assert f"rule {entry.partition(':')[0]}:" in rules


def test_pods_make_every_part_that_the_large_study_has() -> None:
    text = (ROOT / "training" / "study" / "kubernetes.yaml").read_text()
    jobs = {job["metadata"]["name"]: job for job in yaml.safe_load_all(text)}
    large = yaml.safe_load((ROOT / "training" / "configs" / "study-large.yaml").read_text())
    shards = jobs["study-shards"]["spec"]
    assert shards["completions"] == large["pools"]["shards"]
    (container,) = shards["template"]["spec"]["containers"]
    assert f"of{shards['completions']}" in container["args"][0]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == 1
    (slide,) = jobs["study-slides"]["spec"]["template"]["spec"]["containers"]
    assert "nvidia.com/gpu" not in slide["resources"]["limits"]
    assert 'stage.py "slides/$((JOB_COMPLETION_INDEX + 1))"' in slide["args"][0]
    assert [job["metadata"]["labels"]["step"] for job in jobs.values()] == ["1", "2", "3", "4"]


def test_the_large_study_starts_from_a_table_of_slides(tmp_path: Path) -> None:
    path = ROOT / "training" / "configs" / "study-large.yaml"
    large = load_config(StudyConfig, path)
    assert large.slides is not None
    assert large.pools.model == str(large.out / "networks" / "generators" / "latent-4" / "network")
    table = tmp_path / "slides.csv"
    where = f"set=out={tmp_path}/run slides.table={table}"
    table.write_text("slide,patient\na.svs,A\nb.svs,B\n")
    said = counts(dry_run("--cores", "1", "--config", f"study={path}", where))
    assert (said["slide"], said["autoencoder"], said["generator"], said["shard"]) == (2, 2, 3, 192)
