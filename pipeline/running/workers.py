"""Stages on the workers of a Dask scheduler, each worker in the root of a clone of this project."""

import hashlib
import importlib
import os
import queue
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.plumbing.errors import UserError
from pipeline.plumbing.files import CACHE, write_text
from pipeline.plumbing.machine import cores
from pipeline.plumbing.messages import shown, told
from pipeline.running.cluster import ClusterFile, imported
from pipeline.running.process import PATIENCE, environment
from pipeline.running.stage import Place, Result, run
from pipeline.running.warm import ADDRESS

SIGNS = CACHE / "signs"  # files by whose names workers know that they are in the directory of a run
SEEN: set[str] = set()  # on a worker: the signs that it has found; they may be deleted meanwhile, as all of the cache
CODE = ("params.yaml", "dvc.yaml", "pipeline/**/*.py")
SET_BY_DASK = ("MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")  # to 1, as for tasks that compute in the worker itself


class Orders(NamedTuple):
    """What a worker must know of the run."""

    clone: str
    """How its directory is recognised."""
    topic: str
    """Under which it tells how stages go on."""
    pull: bool
    """Whether it has a clone of its own, and exchanges results through the DVC remote."""
    variables: dict[str, str]
    """Added to its environment."""


class Workers:
    """A crew of Dask workers. It has room for a stage on each of their threads."""

    def __init__(self, client: Any, orders: Orders) -> None:
        self.client, self.orders = client, orders
        self._executor = client.get_executor(pure=False)
        self._futures: list[Future[Result]] = []
        self._told: queue.SimpleQueue[tuple[str, dict[str, Any]]] = queue.SimpleQueue()
        self._running: set[str] = set()
        client.subscribe_topic(orders.topic, self._hear)

    def submit(self, stage: str) -> Future[Result]:
        self._futures.append(self._executor.submit(_named(_on_worker), stage, tuple(self.orders)))
        return self._futures[-1]

    def told(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """What stages have told since the last call."""
        if not self.orders.pull and not (SIGNS / self.orders.clone).is_file():  # new workers look for it
            write_text(SIGNS / self.orders.clone, "")
        while not self._told.empty():
            yield self._told.get()

    def cancel(self) -> None:
        """Start nothing more, and wait until the workers have ended what runs."""
        for future in self._futures:
            future.cancel()
        until = time.monotonic() + 2 * PATIENCE
        while self._running and self.client.status == "running" and time.monotonic() < until:
            time.sleep(0.1)

    def _hear(self, event: tuple[float, tuple[str, dict[str, Any]]]) -> None:
        stage, line = event[1]
        if line["kind"] == "begin":
            self._running.add(stage)
        elif line["kind"] == "gone":
            self._running.discard(stage)
        self._told.put((stage, line))


def connected(scheduler: Any) -> Any:
    """A client of `scheduler`, an address or a cluster. Raises UserError if none answers."""
    try:
        return imported("distributed").Client(scheduler, timeout="5s", set_as_default=False)
    except (OSError, ValueError) as reason:
        address = str(scheduler)
        raise UserError(f"--scheduler {shown(address)}: no scheduler answers ({told(reason, address)}).") from None


@contextmanager
def dask_crew(scheduler: Any, pull: bool, variables: dict[str, str]) -> Iterator[Workers]:
    """A crew of the workers of `scheduler`, an address or a cluster. Raises UserError if it is of no use."""
    # A warm process is of this machine, with the threads of its trainings, and would end them with this process.
    ours = {key: value for key, value in os.environ.items() if key.startswith("BENCHMARK_") and key != ADDRESS}
    with connected(scheduler) as client, _sign(pull) as sign:
        orders = Orders(sign, f"stages-{uuid.uuid4()}", pull, ours | variables)
        _check_workers(client, orders)
        crew = Workers(client, orders)
        try:
            yield crew
        except BaseException:
            crew.cancel()
            raise


@contextmanager
def cluster_crew(file: ClusterFile, pull: bool, variables: dict[str, str]) -> Iterator[Workers]:
    """A crew of jobs on a cluster."""
    with file.started() as cluster, dask_crew(cluster, pull, variables) as crew:
        yield crew


def _check_workers(client: Any, orders: Orders) -> None:
    """Those that are there already; the others are checked when they get a stage."""
    try:
        client.run(_named(_check_clone), tuple(orders))
    except UserError:
        raise
    except Exception as reason:  # of another Python, or without the modules of this project
        raise UserError(
            f"a worker cannot run this project ({type(reason).__name__}: {reason}). Start workers with the Python of "
            "the project in the root of a clone, by `python -m distributed.cli.dask_worker ADDRESS`."
        ) from None


@contextmanager
def _sign(pull: bool) -> Iterator[str]:
    """How a worker's directory is recognised: by its code and params, or by a file that is in this one alone."""
    if pull:
        yield _digest()
        return
    sign = SIGNS / str(uuid.uuid4())
    write_text(sign, "")
    try:
        yield sign.name
    finally:
        sign.unlink(missing_ok=True)


def _digest() -> str:
    files = sorted(path for pattern in CODE for path in Path().glob(pattern))
    return hashlib.md5(b"".join(path.read_bytes() for path in files), usedforsecurity=False).hexdigest()


def _named(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of this module in a form that a scheduler can read which does not know this project."""
    module, name = function.__module__, function.__name__
    return lambda *arguments: getattr(importlib.import_module(module), name)(*arguments)


def _check_clone(orders: tuple) -> None:
    """On a worker: raise UserError if it does not stand where its results can be used."""
    orders = Orders(*orders)
    here = f"the worker on {socket.gethostname()} in {Path.cwd()}"
    if not Path("dvc.yaml").is_file():
        raise UserError(f"{here}: is not in the root of a clone of this project; start it there.")
    if orders.pull and _digest() != orders.clone:
        raise UserError(f"{here}: its code or params.yaml differ from those here; bring its clone up to date.")
    if not orders.pull and orders.clone not in SEEN and not (SIGNS / orders.clone).is_file():
        raise UserError(f"{here}: is in another directory than this one; with a clone of its own, use --pull.")
    SEEN.add(orders.clone)


def _on_worker(stage: str, orders: tuple) -> Result:
    """On a worker: run one stage."""
    _check_clone(orders)
    orders = Orders(*orders)
    distributed = imported("distributed")
    worker = distributed.get_worker()
    key = worker.get_current_task()

    def tell(line: dict[str, Any]) -> None:
        worker.log_event(orders.topic, (stage, line))

    def stopped() -> bool:  # cancelled, or the worker itself is about to end
        task = worker.state.tasks.get(key)
        return task is None or task.state != "executing" or worker.status.name != "running"

    place = Place(_environment(worker) | orders.variables, tell, stopped)
    return run(stage, place, orders.pull, _upstream(stage) if orders.pull else None)


def _environment(worker: Any) -> dict[str, str]:
    """That of a stage on a worker. Its threads share the cores of the machine, or those that a queue has assigned."""
    workers = imported("distributed").get_client().scheduler_info()["workers"].values()
    beside = sum(each["nthreads"] for each in workers if each["host"] == worker.ip)
    assigned = cores() < (os.cpu_count() or 1)
    at_once = worker.state.nthreads if assigned else max(worker.state.nthreads, beside)
    ours = {key: value for key, value in environment().items() if key not in SET_BY_DASK}
    return ours | {"OMP_NUM_THREADS": str(max(1, cores() // at_once))}


def _upstream(stage: str) -> str:
    """The stage that must have run before, with all that come before it."""
    group, _, name = stage.partition("@")
    dataset, model, loss, *_ = name.split("-")
    return f"prepare@{dataset}" if group == "tune" else f"tune@{dataset}-{model}-{loss}"
