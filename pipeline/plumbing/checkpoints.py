"""Where trainings that are not finished keep their state: `.cache/checkpoints/<name>-<digest>/`.

Outside the outputs of the stage, which DVC deletes before it runs the stage again, and under a digest of all that the
training depends on, so that a state is never taken over for changed parameters, code or data.

A finished training leaves its outputs there too, as hard links: if DVC is killed before it has recorded them, they are
there at once when the stage is run again, unless a file was edited meanwhile, here or through its other name.
`evaluate`, and `pipeline.run` after each cell, remove them.
"""

import contextlib
import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pipeline.plumbing.cached import SEAL, is_sealed, seal
from pipeline.plumbing.files import CACHE, digest, whole

CHECKPOINTS = CACHE / "checkpoints"
FINISHED = "finished"


def checkpoint_directory(name: str, depends_on: Any) -> Path:
    """The place of the training `name`; `depends_on` is any JSON value that changes with its result."""
    return CHECKPOINTS / f"{name}-{digest(depends_on)}"


def keep_finished(directory: Path, outputs: Path) -> None:
    """Keep the outputs of a finished training, and nothing else of it."""
    shutil.rmtree(directory, ignore_errors=True)
    with contextlib.suppress(OSError), whole(directory / FINISHED) as part:  # lost, it costs only after a kill
        shutil.copytree(outputs, part, copy_function=_link)
        seal(part)


def restore_finished(directory: Path, outputs: Path) -> bool:
    """Put the kept outputs at their place. False if there are none, as for a training that is not finished.

    Nor are there any if they are not those that were kept: that is told.
    """
    kept = directory / FINISHED
    if not kept.is_dir():
        return False
    if not is_sealed(kept):
        print(f"warning: {kept}: damaged or edited; training starts anew.", file=sys.stderr)
        return False
    with whole(outputs) as part:
        shutil.copytree(kept, part, copy_function=_link, ignore=shutil.ignore_patterns(SEAL))
    return True


def forget(names: Iterable[str]) -> None:
    """Remove all that is kept of these trainings, also for other parameters: once DVC has recorded their outputs."""
    for name in names:
        for directory in CHECKPOINTS.glob(f"{name}-{'[0-9a-f]' * 32}"):
            shutil.rmtree(directory, ignore_errors=True)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links
        shutil.copy2(source, target)
