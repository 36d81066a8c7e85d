"""What params.yaml no longer names goes, and nothing that could be lost."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline.check import PARAMS
from pipeline.plumbing.checkpoints import checkpoint_directory
from pipeline.plumbing.params import read_params
from pipeline.prune import Named, traces
from tests.miniature import Miniature

pytestmark = pytest.mark.xdist_group("miniature a")

PLAIN, WEIGHTED = (f"digits-unet_tiny-dice-{strategy}-0" for strategy in ("none", "class_weights"))
OF_ALL_CELLS = {"evaluate", "gradients", "report", "publish"}


def prune(workspace: Miniature, *options: str) -> list[str]:
    return workspace.run("pipeline.prune", *options).stdout.splitlines()


def files(root: Path) -> dict[Path, bytes]:
    """All that a workspace holds but what DVC and Python keep of their own."""
    inner = (".dvc", "pipeline", "presets")
    paths = (path for path in root.rglob("*") if path.is_file() and path.relative_to(root).parts[0] not in inner)
    return {path.relative_to(root): path.read_bytes() for path in paths}


def locked(workspace: Miniature) -> dict:
    return YAML(typ="safe").load(workspace.root / "dvc.lock")["stages"]


@pytest.fixture
def smaller(workspace) -> Miniature:
    """A workspace whose params.yaml no longer names one of two losses."""
    workspace.edit_params(axes__loss__dice=None)
    return workspace


def test_where_all_is_named_there_is_nothing_to_remove(finished):
    assert prune(finished, "--yes") == ["There is nothing to remove."]


def traces_of_dice(workspace: Miniature) -> list[str]:
    """What `.cache/` has of the cells with the loss that goes, such as their journals; a log is added."""
    (workspace.root / ".cache" / "logs").mkdir(exist_ok=True)
    (workspace.root / ".cache" / "logs" / f"{PLAIN}.log").write_bytes(bytes(1234))
    found = (workspace.root / ".cache").glob("*/digits-unet_tiny-dice-*")
    return [str(path.relative_to(workspace.root)) for path in sorted(found)]


def test_it_says_first_what_would_go_and_removes_nothing(smaller):
    going = ["data/tuned/digits-unet_tiny-dice", f"models/{WEIGHTED}", f"models/{PLAIN}", *traces_of_dice(smaller)]
    before = files(smaller.root)
    total = sum(len(content) for path, content in before.items() if str(path).startswith(tuple(going)))
    *listed, in_all, last = prune(smaller)
    assert [line.split()[-1] for line in listed] == going
    assert ["1.2", "KB", f".cache/logs/{PLAIN}.log"] in [line.split() for line in listed]
    assert in_all.split()[:2] == [f"{total / 1e6:.1f}", "MB"]
    assert in_all.endswith(" in all; stages of dvc.lock: 3. params.yaml names none of it.")
    assert last == "Nothing is removed yet: `python -m pipeline.prune --yes` does it."
    assert files(smaller.root) == before


def test_what_is_named_stays_and_stays_up_to_date(smaller):
    """Only what is made of all cells is made anew."""
    going = ["data/tuned/digits-unet_tiny-dice", f"models/{WEIGHTED}", f"models/{PLAIN}", *traces_of_dice(smaller)]
    before, stages = files(smaller.root), locked(smaller)
    assert prune(smaller, "--yes")[-1].startswith("Removed. DVC's cache still holds what it cached; ")
    after, left = files(smaller.root), locked(smaller)
    assert before.keys() - after.keys() == {path for path in before if any(map(path.is_relative_to, going))}
    assert {path for path in after if after[path] != before[path]} == {Path("dvc.lock")}
    gone = {f"train@{PLAIN}", f"train@{WEIGHTED}", "tune@digits-unet_tiny-dice"}
    assert left == {name: entry for name, entry in stages.items() if name not in gone}
    assert smaller.stale_after_check() == OF_ALL_CELLS


def test_a_key_that_is_put_back_trains_nothing(workspace, finished):
    """Nor does it prepare or search: DVC has it all. Only what it does not cache is fetched again."""
    block = {"kind": "digits", "image_size": 32, "train_images": 16, "val_images": 10, "test_images": 10}
    workspace.edit_params(axes__dataset={"other": block})
    prune(workspace, "--yes")
    assert [path for path in (workspace.root / "models").iterdir() if path.is_dir()] == []
    assert [path for part in ("raw", "prepared", "tuned") for path in (workspace.root / "data" / part).iterdir()] == []
    assert set(locked(workspace)) == {"check"} | OF_ALL_CELLS
    shutil.copy(finished.root / "params.yaml", workspace.root)
    said = workspace.dvc("repro", "train").stdout
    assert [line for line in said.splitlines() if line.startswith("Running stage")] == [
        "Running stage 'download@digits':"
    ]
    assert files(workspace.root / "models") == files(finished.root / "models"), "with the times of the training"


def test_what_dvc_could_not_bring_back_stays_and_is_named(smaller):
    """A changed cell, one that lacks a file in DVC's cache, and one that was never recorded."""
    models = smaller.root / "models"
    (models / PLAIN / "history.csv").write_text("changed\n")
    cached = [path for path in (smaller.root / ".dvc" / "cache" / "files").rglob("*") if path.is_file()]
    facts = (models / WEIGHTED / "cell.json").read_bytes()
    (cell_file,) = [path for path in cached if path.read_bytes() == facts]
    cell_file.unlink()
    shutil.copytree(models / PLAIN, models / "digits-unet_tiny-gone-none-0")
    before = files(models)
    assert prune(smaller, "--yes")[:3] == [
        f"kept: models/{WEIGHTED}, not whole in DVC's cache. Delete it by hand if it may be lost.",
        f"kept: models/{PLAIN}, changed since DVC cached it. Delete it by hand if it may be lost.",
        "kept: models/digits-unet_tiny-gone-none-0, DVC has not recorded it. Delete it by hand if it may be lost.",
    ]
    assert files(models) == before
    assert {f"train@{PLAIN}", f"train@{WEIGHTED}"} < set(locked(smaller))
    assert "tune@digits-unet_tiny-dice" not in locked(smaller)


def test_a_repeat_that_became_a_cell_keeps_its_directory(workspace):
    """Only the name of its stage is no longer there."""
    lock = workspace.root / "dvc.lock"
    lock.write_text(lock.read_text().replace(f"  train@{PLAIN}:", f"  repeat@{PLAIN}:"))
    *_, in_all, _ = prune(workspace, "--yes")
    assert in_all == "   0 bytes  in all; stages of dvc.lock: 1. params.yaml names none of it."
    assert (workspace.root / "models" / PLAIN).is_dir()
    assert f"repeat@{PLAIN}" not in locked(workspace)


def test_a_slip_in_params_removes_nothing(smaller):
    smaller.edit_params(axes__loss__dcie={})
    before = files(smaller.root)
    found = smaller.run("pipeline.prune", "--yes", check=False)
    assert found.returncode == 1
    assert found.stderr.startswith("error: params.yaml: axes.loss.dcie: no pipeline/losses/dcie.py.")
    assert files(smaller.root) == before


def test_nothing_is_removed_while_dvc_is_at_work(smaller):
    smaller.edit(
        "pipeline/download.py", "def main() -> None:\n", "def main() -> None:\n    __import__('time').sleep(10_000)\n"
    )
    smaller.dvc("repro", "--single-item", "check")
    command = [sys.executable, "-m", "dvc", "repro", "--force", "--single-item", "download@digits"]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    with subprocess.Popen(
        command, cwd=smaller.root, env={**os.environ, "PATH": path}, stdout=subprocess.DEVNULL, start_new_session=True
    ) as process:
        try:
            while "data/raw/digits" not in (smaller.root / ".dvc" / "tmp" / "rwlock").read_text():
                time.sleep(0.1)
            found = smaller.run("pipeline.prune", "--yes", check=False)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
    assert found.returncode == 1
    assert found.stderr.startswith(f"error: process {process.pid} is at work here: ")
    assert (smaller.root / "models" / PLAIN).is_dir()


NAMED = Named(datasets={"d"}, searches={"d-m-l"}, cells={"d-m-l-s-0"}, repeats={"d-m-l-s-9"})


@pytest.mark.parametrize(
    ("path", "goes"),
    [
        ("logs/d-m-l-s-0.log", False),
        ("logs/d-m-l-s-9.log", False),
        ("logs/d-m-l-s-1.log", True),
        ("logs/d-m-l.log", False),
        ("logs/d-m-k.log", True),
        ("journal/d-m-l-s-0.jsonl", False),
        ("journal/d-m-k-s-0.jsonl", True),
        ("journal/d-m-kept-s-0.jsonl", False),
        (checkpoint_directory("d-m-l-s-0", "x").relative_to(".cache"), False),
        (checkpoint_directory("d-m-l-t-0", "x").relative_to(".cache"), True),
        (checkpoint_directory("d-m-l-lr_0.001", "x").relative_to(".cache"), False),
        (checkpoint_directory("d-m-l-lr_1e-05", "x").relative_to(".cache"), False),
        (checkpoint_directory("d-m-k-lr_1e-05", "x").relative_to(".cache"), True),
        ("evaluate/d-m-k-s-0-0123456789abcdef0123456789abcdef", True),
        ("evaluate/0123456789abcdef0123456789abcdef", False),
        ("gradients/0123456789abcdef0123456789abcdef.json", False),
    ],
)
def test_traces_go_with_what_they_are_of(tmp_path, monkeypatch, path, goes):
    """What does not tell by its name stays."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".cache" / path).mkdir(parents=True)
    assert traces(NAMED, {"d-m-kept-s-0"}) == ([Path(".cache", path)] if goes else [])


def test_every_stage_of_the_lock_is_named_by_the_params_it_was_made_with(finished, monkeypatch):
    """So that a stage or axis that dvc.yaml gets later is not taken for one that is gone."""
    monkeypatch.chdir(finished.root)
    groups = Named.by(read_params(PARAMS)).stages()
    multiplied = [stage.split("@") for stage in locked(finished) if "@" in stage]
    assert {group for group, _ in multiplied} == groups.keys() - {"repeat"}
    assert all(name in groups[group] for group, name in multiplied)
    assert json.loads((finished.root / "data/plan/report.json").read_text())["cells"] == sum(
        group == "train" for group, _ in multiplied
    )
