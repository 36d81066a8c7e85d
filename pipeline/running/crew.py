"""Hands stages to a crew and shows how they go on, wherever the crew is."""

import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager, suppress
from typing import Any, Protocol

from rich.console import Console
from rich.live import Live

from pipeline.plumbing.files import write_text
from pipeline.running.matrix import Matrix
from pipeline.running.stage import Result, log_of
from pipeline.running.table import line, render

REFRESH = 0.5  # seconds


class Crew(Protocol):
    """Who runs stages: the slots of this machine, or the workers of a cluster."""

    def submit(self, stage: str) -> Future[Result]: ...

    def told(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """What stages have told since the last call, as `Matrix.tell` takes it."""


def run_stages(stages: Iterable[str], crew: Crew) -> Matrix:
    """Run all stages, as many at once as the crew has room for; one that fails stops no other."""
    matrix = Matrix(stages)
    for stage in matrix.rows:
        log_of(stage).unlink(missing_ok=True)  # of an earlier run
    waiting = {crew.submit(stage): stage for stage in matrix.rows}
    with _screen(matrix) as show:
        while waiting:
            ended, _ = wait(waiting, REFRESH, FIRST_COMPLETED)
            for told in crew.told():
                matrix.tell(*told)
            for future in ended:
                stage = waiting.pop(future)
                matrix.end(stage, _result(stage, future))
                show(stage)
            show(None)
    return matrix


def _result(stage: str, future: Future[Result]) -> Result:
    """What came of a stage; its log is here even if it was run in another clone, or if something else failed."""
    try:
        result = future.result()
    except Exception as reason:  # such as a worker that died again and again
        result = Result(1, 0.0, ran=False, diverged=False, log=f"{type(reason).__name__}: {reason}\n")
        log_of(stage).unlink(missing_ok=True)
    if result.code and not log_of(stage).is_file():
        with suppress(OSError):  # a full disk, which is the reason then
            write_text(log_of(stage), result.log)
    return result


@contextmanager
def _screen(matrix: Matrix) -> Iterator[Any]:
    """A function that shows what is new, called with a stage that has ended or with None."""
    if not sys.stdout.isatty():
        yield lambda stage: stage and print(line(matrix, stage), flush=True)
        return
    console = Console()
    with Live(render(matrix, *console.size), console=console, auto_refresh=False) as live:
        yield lambda stage: stage or live.update(render(matrix, *console.size), refresh=True)
