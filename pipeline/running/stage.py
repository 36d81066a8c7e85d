"""One stage of a cell or a search, run through DVC, on whatever machine this is."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from tenacity import Retrying, retry_if_result, stop_after_attempt, wait_random_exponential

from pipeline.plumbing.checkpoints import forget
from pipeline.plumbing.files import CACHE
from pipeline.plumbing.journal import Follower
from pipeline.plumbing.machine import one_at_a_time
from pipeline.running.process import dvc_command, end, start

LOGS = CACHE / "logs"
LOOK_EVERY = 0.25  # seconds
BUSY = ("is busy", "Unable to acquire lock")  # DVC waits 3 s for the list of locked paths, and no longer
ATTEMPTS = 5
LONGEST_LOG = 20_000  # characters of a log that are sent elsewhere


class Result(NamedTuple):
    """What came of a stage."""

    code: int
    """Exit code; 0 if all is well."""
    seconds: float
    ran: bool
    """False if DVC took it from its cache."""
    diverged: bool
    log: str
    """The end of what was printed."""


class Place(NamedTuple):
    """Where a stage runs: its environment, whom to tell how it goes on, and whether to end it."""

    environment: dict[str, str]
    tell: Callable[[dict[str, Any]], None]
    stopped: Callable[[], bool]


def name_of(stage: str) -> str:
    """The cell or search of a stage."""
    return stage.partition("@")[2]


def log_of(stage: str) -> Path:
    return LOGS / f"{name_of(stage)}.log"


def run(stage: str, place: Place, pull: bool, upstream: str | None = None) -> Result:
    """Run one stage; with `pull`, take it from the DVC remote if it is there, and put it there if it was not.

    First comes the stage `upstream` with all before it, where this clone may not have them yet.
    What fails because another command of DVC is at work is tried again. What fails by itself is not.
    """
    started, clock = time.monotonic(), time.time()
    place.tell({"kind": "begin"})
    log_of(stage).unlink(missing_ok=True)  # of an earlier run
    code, said, ran = 0, "", False
    try:
        if upstream:
            with one_at_a_time("upstream"):
                code, said = _insist(stage, place, "repro", "--pull", upstream)
        if code == 0:
            code, said = _insist(stage, place, "repro", *(["--pull"] if pull else []), "--single-item", stage)
            ran = "Running stage" in said
        if code == 0 and pull and ran:
            code, said = _insist(stage, place, "push", "--run-cache", stage)
    finally:
        place.tell({"kind": "gone"})
    if code == 0:
        forget([name_of(stage)])
    return Result(code, time.monotonic() - started, ran, ran and _diverged(stage, clock), said[-LONGEST_LOG:])


def _insist(stage: str, place: Place, *arguments: str) -> tuple[int, str]:
    """Run a command of DVC on a stage, again if it meets others; exit code and output of the last attempt."""

    def met_others(ended: tuple[int, str]) -> bool:
        code, said = ended
        return code != 0 and any(each in said for each in BUSY) and not place.stopped()

    attempts = Retrying(
        retry=retry_if_result(met_others),
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_random_exponential(multiplier=0.5, max=5),
        retry_error_callback=lambda last: last.outcome.result(),
    )
    return attempts(_attempt, stage, place, *arguments)


def _attempt(stage: str, place: Place, *arguments: str) -> tuple[int, str]:
    """Exit code of a command and what it printed, which is in the log too; tells how a training goes on meanwhile."""
    journal = Follower(name_of(stage))
    journal.new()  # of an earlier training
    LOGS.mkdir(parents=True, exist_ok=True)  # which may be deleted at any time, as all of the cache
    with log_of(stage).open("a+b") as log:
        before = log.tell()
        process = start(dvc_command(*arguments), place.environment, log)
        try:
            while (code := _wait(process)) is None:
                _tell(journal, place)
                if place.stopped():
                    end(process)
        except BaseException:
            end(process)
            raise
        log.seek(before)  # can be read even if the file has been deleted
        said = log.read().decode(errors="replace")
    _tell(journal, place)
    return code, said


def _wait(process: subprocess.Popen) -> int | None:
    """Exit code; None if it still runs after a while."""
    try:
        return process.wait(LOOK_EVERY)
    except subprocess.TimeoutExpired:
        return None


def _tell(journal: Follower, place: Place) -> None:
    for line in journal.new():
        if line["kind"] == "progress":
            place.tell(line)


def _diverged(stage: str, since: float) -> bool:
    """Whether the journal of a training that ended since then says so."""
    lines = Follower(name_of(stage)).new()
    return bool(lines) and lines[-1].get("status") == "diverged" and lines[-1]["at"] >= since
