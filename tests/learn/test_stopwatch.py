"""Laps that are summed by name."""

import time

import pytest
import torch

from pipeline.learn.stopwatch import Stopwatch

CPU = torch.device("cpu")


def lapped(*laps: tuple[str, float]) -> Stopwatch:
    """A stopwatch that has slept for so many seconds in each lap."""
    watch = Stopwatch(CPU)
    for name, seconds in laps:
        time.sleep(seconds)
        watch.lap(name)
    return watch


def test_laps_of_one_name_are_summed():
    found = lapped(("network", 0.02), ("loss", 0.01), ("network", 0.03)).seconds()
    assert set(found) == {"network", "loss"}
    assert found["network"] >= 0.05
    assert found["loss"] >= 0.01


def test_no_time_is_lost_between_laps():
    started = time.perf_counter()
    found = lapped(*[("one", 0.001), ("other", 0.001)] * 10).seconds()
    assert 0.02 <= found.total() <= time.perf_counter() - started


def test_what_comes_after_the_last_lap_belongs_to_none():
    watch = lapped(("network", 0.001))
    before = watch.seconds()
    time.sleep(0.01)
    assert watch.seconds() == before


def test_it_goes_on_from_an_earlier_one():
    """As a training that was killed does; what was read before is not counted twice."""
    watch = Stopwatch(CPU, before={"network": 10.0, "loss": 1.0})
    time.sleep(0.001)
    watch.lap("network")
    first = watch.seconds()
    assert 10 < first["network"] < 11
    assert first["loss"] == 1
    assert watch.seconds() == first


def test_a_name_without_a_lap_took_nothing():
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
