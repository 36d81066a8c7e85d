"""Many cells at once, through DVC itself."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest
from ruamel.yaml import YAML

from pipeline.measure.metrics.table import METRICS
from tests.miniature import Miniature, interruptible
from tests.running.conftest import LONG, wait_until

pytestmark = pytest.mark.xdist_group("miniature b")


@pytest.fixture(scope="module")
def parallel(tmp_path_factory) -> tuple[Miniature, str]:
    """The smoke preset with a repeat of the control, and what the command said."""
    made = Miniature.create(tmp_path_factory.mktemp("parallel") / "work")
    made.edit_params(report__noise_floor=[1])
    return made, made.run("pipeline.run", "-j", "2").stdout


def test_it_ends_with_the_leaderboard_and_how_to_open_the_runs(parallel):
    workspace, said = parallel
    assert re.findall(r"\[(\d/\d)\] (?:train|repeat)@", said) == [f"{done}/5" for done in range(1, 6)]
    assert said.count("] repeat@digits-unet_tiny-cross_entropy-none-1 ") == 1
    assert said.rstrip().endswith(
        "Report: results/report/index.html. Every run: `make ui`, then http://127.0.0.1:5000."
    )
    assert len(pd.read_csv(workspace.root / "results" / "leaderboard.csv")) == 4


def test_a_plain_repro_then_has_nothing_to_do(parallel):
    workspace, _ = parallel
    assert workspace.status() == set()
    assert "Data and pipelines are up to date." in workspace.dvc("repro").stdout


def test_it_gives_the_results_of_one_cell_after_another(parallel, finished):
    """All but what it cost."""
    workspace, _ = parallel
    cost = [
        f"{name}{end}" for name in METRICS if METRICS[name].family == "cost" for end in ("", "_std", "_low", "_high")
    ]
    for name in ("leaderboard", "cells", "tables/per_class"):
        ours, theirs = (pd.read_csv(each.root / "results" / f"{name}.csv") for each in (workspace, finished))
        ours = ours[ours["seed"] == 0] if "seed" in ours else ours  # without the repeat
        pd.testing.assert_frame_equal(*(each.drop(columns=cost, errors="ignore") for each in (ours, theirs)))


def test_it_records_what_one_cell_after_another_records(parallel, finished):
    """Commands, what they depend on and where their outputs are; a model's directory also says when it was trained."""
    ours, theirs = (recorded(each) for each, _ in (parallel, (finished, None)))
    same = [name for name in theirs if name.startswith(("download", "prepare", "tune", "train"))]
    assert len(same) == 1 + 1 + 2 + 4
    for name in same:
        if name.startswith("train"):
            for entry in (ours[name], theirs[name]):
                entry["outs"] = [out["path"] for out in entry["outs"]]
        assert ours[name] == theirs[name]


def test_what_is_in_the_cache_is_restored_to_the_same_lock(workspace, finished):
    """All searches and cells at once, and none of them trained. Their entries come in the order in which they end."""
    ours, theirs = workspace.root / "dvc.lock", finished.root / "dvc.lock"
    entries = re.split(r"(?m)^(?=  \S)", theirs.read_text())
    ours.write_text("".join(each for each in entries if not each.startswith(("  tune", "  train"))))
    for outputs in ("data/tuned", "models"):
        shutil.rmtree(workspace.root / outputs)
    said = workspace.run("pipeline.run", "-j", "3").stdout
    assert said.count("  restored\n") == 2 + 4
    assert sorted(re.split(r"(?m)^(?=  \S)", ours.read_text())) == sorted(entries)


def recorded(workspace: Miniature) -> dict[str, Any]:
    """The entries of dvc.lock."""
    return YAML(typ="safe").load(workspace.root / "dvc.lock")["stages"]


def test_one_failed_cell_stops_no_other_and_is_named(workspace):
    """A loss that raises is a defect, not a divergence."""
    loss = (workspace.root / "pipeline" / "losses" / "l1.py").read_text()
    broken = loss.replace(
        "        return batch.", '        raise RuntimeError("broken on purpose")\n        return batch.'
    )
    (workspace.root / "pipeline" / "losses" / "broken.py").write_text(broken)
    losses = {"broken": {}, "cross_entropy": {}, "dice": {}, "l1": {}}
    workspace.edit_params(axes__loss=losses, axes__strategy={"none": {}})
    found = workspace.run("pipeline.run", "-j", "2", check=False)
    assert found.returncode == 1
    assert "error: 1 of 2 cells failed, the others are in the report; the reason stands in .cache/logs/" in found.stderr
    assert "broken on purpose" in next((workspace.root / ".cache" / "logs").glob("*broken-*")).read_text()
    board = pd.read_csv(workspace.root / "results" / "leaderboard.csv").set_index(["loss", "strategy"])["n"]
    assert (board["l1", "none"], board["broken", "none"]) == (1, 0)


def started(workspace: Miniature, *options: str, begun: Callable[[], Any] | None = None) -> subprocess.Popen:
    """The command, once it has begun a first cell, or something else."""
    begun = begun or partial(logs, workspace)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline.run", *options],
        cwd=workspace.root,
        env={**os.environ, "PATH": path},
        start_new_session=True,
        preexec_fn=interruptible,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_until(lambda: begun() or process.poll() is not None)
    assert process.poll() is None
    return process


def logs(workspace: Miniature) -> list[Path]:
    """Of cells, not of searches."""
    return list((workspace.root / ".cache").glob("logs/*-*-*-*-*.log"))


def processes(workspace: Miniature) -> list[str]:
    """The commands of all that work in the workspace."""
    found = []
    for each in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            found += [" ".join(each.cmdline())] if each.cwd() == str(workspace.root) else []
    return found


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_what_runs_and_starts_no_other_cell(number, code, workspace):
    workspace.edit_params(axes__seed=list(range(10)))
    process = started(workspace, "-j", "2")
    os.kill(process.pid, number)
    assert process.wait(LONG) == code
    assert len(logs(workspace)) <= 2
    assert processes(workspace) == []


def test_while_one_runs_another_is_refused_and_the_first_goes_on(workspace):
    """From its very start, when it makes the plan anew; also one that would only say what there is to do."""
    workspace.edit_params(axes__seed=list(range(10)))
    lock = workspace.root / ".cache" / "run.lock"
    process = started(workspace, "-j", "1", begun=lambda: lock.is_file() and lock.read_text())
    for options in ([], ["--dry"]):
        found = workspace.run("pipeline.run", *options, check=False)
        assert (found.returncode, found.stdout) == (1, "")
        assert re.fullmatch(
            rf"error: process {process.pid} is at work here: \S+ -m pipeline\.run -j 1, on \S+\. "
            r"Wait for it to end, or end it\.\n",
            found.stderr,
        )
    wait_until(lambda: logs(workspace) or process.poll() is not None)
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(LONG) == 130


def test_while_dvc_runs_a_stage_it_is_refused(workspace):
    """A plain `dvc repro`, for which this process stands, as DVC writes it down."""
    entry = {"pid": os.getpid(), "cmd": "dvc repro"}
    (workspace.root / ".dvc" / "tmp" / "rwlock").write_text(json.dumps({"write": {"models/a": entry}, "read": {}}))
    found = workspace.run("pipeline.run", check=False)
    sentence = f"error: process {os.getpid()} is at work here: dvc repro. Wait for it to end, or end it.\n"
    assert (found.returncode, found.stdout, found.stderr) == (1, "", sentence)


@pytest.mark.slow  # tests/running has it with stages that take no time
def test_after_a_kill_nothing_is_left_and_the_next_run_goes_on_even_on_a_cluster(workspace):
    """Not even a request to end reaches the processes. The cluster is of the kind that starts its jobs here, two."""
    workspace.edit_params(axes__seed=[0, 1], axes__strategy={"none": {}})
    process = started(workspace, "-j", "2")
    process.kill()
    process.wait()
    wait_until(lambda: not processes(workspace))

    options = "scheduler_options: {dashboard_address: ':0', host: 127.0.0.1}"
    (workspace.root / "cluster.yaml").write_text(f"kind: local\njobs: 2\ncores: 1\nmemory: 1GB\n{options}\n")
    said = workspace.run("pipeline.run", "--cluster", "cluster.yaml").stdout
    assert sorted(re.findall(r"\] (train@\S+)  \d+ s", said)) == [
        f"train@digits-unet_tiny-{loss}-none-1" for loss in ("cross_entropy", "dice")
    ]
    assert workspace.status() == set()
    assert processes(workspace) == []


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("-j 0", "--jobs 0: must be 1 or more."),
        ("-j 2 --gpus 0,1", "--jobs and --gpus say two places where cells should run; choose one."),
        ("--scheduler tcp://127.0.0.1:9 --per-gpu 2", "--per-gpu: needs --gpus, as in `--gpus 0,1 --per-gpu 3`."),
        ("--scheduler tcp://127.0.0.1:9", "--scheduler tcp://127.0.0.1:9: no scheduler answers ("),
        ("--cluster none.yaml", "none.yaml: cannot be read: No such file or directory."),
        ("--gpus 99", "--gpus 99: CUDA finds no GPU 99 here. "),
        ("--gpus 99 --dry", "--gpus 99: CUDA finds no GPU 99 here. "),
        ("--pull", "--pull: there is no default DVC remote, through which machines could exchange results."),
    ],
)
def test_what_makes_no_sense_is_one_sentence_before_anything_runs(finished, options, sentence):
    found = finished.run("pipeline.run", *options.split(), check=False)
    assert (found.returncode, found.stdout) == (1, "")
    assert found.stderr.startswith(f"error: {sentence}")
    assert found.stderr.count("\n") == 1


@pytest.mark.slow  # what is in it is tested with stages that take no time, in tests/running
def test_workers_in_a_clone_of_their_own_send_cells_through_a_remote(workspace, tmp_path):
    """The clone has no more than code and params; the cell, and what comes before it, reach it through the remote."""
    workspace.dvc("remote", "add", "--default", "--quiet", "shared", str(tmp_path / "remote"))
    workspace.edit_params(axes__seed=[0, 1], axes__strategy={"none": {}}, axes__loss={"dice": {}, "cross_entropy": {}})
    other = tmp_path / "other"
    shutil.copytree(
        workspace.root, other, ignore=shutil.ignore_patterns("models", "data", "results", "cache", "*.lock")
    )
    options = ("--no-dashboard", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(tmp_path / "scheduler"))
    with (
        subprocess.Popen([sys.executable, "-m", "distributed.cli.dask_scheduler", *options]) as scheduler,
        subprocess.Popen(
            [sys.executable, "-m", "distributed.cli.dask_worker", "--scheduler-file", str(tmp_path / "scheduler")],
            cwd=other,
        ) as worker,
    ):
        wait_until((tmp_path / "scheduler").is_file)
        address = json.loads((tmp_path / "scheduler").read_text())["address"]
        said = workspace.run("pipeline.run", "--scheduler", address, "--pull").stdout
        for process in (worker, scheduler):
            process.terminate()
    assert re.search(r"\[2/2\] train@digits-unet_tiny-\w+-none-1  \d+ s", said)
    assert said.count("is cached - skipping run, checking out outputs") == 2
    assert workspace.status() == set()
    for loss in ("dice", "cross_entropy"):
        place = f"models/digits-unet_tiny-{loss}-none-1/provenance.json"
        assert (workspace.root / place).read_bytes() == (other / place).read_bytes()


def test_a_changed_file_of_a_folder_dataset_is_noticed(tmp_path):
    """It lies outside what DVC watches."""
    import numpy as np
    from PIL import Image

    workspace = Miniature.create(tmp_path / "work")
    for index in range(12):
        mask = np.zeros((32, 32), np.uint8)
        mask[: 4 + index, :9] = 1
        for kind, pixels in (("images", np.stack([mask * 200] * 3, axis=-1)), ("masks", mask)):
            (tmp_path / kind).mkdir(exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / kind / f"{index:02}.png")
    mine = {
        "kind": "folder",
        "images": "../images",
        "masks": "../masks",
        "classes": ["no, none", "yes (some)"],
        "image_size": 32,
    }
    workspace.edit_params(axes__dataset={"mine": mine}, axes__loss={"cross_entropy": {}}, axes__strategy={"none": {}})
    workspace.dvc("repro", "train")
    assert not [stage for stage in workspace.status() if stage.startswith("train@")]

    Image.fromarray(np.full((32, 32, 3), 90, np.uint8)).save(tmp_path / "images" / "03.png")
    said = workspace.run("pipeline.run", "--dry").stdout
    assert re.search(r"train +mine × unet_tiny × cross_entropy +1 cell$", said, re.M)
    said = workspace.run("pipeline.run", "-j", "1").stdout
    assert "[1/1] train@mine-unet_tiny-cross_entropy-none-0" in said
    assert workspace.status() == set()
