"""Training one cell: reproducible, paired, and recorded even where it fails."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.learn.trainer import Validation
from pipeline.plumbing import plugins
from pipeline.train import write
from tests.exported_runs import runs
from tests.miniature import Miniature

pytestmark = pytest.mark.xdist_group("miniature a")

REPEATABLE = ("cell.json", "history.csv", "model/config.json", "model/model.safetensors")


def files_of(workspace: Miniature, cell: str) -> dict[str, bytes]:
    return {name: (workspace.root / "models" / cell / name).read_bytes() for name in REPEATABLE}


def judged(workspace: Miniature, cell: str) -> dict[str, bytes]:
    results = workspace.root / "results"
    files = [*(results / "counts" / cell).iterdir(), results / "predictions" / f"{cell}.npz"]
    return {file.name: file.read_bytes() for file in files}


def test_equal_seeds_give_equal_bits_from_the_weights_to_the_counts(workspace):
    cell = "digits-unet_tiny-dice-class_weights-0"
    first = files_of(workspace, cell), judged(workspace, cell)
    shutil.rmtree(workspace.root / ".cache" / "evaluate")
    workspace.run("pipeline.train", cell)
    workspace.run("pipeline.evaluate")
    assert (files_of(workspace, cell), judged(workspace, cell)) == first


PROBE = """
import hashlib, json, sys, torch
from pipeline import train
from pipeline.learn import training
from pipeline.plumbing.cells import Cell

class Stop(Exception): pass

def look(model, loss, batches, *_, **__):
    weights = hashlib.md5(b"".join(t.numpy().tobytes() for t in model.state_dict().values())).hexdigest()
    seen = hashlib.md5(b"".join(t.numpy().tobytes() for batch in batches(0) for t in batch)).hexdigest()
    print("SEEN", json.dumps([weights, seen])); raise Stop

training.fit = look
try: train.train(Cell.parse(sys.argv[1]))
except Stop: pass
"""


def test_at_one_seed_every_loss_meets_the_same_weights_and_batches(workspace):
    (workspace.root / "probe.py").write_text(PROBE)
    workspace.edit_params(axes__seed=[0, 1])
    workspace.run("pipeline.check")
    seen = {}
    for name in ("cross_entropy-none-0", "dice-none-0", "dice-class_weights-0", "dice-none-1"):
        found = workspace.run("probe", f"digits-unet_tiny-{name}").stdout
        seen[name] = json.loads(found.split("SEEN")[1].splitlines()[0])
    assert seen["dice-none-0"] == seen["cross_entropy-none-0"] == seen["dice-class_weights-0"]
    assert seen["dice-none-1"][0] != seen["dice-none-0"][0]
    assert seen["dice-none-1"][1] != seen["dice-none-0"][1]


def test_divergence_is_a_result_and_the_matrix_goes_on(workspace):
    """Also for what judges the diverged weights once more."""
    workspace.edit_params(
        axes__strategy={"none": {}, "class_thresholds": {}}, fit__optimizer="sgd", fit__lr=1e12, fit__iterations=8
    )
    assert workspace.dvc("repro", check=False).returncode == 0
    facts = json.loads((workspace.root / "models" / "digits-unet_tiny-cross_entropy-none-0" / "cell.json").read_text())
    assert facts["status"] == "diverged"
    assert 1 < facts["diverged_at"] <= 8
    table = (workspace.root / "results" / "leaderboard.md").read_text()
    rows = [row for row in table.splitlines() if row.startswith("|") and "cross_entropy" in row]
    assert len(rows) == 2
    assert all(f"seed 0 diverged at iteration {facts['diverged_at']}" in row for row in rows)
    shown = {run["cell"]: run for run in runs(workspace) if run["tags"]["state"] == "current"}
    for strategy in ("none", "class_thresholds"):
        assert shown[f"digits-unet_tiny-cross_entropy-{strategy}-0"]["status"] == "FAILED"


def test_the_pixels_that_the_loss_got_are_recorded(finished):
    """Two iterations of four images of 32 x 32 without void."""
    facts = json.loads((finished.root / "models" / "digits-unet_tiny-dice-none-0" / "cell.json").read_text())
    assert [type(pixels) for pixels in facts["seen_pixels"]] == [int] * len(facts["classes"])
    assert sum(facts["seen_pixels"]) == 2 * 4 * 32 * 32


@pytest.mark.parametrize(
    ("loss", "terms", "history"),
    [
        ({"kind": "dice"}, {}, "iteration,lr,train_loss,val_miou,val_iou/a,val_iou/b\n5,0.1,2.5,0.5,0.25,0.75\n"),
        (
            {"kind": "compound", "terms": {"focal": 1.0, "dice": 1.0}},
            {"dice": 0.5, "focal": float("nan")},
            "iteration,lr,train_loss,train_loss/focal,train_loss/dice,val_miou,val_iou/a,val_iou/b\n"
            "5,0.1,2.5,nan,0.5,0.5,0.25,0.75\n",
        ),
    ],
    ids=["one loss", "a sum"],
)
def test_a_history_has_a_column_for_each_term_of_a_sum(tmp_path, loss, terms, history):
    """In their order; that of any other loss is what it was."""
    plan = {"loss": plugins.build_unnamed("losses", loss, "loss").described() | {"code": "", "versions": {}}}
    cell = {"dataset": "digits", "model": "unet", "loss": "mine", "strategy": "none", "seed": 0}
    facts = {"cell": cell, "plan": plan, "classes": ["a", "b"]}
    write(tmp_path / "cell", facts, [Validation(5, 0.1, 2.5, 0.5, [0.25, 0.75], 99.0, terms)], {})
    assert (tmp_path / "cell" / "history.csv").read_text() == history


def test_a_strategy_that_only_decides_reuses_weights_without_torch(workspace):
    """So that one training, judged in several ways, costs a second for each."""
    workspace.edit_params(axes__strategy__class_thresholds={})
    workspace.run("pipeline.check")
    source, cell = (f"digits-unet_tiny-dice-{strategy}-0" for strategy in ("none", "class_thresholds"))
    code = (
        "import sys; from pipeline.plumbing.cells import Cell; from pipeline.train import train; "
        f"train(Cell.parse('{cell}')); "
        "assert 'torch' not in sys.modules, 'torch was imported'"
    )
    (workspace.root / "probe.py").write_text(code)
    said = workspace.run("probe", BENCHMARK_WARM="").stdout
    assert said == f"{cell}: trains nothing; the weights of {source} are judged once more.\n"

    directory, trained = workspace.root / "models" / cell, workspace.root / "models" / source
    assert sorted(file.name for file in directory.iterdir()) == ["cell.json", "history.csv", "provenance.json"]
    facts, known = (json.loads((place / "cell.json").read_text()) for place in (directory, trained))
    own = {"status": "reused", "weights_of": source, "checkpoint": None, "diverged_at": None, "seen_pixels": None}
    assert own.items() <= facts.items()
    assert facts["fingerprint"] != known["fingerprint"]
    assert facts.keys() - known.keys() == {"weights_of"}
    for key in ("classes", "data_digest", "image_size", "lr", "mean", "std"):
        assert facts[key] == known[key]
    assert (directory / "history.csv").read_text() == (trained / "history.csv").read_text().splitlines()[0] + "\n"
    origin = json.loads((directory / "provenance.json").read_text())
    assert (origin["seconds"], origin["validated"]) == (0, [])
    assert origin.keys() == json.loads((trained / "provenance.json").read_text()).keys()


@pytest.mark.parametrize("name", ["digits-unet_tiny-dice-none", "digits-unet_tiny-dice-none-x", ""])
def test_a_name_that_is_no_cell_is_one_sentence(workspace, name):
    found = workspace.run("pipeline.train", name, check=False)
    assert found.returncode == 1
    assert found.stderr == f"error: {name}: not a cell; it must read DATASET-MODEL-LOSS-STRATEGY-SEED.\n"


def lines(workspace: Miniature, cell: str) -> list[dict]:
    journal = workspace.root / ".cache" / "journal" / f"{cell}.jsonl"
    return [json.loads(line) for line in journal.read_text().splitlines()] if journal.is_file() else []


INTERRUPTED = """\
import os, signal, sys
from pathlib import Path
from pipeline.plumbing.errors import run_stage
from pipeline.plumbing.journal import Journal

def progress(journal, iteration, *_):
    if iteration == int(at):
        exec(what)

cell, at, what = sys.argv[1:]
Journal.progress = progress
sys.argv[1:] = [cell]
from pipeline import train
run_stage(train.main)
"""
KILL = "os.kill(os.getpid(), signal.SIGKILL)"


def interrupted(workspace: Miniature, cell: str, at: int, what: str) -> subprocess.CompletedProcess[str]:
    """Train a cell, and let something happen when an iteration is done; the first one leaves a checkpoint."""
    settings = {"OMP_NUM_THREADS": "1", "BENCHMARK_LIVE": "off", "BENCHMARK_CHECKPOINT": "0"}
    command = [sys.executable, "-c", INTERRUPTED, cell, str(at), what]
    return subprocess.run(command, cwd=workspace.root, env=os.environ | settings, capture_output=True, text=True)


def test_a_killed_training_goes_on_to_the_same_bits(workspace):
    """With everything that draws numbers: order, augmentation, pasted objects, dropout; and workers of their own."""
    cell, late = "digits-unet_tiny-boundary-late-0", {"kind": "chain", "of": ["oversample", "copy_paste"]}
    strategy = {"late": {"kind": "two_phase", "first": "none", "then": late, "last": 0.5}, "none": {}}
    workspace.edit_params(axes__loss={"boundary": {}, "cross_entropy": {}}, axes__strategy=strategy)
    workspace.edit_params(fit__iterations=60, fit__validations=6, fit__dropout=0.3, fit__augmentation="strong")
    workspace.run("pipeline.check")
    workspace.run("pipeline.tune", "digits-unet_tiny-boundary")
    workspace.run("pipeline.train", cell)
    whole = files_of(workspace, cell)
    shutil.rmtree(workspace.root / "models" / cell)
    shutil.rmtree(workspace.root / ".cache" / "checkpoints")
    for at in (25, 40):
        assert interrupted(workspace, cell, at, KILL).returncode == -signal.SIGKILL
    assert not (workspace.root / "models" / cell).exists()
    workspace.run("pipeline.train", cell)
    assert files_of(workspace, cell) == whole
    first, last = json.loads((workspace.root / "models" / cell / "provenance.json").read_text())["resumed_at"]
    assert 0 < first < last < 40
    assert [line["step"] for line in lines(workspace, cell) if line["kind"] == "point"] == [10, 20, 30, 40, 50, 60]


def test_code_edited_while_a_training_runs_is_refused_before_its_outputs_are_written(workspace):
    """Nor are they kept to be put back; cells that the code does not concern are trained."""
    cell, other = "digits-unet_tiny-dice-none-0", "digits-unet_tiny-cross_entropy-none-0"
    workspace.edit_params(fit__iterations=60)
    workspace.run("pipeline.check")
    workspace.run("pipeline.tune", "digits-unet_tiny-dice")
    before = files_of(workspace, cell)
    edit = "file = Path('pipeline/losses/dice.py'); file.write_text(file.read_text().replace('1 - dice if', '2 - dice if'))"
    found = interrupted(workspace, cell, 30, edit)
    assert found.returncode == 1
    refusal = "error: the code of pipeline/losses/dice.py has changed since `check` made"
    assert found.stderr.splitlines()[-1].startswith(refusal)
    assert files_of(workspace, cell) == before
    assert not list((workspace.root / ".cache" / "checkpoints").glob(f"{cell}-*/finished"))
    assert "validation mIoU" in workspace.run("pipeline.train", other).stdout


@pytest.mark.parametrize("array", ["train_images", "train_masks", "train_class_pixels", "val_images"])
def test_a_cut_array_is_one_sentence(workspace, array):
    """DVC would have noticed; by hand nobody has looked."""
    file = Path("data/prepared/digits") / f"{array}.npy"
    content = (workspace.root / file).read_bytes()
    (workspace.root / file).unlink()  # which may be a link to DVC's cache
    (workspace.root / file).write_bytes(content[: len(content) // 2])
    found = workspace.run("pipeline.train", "digits-unet_tiny-dice-none-0", check=False)
    (line,) = found.stderr.splitlines()
    assert found.returncode == 1
    assert line.startswith(f"error: {file}: cut or damaged (")


def test_what_dvc_had_not_recorded_is_put_back(workspace):
    """A training that ended before DVC was killed is not trained again; for changed parameters it is."""
    cell = "digits-unet_tiny-dice-none-0"
    before = files_of(workspace, cell)
    workspace.run("pipeline.train", cell)
    shutil.rmtree(workspace.root / "models" / cell)
    assert workspace.run("pipeline.train", cell).stdout == f"{cell}: was trained before; its outputs are put back.\n"
    assert files_of(workspace, cell) == before
    workspace.edit_params(fit__lr=0.02)
    workspace.run("pipeline.check")
    workspace.run("pipeline.tune", "digits-unet_tiny-dice")
    assert "validation mIoU" in workspace.run("pipeline.train", cell).stdout
    assert files_of(workspace, cell) != before
