"""A state that is whole or absent, written seldom enough."""

import os

import pytest
import torch

from pipeline.learn.checkpoint import Checkpoint
from pipeline.plumbing.errors import UserError

STATE = {"done": 3, "kept": {"weight": torch.arange(4.0)}, "history": [(1, 0.5)]}


@pytest.fixture
def every_iteration(monkeypatch):
    monkeypatch.setenv("BENCHMARK_CHECKPOINT", "0")


def test_what_was_written_is_read(tmp_path):
    Checkpoint(tmp_path / "one").write(STATE)
    found = Checkpoint(tmp_path / "one").read()
    assert (found["done"], found["history"]) == (3, [(1, 0.5)])
    assert torch.equal(found["kept"]["weight"], torch.arange(4.0))
    assert os.listdir(tmp_path / "one") == ["state.pt"]


def test_nothing_written_is_nothing_read(tmp_path):
    assert Checkpoint(tmp_path / "one").read() is None


@pytest.mark.parametrize("content", [b"", b"\0" * 4096, b"cut"], ids=["empty", "zeros", "text"])
def test_a_damaged_state_is_left_with_a_warning(tmp_path, capsys, content):
    (tmp_path / "state.pt").write_bytes(content)
    assert Checkpoint(tmp_path).read() is None
    assert "training starts anew" in capsys.readouterr().err


def test_half_a_state_is_damaged(tmp_path, capsys):
    Checkpoint(tmp_path).write(STATE)
    whole = (tmp_path / "state.pt").read_bytes()
    (tmp_path / "state.pt").write_bytes(whole[: len(whole) // 2])
    assert Checkpoint(tmp_path).read() is None


def test_one_that_cannot_be_written_costs_one_warning(tmp_path, capsys):
    """A file stands where the directory should be."""
    (tmp_path / "taken").write_text("")
    checkpoint = Checkpoint(tmp_path / "taken")
    checkpoint.write(STATE)
    checkpoint.write(STATE)
    assert capsys.readouterr().err.count("warning: ") == 1


@pytest.mark.usefixtures("every_iteration")
def test_writing_takes_at_most_a_fiftieth_of_the_time(tmp_path, monkeypatch):
    """Whatever the interval: after a write of 2 seconds, 98 pass until the next."""
    clock = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    monkeypatch.setattr("os.fsync", lambda _: clock.__setitem__(0, clock[0] + 2))
    checkpoint = Checkpoint(tmp_path)
    assert checkpoint.due()
    checkpoint.write(STATE)
    clock[0] += 97
    assert not checkpoint.due()
    clock[0] += 3
    assert checkpoint.due()


def test_the_first_is_due_after_the_interval(tmp_path, monkeypatch):
    clock = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    monkeypatch.setenv("BENCHMARK_CHECKPOINT", "7.5")
    checkpoint = Checkpoint(tmp_path)
    clock[0] += 7
    assert not checkpoint.due()
    clock[0] += 1
    assert checkpoint.due()


@pytest.mark.parametrize("text", ["often", "-1", "nan"])
def test_an_interval_that_is_none_is_one_sentence(tmp_path, monkeypatch, text):
    monkeypatch.setenv("BENCHMARK_CHECKPOINT", text)
    with pytest.raises(UserError, match=f"BENCHMARK_CHECKPOINT={text}: must be a number of seconds"):
        Checkpoint(tmp_path)
