"""Laps that are summed by name."""

import time

import pytest
import torch

from pipeline.learn.stopwatch import Stopwatch

CPU = torch.device("cpu")


@pytest.fixture
def clock(monkeypatch):
    """One on which time passes where something sleeps, and nowhere else."""
    now = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    monkeypatch.setattr("time.sleep", lambda seconds: now.append(now.pop() + seconds))


def lapped(*laps: tuple[str, float]) -> Stopwatch:
    """A stopwatch that has slept for so many seconds in each lap."""
    watch = Stopwatch(CPU)
    for name, seconds in laps:
        time.sleep(seconds)
        watch.lap(name)
    return watch


def test_laps_of_one_name_are_summed(clock):
    found = lapped(("network", 0.02), ("loss", 0.01), ("network", 0.03)).seconds()
    assert found == {"network": pytest.approx(0.05), "loss": pytest.approx(0.01)}


def test_what_comes_after_the_last_lap_belongs_to_none(clock):
    watch = lapped(("network", 0.001))
    before = watch.seconds()
    time.sleep(0.01)
    assert watch.seconds() == before


def test_it_goes_on_from_an_earlier_one(clock):
    """As a training that was killed does; what was read before is not counted twice."""
    watch = Stopwatch(CPU, before={"network": 10.0, "loss": 1.0})
    time.sleep(0.001)
    watch.lap("network")
    first = watch.seconds()
    assert first == {"network": pytest.approx(10.001), "loss": 1}
    assert watch.seconds() == first


def test_a_name_without_a_lap_took_nothing(clock):
    assert lapped(("network", 0.0)).seconds()["loss"] == 0
    assert not Stopwatch(CPU).seconds()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_on_a_gpu_a_lap_has_the_work_that_was_queued_in_it():
    """Products of matrices come back at once, and the device is still at it when the lap is marked."""
    matrix = torch.rand(4096, 4096, device="cuda")
    matrix @ matrix
    torch.cuda.synchronize()
    watch, started = Stopwatch(matrix.device), time.perf_counter()
    for _ in range(50):
        matrix @ matrix
    watch.lap("work")
    queued = time.perf_counter() - started
    watch.lap("nothing")
    found = watch.seconds()
    assert found["work"] > queued
    assert found["nothing"] < found["work"] / 10
