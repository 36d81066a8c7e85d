"""Where to compute, as environment variables say."""

import pytest
import torch

from pipeline.learn.device import chosen_device, loader_workers
from pipeline.plumbing.errors import UserError


def test_the_device_is_the_one_that_is_named(monkeypatch):
    """Also on a machine that has a GPU."""
    monkeypatch.setenv("BENCHMARK_DEVICE", "cpu")
    assert chosen_device() == torch.device("cpu")


@pytest.mark.parametrize(("gpu", "chosen"), [(True, "cuda"), (False, "cpu")])
def test_by_default_it_is_the_first_gpu_where_there_is_one(monkeypatch, gpu, chosen):
    """An empty variable is none."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    monkeypatch.setattr(torch, "empty", lambda *_, **__: None)  # the machine of the test may have none
    for set_or_not in (
        lambda: monkeypatch.setenv("BENCHMARK_DEVICE", ""),
        lambda: monkeypatch.delenv("BENCHMARK_DEVICE"),
    ):
        set_or_not()
        assert chosen_device().type == chosen


@pytest.mark.parametrize("name", ["gpu", "cuda:99", "cpu:x", "nonsense", " "])
def test_a_device_that_is_not_there_is_one_sentence(monkeypatch, name):
    """Misspelt, or of another machine."""
    monkeypatch.setenv("BENCHMARK_DEVICE", name)
    with pytest.raises(UserError) as refused:
        chosen_device()
    assert str(refused.value).startswith(f"BENCHMARK_DEVICE={name}: not usable here (")
    assert str(refused.value).endswith("). Use cpu or cuda.")
    assert len(str(refused.value).splitlines()) == 1


def test_workers_are_none_on_the_cpu_and_a_few_for_a_gpu(monkeypatch):
    """On the CPU they would compete with training."""
    monkeypatch.delenv("BENCHMARK_WORKERS", raising=False)
    assert loader_workers(torch.device("cpu")) == 0
    assert loader_workers(torch.device("cuda")) == min(8, torch.get_num_threads())


@pytest.mark.parametrize("number", [0, 1, 16])
def test_workers_are_as_many_as_are_named(monkeypatch, number):
    """On any device."""
    monkeypatch.setenv("BENCHMARK_WORKERS", str(number))
    assert loader_workers(torch.device("cpu")) == loader_workers(torch.device("cuda")) == number


@pytest.mark.parametrize("name", ["", "-1", "1.5", "many", "0x2"])
def test_a_number_of_workers_that_is_none_is_one_sentence(monkeypatch, name):
    """What is allowed is said."""
    monkeypatch.setenv("BENCHMARK_WORKERS", name)
    with pytest.raises(UserError) as refused:
        loader_workers(torch.device("cpu"))
    assert str(refused.value) == f"BENCHMARK_WORKERS={name}: must be a number of processes, 0 or more."
