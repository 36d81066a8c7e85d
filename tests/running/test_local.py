"""Slots on this machine: what each gives its stages, and how a crew ends."""

from pathlib import Path

import pytest

from pipeline.plumbing.errors import UserError
from pipeline.plumbing.machine import cores
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


def test_gpus_are_taken_in_turn_and_share_the_cores(machine):
    """So the first two of many cells are on different GPUs."""
    names = [{"CUDA_VISIBLE_DEVICES": name, "OMP_NUM_THREADS": "2"} for name in ("0", "GPU-8f1c")]
    assert slots(gpus="0,GPU-8f1c") == names * 3
    assert slots(gpus="2", per_gpu=1) == [{"CUDA_VISIBLE_DEVICES": "2", "OMP_NUM_THREADS": "16"}]


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


def test_a_stage_gets_what_its_slot_gives(shells):
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
        assert {f"OMP_NUM_THREADS={max(1, cores() // 2)}", "BENCHMARK_LIVE=driver"} <= set(each)
    assert [stage for stage, line in crew.told() if line["kind"] == "begin"][2] == "train@three"


def test_an_exception_ends_what_runs_and_starts_nothing_more(shells):
    with pytest.raises(KeyboardInterrupt), local_crew(slots(jobs=1), pull=False, extra={}) as crew:
        futures = [crew.submit(f"train@{cell}") for cell in ("slow", "one")]
        wait_until(lambda: any(each.name() == "sleep" for each in shells.processes()))
        raise KeyboardInterrupt
    assert futures[0].result().code != 0
    assert futures[1].cancelled()
    assert not shells.processes()
