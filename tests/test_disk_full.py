"""A full disk costs a sentence and nothing else: no half of a file, no result, and after making room all goes on.

A small file system of its own takes the place of a directory, which only root may arrange.
"""

import contextlib
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.xdist_group("miniature b")

NEW = "digits-unet_tiny-dice-none-1"
MAKE_ROOM = "the disk is full. Make room, as `make clean` does, then run the same again: what was finished is kept.\n"


class Disk:
    """A file system of some megabytes at a directory, with what was in that directory."""

    def __init__(self, place: Path) -> None:
        self.place, self.ballast = place, place / ".ballast.part"  # which DVC does not look at
        aside = place.parent / f"{place.name}.aside"
        place.mkdir(parents=True, exist_ok=True)
        shutil.copytree(place, aside, symlinks=True)
        found = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", place], capture_output=True, text=True
        )
        if found.returncode:
            pytest.skip(f"no file system can be mounted here: {found.stderr.strip()}")
        shutil.copytree(aside, place, symlinks=True, dirs_exist_ok=True)
        shutil.rmtree(aside)

    def fill(self, leave: int) -> None:
        """Leave so many bytes."""
        with self.ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(self.place).free - leave)

    def make_room(self) -> None:
        self.ballast.unlink()

    def files(self) -> dict[str, bytes]:
        """All but the ballast, hidden ones too."""
        found = (path for path in sorted(self.place.rglob("*")) if path.is_file() and path != self.ballast)
        return {str(path.relative_to(self.place)): path.read_bytes() for path in found}


@pytest.fixture
def small_disk() -> Iterator[Callable[[Path], Disk]]:
    if os.geteuid():
        pytest.skip("only root may mount a file system")
    made = []

    def make(place: Path) -> Disk:
        made.append(place)
        return Disk(place)

    yield make
    for place in made:
        subprocess.run(["umount", "--lazy", place], check=False)


@pytest.mark.parametrize(
    ("command", "named"),
    [(["check"], "data/plan"), (["tune", "digits-unet_tiny-dice"], "data/tuned/digits-unet_tiny-dice")],
    ids=["check", "tune"],
)
def test_an_output_that_finds_no_room_leaves_the_one_before(workspace, small_disk, command, named):
    disk = small_disk(workspace.root / "data")
    before = disk.files()
    disk.fill(leave=4096)
    found = workspace.run(f"pipeline.{command[0]}", *command[1:], check=False)
    assert (found.returncode, found.stderr) == (1, f"error: {named}: {MAKE_ROOM}")
    assert disk.files() == before
    disk.make_room()
    workspace.run(f"pipeline.{command[0]}", *command[1:])
    assert disk.files() == before


def test_a_training_that_finds_no_room_for_its_model_is_run_again_by_dvc(workspace, small_disk):
    """There is room for all of it but the weights, which a library writes."""
    workspace.edit_params(axes__seed=[0, 1])
    stage = f"train@{NEW}"
    stale = workspace.stale_after_check()
    disk = small_disk(workspace.root / "models")
    before, lock = disk.files(), (workspace.root / "dvc.lock").read_bytes()
    disk.fill(leave=500_000)
    found = workspace.dvc("repro", "--single-item", stage, check=False)
    assert found.returncode != 0
    assert f"error: models/{NEW}: {MAKE_ROOM}" in found.stderr
    assert "Traceback" not in found.stderr
    assert disk.files() == before
    assert (workspace.root / "dvc.lock").read_bytes() == lock
    assert workspace.status() == stale
    disk.make_room()
    workspace.dvc("repro", "--single-item", stage)
    assert {f"{NEW}/cell.json", f"{NEW}/model/model.safetensors"} < disk.files().keys() - before.keys()
    assert stage in stale - workspace.status()


def test_a_result_for_which_dvc_finds_no_room_is_not_trained_again(workspace, small_disk):
    """DVC's cache is full when the training is over; its outputs are recorded once there is room."""
    workspace.edit_params(axes__seed=[0, 1])
    workspace.dvc("repro", "--single-item", "check")
    disk = small_disk(workspace.root / ".dvc" / "cache")
    lock = (workspace.root / "dvc.lock").read_bytes()
    disk.fill(leave=500_000)
    found = workspace.dvc("repro", "--single-item", f"train@{NEW}", check=False)
    assert found.returncode != 0
    assert "No space left on device" in found.stderr
    assert (workspace.root / "dvc.lock").read_bytes() == lock
    trained = (workspace.root / "models" / NEW / "provenance.json").read_bytes()
    disk.make_room()
    said = workspace.dvc("repro", "--single-item", f"train@{NEW}").stdout
    assert f"{NEW}: was trained before; its outputs are put back." in said
    assert (workspace.root / "models" / NEW / "provenance.json").read_bytes() == trained
    assert f"train@{NEW}" not in workspace.status()


def test_a_checkpoint_that_finds_no_room_costs_one_warning(workspace, small_disk):
    """Also a journal, and what is kept for the case that DVC is killed: a training goes on without them."""
    workspace.edit_params(axes__seed=[0, 1])
    workspace.dvc("repro", "--single-item", "check")
    disk = small_disk(workspace.root / ".cache")
    disk.fill(leave=0)
    before, settings = set(disk.files()), {"BENCHMARK_CHECKPOINT": "0", "BENCHMARK_LIVE": "off"}
    found = workspace.run("pipeline.train", NEW, **settings)
    (warning,) = found.stderr.splitlines()
    assert warning.startswith(f"warning: .cache/checkpoints/{NEW}-")
    assert disk.files().keys() - before <= {f"journal/{NEW}.jsonl"}
    weights = (workspace.root / "models" / NEW / "model" / "model.safetensors").read_bytes()
    disk.make_room()
    assert "was trained before" not in workspace.run("pipeline.train", NEW, **settings).stdout
    assert [path for path in disk.files() if path.startswith(f"checkpoints/{NEW}-")]
    assert (workspace.root / "models" / NEW / "model" / "model.safetensors").read_bytes() == weights


def test_a_store_that_finds_no_room_is_told_in_a_line_and_stays_whole(workspace, small_disk, tmp_path):
    """`publish` ends with a sentence, the view of a training with a warning, and later goes on.

    The store is one whose runs were deleted, so that there is something to write.
    """
    disk = small_disk(tmp_path / "store")
    store = {"MLFLOW_TRACKING_URI": f"sqlite:///{disk.place}/mlflow.db"}
    live = ("pipeline.live", "digits-unet_tiny-dice-none-0")  # by its journal
    with contextlib.closing(sqlite3.connect(shutil.copy(workspace.root / "mlflow.db", disk.place))) as tables:
        tables.execute("UPDATE runs SET lifecycle_stage = 'deleted'")
        place = (workspace.root / "mlartifacts").as_uri()  # not that of the clone of which this is a copy
        tables.execute("UPDATE experiments SET artifact_location = ?", [place])
        tables.commit()
        disk.fill(leave=50_000)  # for some of it
        published = workspace.run("pipeline.publish", check=False, **store)
        disk.make_room()
        disk.fill(leave=0)
        shown = workspace.run(*live, **store)
        begins = [f"error: MLflow at {store['MLFLOW_TRACKING_URI']} cannot be used: ", "warning: MLflow: "]
        for said, begin in zip((published.stderr, shown.stderr), begins, strict=True):
            (line,) = said.splitlines()
            assert line.startswith(begin)
            assert "disk is full" in line
        assert published.returncode == 1
        disk.make_room()
        assert tables.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        before = tables.execute("SELECT count(*) FROM runs").fetchone()[0]
        assert workspace.run(*live, **store).stderr == ""
        assert tables.execute("SELECT count(*) FROM runs").fetchone()[0] == before + 1
