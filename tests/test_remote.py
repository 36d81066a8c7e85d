"""Two clones that share a DVC remote and nothing else: what one has trained the other takes over."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.miniature import ROOT, Miniature

pytestmark = pytest.mark.xdist_group("miniature b")

TAKEN_OVER = {"data/plan", "data/prepared", "data/tuned", "models", "results/counts", "results/predictions"}


def git(directory: Path, *command: str) -> str:
    person = ("-c", "user.name=A Person", "-c", "user.email=person@example.org")
    return subprocess.run(["git", *person, *command], cwd=directory, check=True, capture_output=True, text=True).stdout


def ran(said: str) -> list[str]:
    """The stages that DVC ran, not those that it took from a cache."""
    return [line.split("'")[1] for line in said.splitlines() if line.startswith("Running stage")]


def outputs(root: Path) -> dict[Path, bytes]:
    """All that DVC caches, with the time, machine and duration of each training."""
    files = {path.relative_to(root): path for path in root.rglob("*") if path.is_file()}
    return {path: file.read_bytes() for path, file in files.items() if any(map(path.is_relative_to, TAKEN_OVER))}


@pytest.fixture(scope="module")
def pushed(finished, tmp_path_factory) -> Miniature:
    """A repository with the .gitignore and the DVC settings of this one, whose trainings are in a remote.

    Its dvc.lock is not committed.
    """
    made = finished.copy(tmp_path_factory.mktemp("remote") / "pushed")
    shutil.copytree(ROOT / ".dvc", made.root / ".dvc", dirs_exist_ok=True, ignore=lambda *_: ["cache", "tmp"])
    shutil.copy(ROOT / ".gitignore", made.root)
    (made.root / "dvc.lock").rename(made.root / "later.lock")
    made.dvc("remote", "add", "--quiet", "--default", "shared", str(made.root.parent / "remote"))
    git(made.root, "init", "--quiet")
    git(made.root, "add", ".", ":!later.lock", ":!results")
    git(made.root, "commit", "--quiet", "--message", "An experiment")
    (made.root / "later.lock").rename(made.root / "dvc.lock")
    made.dvc("push", "--quiet", "--run-cache")
    return made


def clone(pushed: Miniature, root: Path) -> Miniature:
    git(pushed.root, "clone", "--quiet", str(pushed.root), str(root))
    return Miniature(root)


def test_a_clone_that_knows_nothing_of_the_trainings_takes_them_over(pushed, tmp_path):
    """By what they depend on. Only the source of the data, which is not cached, it fetches itself."""
    other = clone(pushed, tmp_path / "other")
    assert not (other.root / "dvc.lock").exists()
    said = other.dvc("repro", "--pull", "evaluate").stdout
    assert ran(said) == ["download@digits"]
    assert said.count("is cached - skipping run, checking out outputs") == 9, (
        "check, prepare, 2 tune, 4 train, evaluate"
    )
    assert outputs(other.root) == outputs(pushed.root)


def test_a_clone_of_the_recorded_state_runs_nothing(pushed, tmp_path):
    """Not even a download, however large the archives are."""
    recorded = clone(pushed, tmp_path / "recorded")
    shutil.copy(pushed.root / "dvc.lock", recorded.root)
    git(recorded.root, "add", "dvc.lock")
    git(recorded.root, "commit", "--quiet", "--message", "Its results")
    other = clone(recorded, tmp_path / "other")
    said = other.dvc("repro", "--pull", "evaluate").stdout
    assert ran(said) == []
    assert outputs(other.root) == outputs(pushed.root)
    assert git(other.root, "status", "--short") == ""


def test_what_another_clone_adds_comes_back(pushed, tmp_path):
    """Two machines that share the work: an edit of params.yaml is trained on one of them."""
    cell, edit = "digits-unet_tiny-l1-none-0", {"axes__loss__l1": {}, "axes__strategy": {"none": {}}}
    other = clone(pushed, tmp_path / "other")
    other.edit_params(**edit)
    assert ran(other.dvc("repro", "--pull", f"train@{cell}").stdout)[-1] == f"train@{cell}"
    other.dvc("push", "--quiet", "--run-cache")
    first = pushed.copy(tmp_path / "first")
    first.edit_params(**edit)
    assert ran(first.dvc("repro", "--pull", "train").stdout) == []
    origin = Path("models", cell, "provenance.json")
    assert (first.root / origin).read_bytes() == (other.root / origin).read_bytes()
