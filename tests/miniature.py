"""The project in small: a copy of its code with its own DVC workspace and params, run by the real commands."""

import atexit
import contextlib
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from pipeline.plumbing.tracking import SETTINGS  # read by MLflow when it is imported
from pipeline.running.warm import LOADED, warm_process

ROOT = Path(__file__).parents[1]
CODE = ("pipeline", "dvc.yaml", ".dvcignore", "presets", "requirements.lock")

# With all that they import; a stage of the pipeline is not kept, only what it needs.
LIBRARIES = (*LOADED, "pipeline.evaluate", "pipeline.gradients", "pipeline.report", "pipeline.publish", "mlflow")
LIBRARIES += ("mlflow.store.tracking.sqlalchemy_store", "torch.export._trace")
LIBRARIES += ("dvc.cli", "dvc.commands.repro", "dvc.commands.status", "dvc.repo.reproduce", "dvc_data.index")
PROGRAM = """\
#!{python} -IS
import os, sys
cold = sys.argv[2:3] == ["pipeline.run"] and "--dry" not in sys.argv  # its stages find a warm process by themselves
if sys.argv[1:2] == ["-m"] and not cold and os.environ.get("BENCHMARK_WARM") != "":
    given = sys.argv[1:]
    sys.path.insert(0, {root!r})
    from pipeline.plumbing.lifeline import die_with_parent
    from pipeline.running.warm import hand_over
    die_with_parent()
    os.environ.update({found!r})
    sys.argv = given[1:]
    if (code := hand_over(given[1])) is not None:
        sys.exit(code)
    sys.argv = ["python", *given]
os.execv({python!r}, [{python!r}, *sys.argv[1:]])
"""


def interruptible() -> None:
    """For the start of a process: it obeys Ctrl-C also where a shell runs the tests in the background."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@functools.cache
def programs() -> dict[str, str]:
    """The environment in which `python` has all libraries loaded: a script that hands over to a warm process.

    The code of each workspace is read anew. Without it, importing libraries would be most of what these tests do.
    """
    stack = contextlib.ExitStack()
    atexit.register(stack.close)
    folder = stack.enter_context(tempfile.TemporaryDirectory())
    settings = {"OMP_NUM_THREADS": "1", "CI": "true", "PYTHONPATH": str(ROOT), **SETTINGS}
    found = stack.enter_context(warm_process({**os.environ, **settings}, LIBRARIES))
    program = Path(folder, "python")
    program.write_text(PROGRAM.format(root=str(ROOT), python=sys.executable, found=found))
    program.chmod(0o700)
    return {"PATH": os.pathsep.join([folder, str(Path(sys.executable).parent), os.environ["PATH"]]), **found}


class Miniature:
    """A workspace in `root`. Commands run there as a user would run them, in processes of their own."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    def create(cls, root: Path, preset: str = "smoke") -> "Miniature":
        """A fresh workspace with the code of this project and one of its presets as params.yaml."""
        root.mkdir(parents=True)
        for name in CODE:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(
                ROOT / name,
                root / name,
                **({"ignore": shutil.ignore_patterns("__pycache__")} if copy is shutil.copytree else {}),
            )
        shutil.copy(ROOT / "presets" / f"{preset}.yaml", root / "params.yaml")
        made = cls(root)
        made.dvc("init", "--no-scm", "--quiet")
        made.dvc("config", "core.analytics", "false")
        return made

    def copy(self, root: Path) -> "Miniature":
        """The same workspace, results and cache included, at another place."""
        shutil.copytree(self.root, root, symlinks=True)
        return Miniature(root)

    def run(self, *command: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run `python -m COMMAND`. A test that expects failure passes `check=False`."""
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW", "PYTEST", "DVC"))}
        settings = {"OMP_NUM_THREADS": "1", "CI": "true", "BENCHMARK_LIVE": "off", **programs(), **environment}
        found = subprocess.run(
            [shutil.which("python", path=settings["PATH"]), "-m", *command],
            cwd=self.root,
            env=inherited | settings,
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert not check or found.returncode == 0, f"{command}\n{found.stdout}\n{found.stderr}"
        return found

    def dvc(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.run("dvc", *command, check=check)

    def status(self) -> set[str]:
        """Names of the stages that DVC would run again."""
        return set(json.loads(self.dvc("status", "--json").stdout or "{}"))

    def stale_after_check(self) -> set[str]:
        """What is stale once `check` has seen an edit: what that edit costs."""
        self.dvc("repro", "--single-item", "check")
        return self.status()

    def edit_params(self, **changes: Any) -> None:
        """Set values by dotted keys, written with two underscores: `axes__loss__focal={}`; None removes the key."""
        yaml = YAML()  # keeps the order of keys, as an editor does
        content = yaml.load((self.root / "params.yaml").read_text())
        for place, value in changes.items():
            *path, last = place.split("__")
            block = content
            for key in path:
                block = block.setdefault(key, {})
            if value is None:
                del block[last]
            else:
                block[last] = value
        with (self.root / "params.yaml").open("w") as file:
            yaml.dump(content, file)

    def edit(self, file: str, old: str, new: str) -> None:
        """Replace `old`, which must occur exactly once, in a file of the code."""
        text = (self.root / file).read_text()
        assert text.count(old) == 1, f"{file} holds {old!r} {text.count(old)} times"
        (self.root / file).write_text(text.replace(old, new))
