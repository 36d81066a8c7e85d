"""The file of `--cluster`: what is in it, and what becomes of it."""

import os
from pathlib import Path

import pytest

from pipeline.plumbing.errors import UserError
from pipeline.running import cluster
from pipeline.running.cluster import ClusterFile, imported

SLURM = """
kind: slurm
jobs: 2
cores: 3
memory: 16GB
queue: gpu
walltime: "02:00:00"
job_extra_directives: ["--gres=gpu:1"]
job_script_prologue: [module load cuda]
"""


@pytest.fixture
def sbatch(tmp_path, monkeypatch):
    """Commands that stand for SLURM's: they queue jobs that never start."""
    for name in ("sbatch", "scancel"):
        (tmp_path / name).write_text("#!/bin/sh\necho Submitted batch job 7\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")


def read(folder: Path, text: str) -> ClusterFile:
    file = folder / "cluster.yaml"
    file.write_text(text)
    return ClusterFile(file)


def test_the_job_of_a_queue_goes_into_the_clone_and_starts_a_worker(sbatch, tmp_path, monkeypatch):
    (tmp_path / "a clone").mkdir()
    monkeypatch.chdir(tmp_path / "a clone")
    with read(tmp_path, SLURM + "scheduler_options: {dashboard_address: ':0'}").started() as made:
        script = made.job_script().splitlines()
    assert {"#SBATCH -p gpu", "#SBATCH -t 02:00:00", "#SBATCH --gres=gpu:1", "#SBATCH --cpus-per-task=3"} <= set(script)
    go = script.index(f"cd '{tmp_path}/a clone'")
    assert script[go + 1] == "module load cuda"
    assert " -m distributed.cli.dask_worker tcp://" in script[go + 2]
    assert " --nthreads 3 " in script[go + 2], "one worker for three cells at a time"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("kind: slrum\njobs: 1", "kind: 'slrum' is not allowed. Did you mean 'slurm'? Known: htcondor, local, lsf,"),
        ("jobs: 1", "kind: None is not allowed."),
        ("kind: local\njobs: 0\ncores: 1\nmemory: 1GB", "jobs: must be how many jobs to ask for, 1 or more, not 0."),
        ("kind: local\njobs: two", "jobs: must be how many jobs to ask for, 1 or more, not 'two'."),
        ("kind: local\njobs: 1\ncoers: 1\nmemory: 1GB", "unknown key 'coers'. Did you mean 'cores'?"),
        ("kind: local\njobs: 1\ncores: 1", "'memory' of a job is missing, as in `cores: 8` and `memory: 16GB`."),
        ("kind: local\njobs: 1\ncores: 1\nmemory: lots", "Could not interpret 'lots' as a byte unit."),
        ("kind: pbs\njobs: 1\ncores: 1\nmemory: 1GB", "kind 'pbs' needs the command `qsub`, which is not here."),
        ("- slurm", "must be a mapping with `kind`, `jobs` and keywords of dask_jobqueue, not ['slurm']."),
        ("kind: [", "cannot be read: "),
    ],
)
def test_a_mistake_is_one_sentence(tmp_path, text, sentence):
    with pytest.raises(UserError) as error:
        read(tmp_path, text)
    assert str(error.value).removeprefix(f"{tmp_path}/cluster.yaml: ").startswith(sentence)
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_there_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match=r"none\.yaml: cannot be read: No such file or directory\.$"):
        ClusterFile(tmp_path / "none.yaml")


def test_without_the_extra_it_says_how_to_get_it():
    with pytest.raises(
        UserError, match=r"^no_such_module is not installed: `pip install \.\[benchmark,cluster\]` brings Dask\.$"
    ):
        imported("no_such_module")


def test_every_kind_is_a_class_of_dask_jobqueue():
    for kind, name in cluster.KINDS.items():
        assert getattr(imported(f"dask_jobqueue.{kind}"), name).job_cls.config_name == kind
