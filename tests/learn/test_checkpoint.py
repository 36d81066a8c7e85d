"""A state that is whole or absent, written seldom enough."""

import io
import os
import zipfile

import pytest
import torch

from pipeline.learn.checkpoint import Checkpoint, UnusableState
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


def in_old_format() -> bytes:
    """As torch wrote before it wrote checksums."""
    file = io.BytesIO()
    torch.save(STATE, file, _use_new_zipfile_serialization=False)
    return file.getvalue()


def in_a_zip() -> bytes:
    """Whole, and no state."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.txt", "text")
    return file.getvalue()


@pytest.mark.parametrize(
    "content",
    [b"", b"\0" * 4096, b"cut", in_old_format(), in_a_zip()],
    ids=["empty", "zeros", "text", "old format", "another zip"],
)
def test_a_damaged_state_is_left_with_a_warning(tmp_path, capsys, content):
    (tmp_path / "state.pt").write_bytes(content)
    assert Checkpoint(tmp_path).read() is None
    (warning,) = capsys.readouterr().err.splitlines()
    assert warning.startswith(f"warning: {tmp_path}/state.pt: cannot be used (")
    assert warning.endswith("); training starts anew.")


def test_no_flipped_bit_is_taken_over(tmp_path, capsys):
    """Of every third byte of a state one bit: it is refused, or it changes nothing. Without the checksums, numbers change."""
    Checkpoint(tmp_path).write(STATE)
    content = (tmp_path / "state.pt").read_bytes()
    refused, taken = 0, []
    for place in range(0, len(content), 3):
        (tmp_path / "state.pt").write_bytes(
            content[:place] + bytes([content[place] ^ 1 << place % 8]) + content[place + 1 :]
        )
        found = Checkpoint(tmp_path).read()
        refused += found is None
        taken += [] if found is None else [found]
    assert refused > 0
    assert capsys.readouterr().err.count("training starts anew") == refused
    assert all(torch.equal(found.pop("kept")["weight"], STATE["kept"]["weight"]) for found in taken)
    assert all(found == {"done": 3, "history": [(1, 0.5)]} for found in taken)


def test_a_refused_state_is_read_no_more_and_replaced_by_the_next(tmp_path, capsys):
    checkpoint = Checkpoint(tmp_path)
    checkpoint.write(STATE)
    checkpoint.refuse(UnusableState("of another model"))
    assert checkpoint.read() is None
    assert capsys.readouterr().err == (
        f"warning: {tmp_path}/state.pt: cannot be used (of another model); training starts anew.\n"
    )
    checkpoint.write(STATE | {"done": 4})
    assert Checkpoint(tmp_path).read()["done"] == 4


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
