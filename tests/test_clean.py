"""`make clean` takes what comes back without training, and nothing else."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from pipeline.plumbing.checkpoints import checkpoint_directory, keep_finished
from tests.miniature import ROOT, Miniature

pytestmark = pytest.mark.xdist_group("miniature a")

PLAIN, WEIGHTED, OTHER = (
    f"digits-unet_tiny-{name}-0" for name in ("dice-none", "dice-class_weights", "cross_entropy-none")
)


def files(root: Path) -> dict[Path, bytes]:
    """All that a workspace holds but what DVC keeps of its own, and Python of the code."""
    paths = [path for path in root.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return {path.relative_to(root): path.read_bytes() for path in paths if path.relative_to(root).parts[0] != ".dvc"}


def clean(workspace: Miniature) -> list[str]:
    return workspace.run("pipeline.clean", PYTHONDONTWRITEBYTECODE="1").stdout.splitlines()


@pytest.fixture
def written(workspace, monkeypatch) -> Miniature:
    """A workspace with what lies about after some use; the current directory is in it."""
    monkeypatch.chdir(workspace.root)
    for name in (
        ".pytest_cache/v",
        ".hypothesis/x",
        "pipeline/losses/__pycache__/dice.pyc",
        "data/archives/camvid/a.part",
    ):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text("")
    for name in (f".cache/logs/{PLAIN}.log", f".cache/journal/{PLAIN}.jsonl", ".cache/tune/0123.json"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text("")
    return workspace


def test_what_it_takes_dvc_puts_back_as_it_was(written):
    before = files(written.root)
    *sizes, in_all, last = clean(written)
    after = files(written.root)
    gone = before.keys() - after.keys()
    folders = {path.parts[0] for path in gone}
    assert folders == {".cache", ".hypothesis", ".pytest_cache", "data", "models", "results"}
    assert [line.split()[-1] for line in sizes] == sorted(folders | {"pipeline"})
    assert in_all.split()[:2] == [f"{sum(len(before[path]) for path in gone) / 1e6:.1f}", "MB"]
    assert last == "Removed. `dvc checkout` puts the outputs back."
    assert [path for path in after if path.parts[0] == "models"] == []
    assert not Path("pipeline/losses/__pycache__").exists()
    written.dvc("checkout")
    back = files(written.root)
    assert back.items() <= before.items()
    assert {path.parts[0] for path in before.keys() - back.keys()} == {".cache", ".hypothesis", ".pytest_cache"}
    assert written.status() == set()


def test_what_nothing_brings_back_stays(written):
    """Of what DVC was told not to cache, of what costs training, and of what is not its business."""
    stays = ["data/raw", "data/archives", "results/report", "results/tables", "results/gradients", "mlflow.db"]
    stays += ["mlartifacts", "params.yaml", "dvc.lock", "pipeline", ".cache/tune"]
    before = files(written.root)
    clean(written)
    after = files(written.root)
    for name in stays:
        expected = {path for path in before if path.is_relative_to(name)}
        assert expected, name
        assert expected <= after.keys(), name
    assert after.items() <= before.items()


def test_results_that_dvc_has_not_cached_stay_and_are_named(written):
    """A changed cell, one that lacks a file in DVC's cache, and one that was never recorded."""
    (Path("models") / PLAIN / "history.csv").write_text("changed\n")
    facts = (Path("models") / WEIGHTED / "cell.json").read_bytes()
    cached = [path for path in Path(".dvc/cache/files").rglob("*") if path.is_file()]
    (cell_file,) = [path for path in cached if path.read_bytes() == facts]
    cell_file.unlink()
    lock = Path("dvc.lock").read_text()
    Path("dvc.lock").write_text(lock.replace(f"train@{OTHER}:", "train@unnamed:"))
    before = files(Path("models"))
    said = [line for line in clean(written) if line.startswith("kept: ")]
    assert sorted(said) == [
        f"kept: models/{OTHER}, DVC has not recorded it.",
        f"kept: models/{WEIGHTED}, not whole in DVC's cache.",
        f"kept: models/{PLAIN}, changed since DVC cached it.",
    ]
    assert {path.parts[0] for path in files(Path("models"))} == {PLAIN, WEIGHTED, OTHER}
    assert files(Path("models")).items() <= before.items()


def test_what_killed_processes_left_goes_once_no_result_needs_it(written):
    """Of trainings that DVC has recorded, and of writing that was cut short; unless the one who writes still lives."""
    finished, unfinished = checkpoint_directory(PLAIN, "x"), checkpoint_directory(WEIGHTED, "x")
    keep_finished(finished, Path("models") / PLAIN)
    unfinished.mkdir(parents=True)
    (unfinished / "state.pt").write_text("half way")
    unrecorded = checkpoint_directory(OTHER, "x")
    keep_finished(unrecorded, Path("models") / OTHER)
    (unrecorded / "finished" / "provenance.json").unlink()
    (unrecorded / "finished" / "provenance.json").write_text("{}")
    ended = subprocess.Popen(["true"])
    ended.wait()
    parts = [Path(f"models/.cell.{process}.part") for process in (ended.pid, os.getpid())]
    for part in parts:
        part.mkdir()
    clean(written)
    assert sorted(path.name for path in Path(".cache/checkpoints").iterdir()) == sorted(
        [unfinished.name, unrecorded.name]
    )
    assert [part.exists() for part in parts] == [False, True]


def test_cleaning_twice_takes_nothing_the_second_time(written):
    clean(written)
    before = files(written.root)
    assert clean(written) == ["   0 bytes  in all", "Removed. `dvc checkout` puts the outputs back."]
    assert files(written.root) == before


def test_make_knows_it():
    """Without running it: this is the real workspace."""
    if not shutil.which("make"):
        pytest.skip("no make here")
    said = subprocess.run(
        ["make", "--no-print-directory", "--dry-run", "clean"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert said.stdout.splitlines()[-1] == "python -m pipeline.clean"
