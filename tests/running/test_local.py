"""Slots on this machine: what each gives its stages, and how a crew ends."""

from importlib.metadata import version
from pathlib import Path

import pytest

from pipeline.plumbing.errors import UserError
from pipeline.running import local
from pipeline.running.local import local_crew, slots
from tests.running.conftest import wait_until


@pytest.fixture
def machine(monkeypatch):
    """One with 16 cores."""
    monkeypatch.setattr(local, "cores", lambda: 16)
    monkeypatch.delenv("BENCHMARK_DEVICE", raising=False)


def test_jobs_share_the_cores(machine):
    assert slots(jobs=3) == [{"OMP_NUM_THREADS": "5"}] * 3
    assert slots(jobs=40) == [{"OMP_NUM_THREADS": "1"}] * 40


@pytest.fixture
def gpus(machine, monkeypatch):
    """It has whatever GPU is asked for."""
    monkeypatch.setattr(local, "_check_gpus", lambda *_: None)


def on(name: str, threads: int) -> dict[str, str]:
    """Trains there or fails."""
    return {"CUDA_VISIBLE_DEVICES": name, "BENCHMARK_DEVICE": "cuda", "OMP_NUM_THREADS": str(threads)}


@pytest.mark.parametrize("device", [None, "", "cuda"])
def test_gpus_are_taken_in_turn_and_share_the_cores(gpus, monkeypatch, device):
    """So the first two of many cells are on different GPUs."""
    if device is not None:
        monkeypatch.setenv("BENCHMARK_DEVICE", device)
    assert slots(gpus="0,GPU-8f1c") == [on("0", 2), on("GPU-8f1c", 2)] * 3
    assert slots(gpus="2", per_gpu=1) == [on("2", 16)]


@pytest.mark.skipif(Path("/dev/nvidiactl").exists(), reason="a GPU is here")
@pytest.mark.parametrize(
    ("names", "first"), [("0", "0"), ("7,0", "7"), (" 1 ", "1"), ("MIG-8f1c", "MIG-8f1c"), ("gpu0", "gpu0")]
)
def test_a_gpu_that_is_not_there_is_one_sentence(machine, names, first):
    with pytest.raises(UserError) as error:
        slots(gpus=names)
    assert str(error.value) == (
        f"--gpus {names}: CUDA finds no GPU {first} here. `nvidia-smi -L` lists what there is; without --gpus cells are "
        "trained on a GPU if there is one, else on the CPU."
    )


@pytest.mark.skipif(not version("torch").endswith("+cpu"), reason="this torch can use a GPU")
def test_a_torch_that_cannot_use_a_gpu_is_one_sentence(machine, monkeypatch):
    monkeypatch.setattr(local, "is_gpu", lambda name: True)
    with pytest.raises(UserError) as error:
        slots(gpus="0")
    assert str(error.value) == (
        f"--gpus 0: torch {version('torch')} is built for the CPU alone. Install a build for CUDA, or leave --gpus out."
    )


def test_without_options_every_core_has_a_job(machine, monkeypatch):
    monkeypatch.setattr(Path, "exists", lambda path: False)
    assert slots() == [{"OMP_NUM_THREADS": "1"}] * 16


def test_without_options_a_gpu_has_three(machine, monkeypatch):
    monkeypatch.setattr(Path, "exists", lambda path: str(path) == "/dev/nvidia0")
    assert slots() == [{"OMP_NUM_THREADS": "5"}] * 3
    monkeypatch.setenv("BENCHMARK_DEVICE", "cpu")
    assert len(slots()) == 16


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"jobs": 0}, "--jobs 0: must be 1 or more."),
        ({"per_gpu": 2}, "--per-gpu: needs --gpus, as in `--gpus 0,1 --per-gpu 3`."),
        ({"gpus": "0,,1"}, "--gpus 0,,1: must name different GPUs with commas between, as in `--gpus 0,1`."),
        ({"gpus": "1, 1"}, "--gpus 1, 1: must name different GPUs with commas between, as in `--gpus 0,1`."),
        ({"gpus": "0", "per_gpu": 0}, "--per-gpu 0: must be 1 or more."),
    ],
)
def test_options_that_make_no_sense_are_one_sentence(machine, options, sentence):
    with pytest.raises(UserError) as error:
        slots(**options)
    assert str(error.value) == sentence


def test_gpus_and_another_device_contradict_each_other(machine, monkeypatch):
    monkeypatch.setenv("BENCHMARK_DEVICE", "cuda:1")
    with pytest.raises(UserError, match=r"^--gpus 0: BENCHMARK_DEVICE=cuda:1 says otherwise; unset one of the two\.$"):
        slots(gpus="0")


def test_a_stage_gets_what_its_slot_gives(shells, gpus):
    places = slots(gpus="5,7", per_gpu=1)
    with local_crew(places, pull=False, extra={"BENCHMARK_LIVE": "driver"}) as crew:
        results = [crew.submit(f"train@{cell}") for cell in ("one", "two", "three")]
        assert [result.result().code for result in results] == [0, 0, 0]
    found = [Path(f"models/{cell}/environment").read_text().splitlines() for cell in ("one", "two", "three")]
    assert {line for each in found for line in each if line.startswith("CUDA")} == {
        "CUDA_VISIBLE_DEVICES=5",
        "CUDA_VISIBLE_DEVICES=7",
    }
    for each in found:
        assert {"OMP_NUM_THREADS=8", "BENCHMARK_DEVICE=cuda", "BENCHMARK_LIVE=driver"} <= set(each)
    assert [stage for stage, line in crew.told() if line["kind"] == "begin"][2] == "train@three"


def test_an_exception_ends_what_runs_and_starts_nothing_more(shells):
    with pytest.raises(KeyboardInterrupt), local_crew(slots(jobs=1), pull=False, extra={}) as crew:
        futures = [crew.submit(f"train@{cell}") for cell in ("slow", "one")]
        wait_until(lambda: any(each.name() == "sleep" for each in shells.processes()))
        raise KeyboardInterrupt
    assert futures[0].result().code != 0
    assert futures[1].cancelled()
    assert not shells.processes()
