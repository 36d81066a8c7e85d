"""What is kept of trainings until DVC has recorded them."""

import shutil

import pytest

from pipeline.plumbing.checkpoints import checkpoint_directory, forget, keep_finished, restore_finished


@pytest.fixture(autouse=True)
def workspace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outputs = tmp_path / "models" / "a-b-c-d-0"
    (outputs / "model").mkdir(parents=True)
    (outputs / "cell.json").write_text("{}")
    (outputs / "model" / "weights").write_bytes(b"1234")
    return outputs


def test_a_changed_parameter_has_another_place():
    places = {checkpoint_directory("a-b-c-d-0", content) for content in (["x", 1], ["x", 2], ["x", 1])}
    assert len(places) == 2


def test_kept_outputs_come_back_and_take_no_room(workspace):
    directory = checkpoint_directory("a-b-c-d-0", "x")
    keep_finished(directory, workspace)
    assert (workspace / "cell.json").stat().st_nlink == 2
    before = {file.relative_to(workspace): file.read_bytes() for file in workspace.rglob("*") if file.is_file()}
    for file in before:
        (workspace / file).unlink()
    assert restore_finished(directory, workspace)
    assert {file.relative_to(workspace): file.read_bytes() for file in workspace.rglob("*") if file.is_file()} == before


DAMAGES = {
    "a flipped bit": lambda kept: (kept / "model" / "weights").write_bytes(b"1235"),
    "cut": lambda kept: (kept / "model" / "weights").write_bytes(b"12"),
    "a file gone": lambda kept: (kept / "cell.json").unlink(),
    "no digests": lambda kept: (kept / "digests.json").unlink(),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damaged_outputs_are_not_put_back(workspace, capsys, damage):
    directory = checkpoint_directory("a-b-c-d-0", "x")
    keep_finished(directory, workspace)
    shutil.rmtree(workspace)
    damage(directory / "finished")
    assert not restore_finished(directory, workspace)
    assert not workspace.exists()
    warning = f"warning: {directory}/finished: damaged or edited; training starts anew.\n"
    assert capsys.readouterr().err == warning


def test_an_edit_of_an_output_is_not_taken_for_what_was_kept(workspace):
    """Both are one file under two names."""
    directory = checkpoint_directory("a-b-c-d-0", "x")
    keep_finished(directory, workspace)
    (workspace / "cell.json").write_text('{"edited": true}')
    assert not restore_finished(directory, workspace)


def test_the_state_goes_when_the_outputs_are_kept(workspace):
    directory = checkpoint_directory("a-b-c-d-0", "x")
    directory.mkdir(parents=True)
    (directory / "state.pt").write_bytes(b"half way")
    keep_finished(directory, workspace)
    assert [path.name for path in directory.iterdir()] == ["finished"]


def test_an_unfinished_training_has_nothing_to_put_back(workspace):
    directory = checkpoint_directory("a-b-c-d-0", "x")
    directory.mkdir(parents=True)
    (directory / "state.pt").write_bytes(b"half way")
    assert not restore_finished(directory, workspace)


def test_forgetting_a_cell_takes_all_of_it_and_nothing_of_another(workspace):
    """Also of seed 0, where seed 00 or a longer name begins alike."""
    mine = [checkpoint_directory("a-b-c-d-0", depends) for depends in ("x", "y")]
    others = [checkpoint_directory(name, "x") for name in ("a-b-c-d-1", "a-b-c-d-0-lr_0.1", "a-b-c-d")]
    for directory in mine + others:
        directory.mkdir(parents=True)
    forget(["a-b-c-d-0"])
    assert [each.exists() for each in mine + others] == [False, False, True, True, True]
