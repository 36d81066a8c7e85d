"""The file of `--cluster`: which job queue to ask for workers, and how."""

import importlib
import inspect
import shlex
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML, YAMLError

from pipeline.plumbing.errors import UserError, did_you_mean
from pipeline.plumbing.messages import brief

KINDS = {  # modules of dask_jobqueue and the class in each
    "htcondor": "HTCondorCluster",
    "local": "LocalCluster",  # starts its jobs on this machine, to try a file out
    "lsf": "LSFCluster",
    "moab": "MoabCluster",
    "oar": "OARCluster",
    "pbs": "PBSCluster",
    "sge": "SGECluster",
    "slurm": "SLURMCluster",
}
OURS = {"kind", "jobs"}
NOT_FOR_FILES = {"self", "args", "kwargs", "base_class_kwargs", "job_kwargs"}  # of constructors, but no keywords
NOT_FOR_FILES |= {"asynchronous", "job_cls", "loop", "name", "n_workers", "scheduler", "scheduler_cls"}  # ours to say
AGAIN = 20.0  # seconds between two looks at how many jobs there are
MOST_DEATHS = 10  # workers that a cell may lose, to the time limit of their jobs for instance


class ClusterFile:
    """A file that names a kind of job queue, a number of jobs, and any keyword of dask_jobqueue's class for it."""

    def __init__(self, path: Path) -> None:
        """Read and check the file. Raises UserError before anything is asked of the queue."""
        self.path, block = path, _load(path)
        self.kind, self.jobs = block.get("kind"), block.get("jobs")
        if self.kind not in KINDS:
            raise UserError(f"{path}: kind: {brief(self.kind)} is not allowed. {did_you_mean(brief(self.kind), KINDS)}")
        if type(self.jobs) is not int or self.jobs < 1:
            raise UserError(f"{path}: jobs: must be how many jobs to ask for, 1 or more, not {brief(self.jobs)}.")
        self.keywords = {key: value for key, value in block.items() if key not in OURS}
        self.type = getattr(imported(f"dask_jobqueue.{self.kind}"), KINDS[self.kind])
        self._check_keywords()
        self._check_queue()

    @contextmanager
    def started(self) -> Iterator[Any]:
        """A scheduler here, and its workers as the queue lets them in. At the end the jobs are cancelled."""
        keywords = {"processes": 1} | self.keywords  # a stage is a process of its own in any case
        if self.kind != "local":  # whose job is no script but a command
            go = f"cd {shlex.quote(str(Path.cwd()))}"  # some queues start jobs elsewhere
            keywords["job_script_prologue"] = [go, *keywords.get("job_script_prologue", [])]
        deaths = {"distributed.scheduler.allowed-failures": MOST_DEATHS}
        with imported("dask").config.set(deaths), self._explained(self.type, **keywords) as cluster:
            cluster.scale(jobs=self.jobs)
            # Once more and again: a job that has ended, at its time limit for instance, is replaced by that alone.
            again = imported("tornado.ioloop").PeriodicCallback(lambda: cluster.scale(jobs=self.jobs), 1000 * AGAIN)
            cluster.loop.add_callback(again.start)
            yield cluster
            cluster.loop.add_callback(again.stop)

    def _check_keywords(self) -> None:
        of_job, of_cluster = _keywords(self.type.job_cls), _keywords(self.type)
        for key in self.keywords:
            if key not in of_job | of_cluster:
                raise UserError(f"{self.path}: unknown key '{key}'. {did_you_mean(key, of_job | of_cluster | OURS)}")
        for key in ("cores", "memory"):
            if not self.keywords.get(key):
                raise UserError(f"{self.path}: '{key}' of a job is missing, as in `cores: 8` and `memory: 16GB`.")
        ours = {key: value for key, value in self.keywords.items() if key in of_job}
        self._explained(self.type.job_cls, "tcp://scheduler:8786", "a job", **ours)

    def _explained(self, make: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
        """What `make` makes; its complaints as a UserError."""
        try:
            return make(*arguments, **keywords)
        except (ValueError, TypeError, AttributeError, RuntimeError, OSError) as mistake:
            raise UserError(f"{self.path}: {str(mistake).splitlines()[0].rstrip('.')}.") from None

    def _check_queue(self) -> None:
        command = self.type.job_cls.submit_command
        if command and not shutil.which(command.split()[0]):
            raise UserError(
                f"{self.path}: kind '{self.kind}' needs the command `{command.split()[0]}`, which is not here."
            )


def _keywords(of: type) -> set[str]:
    """What dask_jobqueue's constructor of a class takes."""
    ours = [each for each in of.__mro__ if each.__module__.startswith("dask_jobqueue")]
    return {name for each in ours for name in inspect.signature(each.__init__).parameters} - NOT_FOR_FILES


def imported(module: str) -> Any:
    """A module of the extra `cluster`."""
    try:
        return importlib.import_module(module)
    except ImportError as missing:
        name = missing.name or module
        raise UserError(f"{name} is not installed: `pip install .[benchmark,cluster]` brings Dask.") from None


def _load(path: Path) -> dict[str, Any]:
    try:
        block = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except (YAMLError, ValueError, OSError) as mistake:
        reason = getattr(mistake, "problem", None) or getattr(mistake, "strerror", None) or str(mistake).splitlines()[0]
        raise UserError(f"{path}: cannot be read: {reason}.") from None
    if not isinstance(block, dict):
        raise UserError(
            f"{path}: must be a mapping with `kind`, `jobs` and keywords of dask_jobqueue, not {brief(block)}."
        )
    return block
