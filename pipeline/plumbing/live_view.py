"""Starts and ends `pipeline.live`, the process that shows trainings in MLflow while they run.

The training imports nothing of MLflow, and neither a slow nor a dead store holds it up: what is missing in MLflow when
it ends, `publish` adds from the files. `BENCHMARK_LIVE=off` shows nothing; under `BENCHMARK_LIVE=driver` one process of
`pipeline.run` shows all trainings.
"""

import os
import select
import subprocess
import sys
from typing import Self

from pipeline.plumbing.messages import shown
from pipeline.plumbing.tracking import PATIENCE, tracking_uri


class LiveView:
    """Shows one cell, whose journal must have been begun, or without a cell every journal that is begun from now on."""

    def __init__(self, cell: str | None = None) -> None:
        self.cells = [cell] if cell else []
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        if os.environ.get("BENCHMARK_LIVE") not in ("off", *(["driver"] if self.cells else [])):
            # In a session of its own, Ctrl-C in a terminal does not reach it: it has nothing to say of that.
            self.process = subprocess.Popen(
                [sys.executable, "-m", "pipeline.live", "--parent", str(os.getpid()), *self.cells],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,
            )
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Let it show the rest, for a while; not after a failure, and not if it has not even begun."""
        if self.process is None:
            return
        with self.process:
            if kind is None and select.select([self.process.stdout], [], [], 0)[0]:
                self.process.stdin.close()
                try:
                    self.process.wait(PATIENCE)
                except subprocess.TimeoutExpired:
                    tell_failure(f"no answer from {shown(tracking_uri())} in {PATIENCE} s")
            self.process.kill()


def tell_failure(reason: str) -> None:
    """The one warning about a store that cannot be used while trainings run."""
    print(f"warning: MLflow: {reason}. Training is not affected; `make publish` adds the run later.", file=sys.stderr)
