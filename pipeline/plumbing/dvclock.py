"""dvc.lock; what DVC could bring back of the outputs that are named there; and whether DVC is at work.

"Bring back" means: the output is as DVC recorded it, and its cache holds all of it. Asks DVC's commands alone.
"""

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from pipeline.plumbing.errors import UserError
from pipeline.plumbing.files import whole
from pipeline.plumbing.lifeline import runs

LOCK = Path("dvc.lock")
AT_WORK = Path(".dvc/tmp/rwlock")  # paths that running DVC commands read and write, with the processes
ASIDE = Path("prune.dvc")
NOT_RECORDED = "DVC has not recorded it"
CHANGED = "changed since DVC cached it"
NOT_WHOLE = "not whole in DVC's cache"


def locked_stages() -> dict[str, Any]:
    """What DVC recorded of each stage, by its name; nothing before a first stage has run."""
    return _yaml().load(LOCK)["stages"] if LOCK.is_file() else {}


def unlock(stages: Iterable[str]) -> None:
    """Remove what DVC recorded of these stages. The rest of the file stays as it is, byte for byte."""
    content = _yaml().load(LOCK)
    for name in stages:
        del content["stages"][name]
    with whole(LOCK) as part:
        _yaml().dump(content, part)


def obstacles() -> dict[Path, str]:
    """Why DVC could not bring back each output of the pipeline that lies in the workspace; empty: it could.

    Leaves out what dvc.yaml says not to cache.
    """
    found = json.loads(_dvc("data", "status", "--json", "--granular", "--unchanged") or "{}")
    uncommitted, missing = found.get("uncommitted", {}), [Path(each) for each in found.get("not_in_cache", [])]
    reasons = dict.fromkeys(map(Path, found.get("unchanged", [])), "")
    reasons |= dict.fromkeys(map(Path, uncommitted.get("modified", [])), CHANGED)
    reasons |= dict.fromkeys(map(Path, uncommitted.get("added", [])), NOT_RECORDED)
    outputs = {path: reason for path, reason in reasons.items() if not any(each in reasons for each in path.parents)}
    return {
        path: NOT_WHOLE if not reason and any(each.is_relative_to(path) for each in missing) else reason
        for path, reason in outputs.items()
    }


def obstacles_of(outputs: list[dict[str, Any]]) -> dict[Path, str]:
    """The same of outputs whose stages dvc.yaml no longer has: `outputs` are their entries in dvc.lock.

    DVC looks at no stage that dvc.yaml does not have. So it is asked by means of a file that tracks the same data
    without a stage.
    """
    if not outputs:
        return {}
    try:
        with whole(ASIDE) as part:
            _yaml().dump({"outs": outputs}, part)
        found = json.loads(_dvc("status", "--json", str(ASIDE)) or "{}")
    finally:
        ASIDE.unlink(missing_ok=True)
    changes = {Path(path): state for change in found.get(str(ASIDE), []) for path, state in _outputs_in(change)}
    words = {None: "", "deleted": "", "not in cache": NOT_WHOLE}  # nothing can be lost of what is not there
    paths = (Path(each["path"]) for each in outputs)
    return {path: words.get(changes.get(path), CHANGED) for path in paths}


def check_idle() -> None:
    """Raise UserError while a DVC command works in this workspace."""
    try:
        entries = json.loads(AT_WORK.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):  # none has worked here yet, or one begins and has DVC's own lock
        return
    readers = [reader for each in entries.get("read", {}).values() for reader in each]
    for worker in [*entries.get("write", {}).values(), *readers]:
        if runs(worker["pid"]):
            raise UserError(f"process {worker['pid']} is at work here: {worker['cmd']}. Wait for it to end, or end it.")


def _outputs_in(change: Any) -> Iterable[tuple[str, str]]:
    return change.get("changed outs", {}).items() if isinstance(change, dict) else ()


def _yaml() -> YAML:
    """As DVC writes its files."""
    yaml = YAML()
    yaml.default_flow_style = False
    return yaml


def _dvc(*arguments: str) -> str:
    """What a command of DVC prints. Raises UserError with DVC's reason if it fails."""
    found = subprocess.run([sys.executable, "-m", "dvc", *arguments], capture_output=True, text=True)
    if found.returncode:
        raise UserError(f"`dvc {' '.join(arguments)}` failed: {found.stderr.strip()}")
    return found.stdout
