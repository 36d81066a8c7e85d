"""How a stage ends on a mistake, what is proposed for a word that is not known, and how long lists end."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.plumbing.errors import Mistakes, UserError, did_you_mean, disk_fault, listed, run_stage

ROOT = Path(__file__).parents[2]


def raising(error: BaseException):
    def stage() -> None:
        raise error

    return stage


@pytest.mark.parametrize(
    ("word", "tail"),
    [
        ("dcie", "Did you mean 'dice'? Known: dice, focal, tversky."),
        ("Focal", "Did you mean 'focal'? Known: dice, focal, tversky."),
        ("dice", "Did you mean 'dice'? Known: dice, focal, tversky."),
        ("xyz", "Known: dice, focal, tversky."),
        ("", "Known: dice, focal, tversky."),
    ],
)
def test_the_nearest_known_word_is_proposed(word, tail):
    """And nothing where nothing is near."""
    assert did_you_mean(word, ["tversky", "focal", "dice"]) == tail


def test_what_is_shown_may_be_less_than_what_is_known():
    """A thousand encoders are searched, not printed."""
    assert (
        did_you_mean("tu-resnt", ["tu-resnet", "vgg"], ["vgg", "tu-..."])
        == "Did you mean 'tu-resnet'? Known: tu-..., vgg."
    )


def test_long_lists_end_with_the_number_left_out():
    assert listed(["a", "b"], 3) == "a, b"
    assert listed("abcde", 3) == "a, b, c, and 2 more"
    assert listed(range(60), most=2) == "0, 1, and 58 more"
    assert listed([1, 2, 3], most=2, separator="\n") == "1\n2\nand 1 more"


def test_mistakes_are_gathered_each_once_and_told_together():
    """What is right is returned; nothing is raised where nothing was wrong."""
    mistakes = Mistakes()
    mistakes.raise_noted()
    assert mistakes.attempt(int, "3") == 3
    for sentence in ("first", "second\nthird", "first"):
        assert mistakes.attempt(raising(UserError(sentence))) is None
    mistakes.note("fourth")
    with pytest.raises(UserError, match=r"\Afirst\nsecond\nthird\nfourth\Z"):
        mistakes.raise_noted()


def test_a_defect_is_not_gathered():
    with pytest.raises(ZeroDivisionError):
        Mistakes().attempt(raising(ZeroDivisionError()))


def test_a_mistake_of_the_user_is_one_line_and_exit_code_1(capsys):
    """No traceback: it would bury the sentence."""
    with pytest.raises(SystemExit) as ended:
        run_stage(raising(UserError("params.yaml: fit.lr: 0 should be greater than 0.")))
    assert ended.value.code == 1
    assert capsys.readouterr() == ("", "error: params.yaml: fit.lr: 0 should be greater than 0.\n")


ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.mark.parametrize(
    ("terminal", "shown"),
    [
        (ASCII, "mIoU 0.5 ? 0.1 ? ?t? ??"),
        ({"PYTHONIOENCODING": "ascii"}, "mIoU 0.5 ? 0.1 ? ?t? ??"),
        ({"PYTHONIOENCODING": "latin-1:strict"}, "mIoU 0.5 ± 0.1 ? été ??"),
        ({"PYTHONIOENCODING": "utf-8"}, "mIoU 0.5 ± 0.1 – été →?"),
    ],
)
def test_what_a_terminal_cannot_show_is_a_question_mark(terminal, shown):
    """On stdout, also a byte in a file name that is no letter. The error that ends it is shown with escapes."""
    text, reason = "mIoU 0.5 ± 0.1 – été →\udce9", "a → b"
    stage = f"def stage():\n print({text!a}); raise UserError({reason!a})"
    code = f"from pipeline.plumbing.errors import *\n{stage}\nrun_stage(stage)"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env={**os.environ, **terminal}, capture_output=True)
    encoding = terminal.get("PYTHONIOENCODING", "ascii").partition(":")[0]
    assert found.stdout.decode(encoding) == shown + "\n"
    assert found.stderr.decode(encoding) == f"error: a {'→' if encoding == 'utf-8' else chr(92) + 'u2192'} b\n"


def test_a_stage_without_a_place_to_print_to_is_run():
    code = "from pipeline.plumbing.errors import run_stage; run_stage(lambda: print('nothing'))"
    command = ["sh", "-c", 'exec "$@" >&-', "sh", sys.executable, "-c", code]
    assert subprocess.run(command, cwd=ROOT).returncode == 0


def test_a_full_disk_is_one_line_with_the_path_and_what_to_do(capsys):
    """It is the user's to mend as well."""
    with pytest.raises(SystemExit) as ended:
        run_stage(raising(OSError(errno.ENOSPC, "No space left on device", "models/cell")))
    assert ended.value.code == 1
    assert capsys.readouterr().err == (
        "error: models/cell: the disk is full. Make room, as `make clean` does, then run the same again: what was "
        "finished is kept.\n"
    )


def test_names_of_files_cannot_rule_the_terminal(capsys):
    """A file called by a stranger may stand in any message, which may have several lines."""
    with pytest.raises(SystemExit):
        run_stage(raising(UserError("raw: 2 samples cannot be used:\n\x1b[2Ja\x07.png\n\u202egpj.b ü")))
    expected = "error: raw: 2 samples cannot be used:\n\\x1b[2Ja\\x07.png\n\\u202egpj.b ü\n"
    assert capsys.readouterr().err == expected


def test_a_full_disk_is_known_by_what_an_error_came_from():
    """A library may raise an error of its own while it closes the file."""
    with pytest.raises(RuntimeError) as raised:
        try:
            raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))
        finally:
            raise RuntimeError("closing failed")
    assert disk_fault(raised.value) == errno.ENOSPC
    assert disk_fault(RuntimeError("closing failed")) is None
    assert disk_fault(OSError(errno.EACCES, os.strerror(errno.EACCES))) is None


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (errno.EROFS, "this file system is read-only. Mount it for writing, or work in a copy elsewhere."),
        (errno.EACCES, "permission denied. Give yourself the right to read and write there, then run the same again"),
        (errno.EFBIG, "larger than a file may be here. Raise the limit, as `ulimit -f unlimited` does, then run"),
    ],
)
def test_what_a_disk_refuses_is_one_line_with_the_path_and_the_cure(capsys, number, sentence):
    with pytest.raises(SystemExit) as ended:
        run_stage(raising(OSError(number, os.strerror(number), "models/cell")))
    assert ended.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: models/cell: {sentence}")


@pytest.mark.parametrize("take", [bytearray, np.empty, torch.empty], ids=["Python", "NumPy", "PyTorch"])
def test_a_lack_of_memory_is_one_line_whoever_asked_for_it(capsys, take):
    """A quadrillion bytes, which no machine has."""
    with pytest.raises(SystemExit) as ended:
        run_stage(lambda: take(10**15))
    assert ended.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: out of memory. Run fewer cells at a time (`-j 1`) or make fit.batch_size smaller, ")


@pytest.mark.parametrize("error", [NotADirectoryError(errno.ENOTDIR, "Not a directory", "models"), OSError("odd")])
def test_another_error_of_the_system_keeps_its_traceback(error):
    with pytest.raises(type(error)):
        run_stage(raising(error))


def test_an_interrupt_is_one_word_and_exit_code_130(capsys):
    """As a shell reports it."""
    with pytest.raises(SystemExit) as ended:
        run_stage(raising(KeyboardInterrupt()))
    assert ended.value.code == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_a_defect_of_the_code_keeps_its_traceback():
    """It is not the user's to mend."""
    with pytest.raises(ZeroDivisionError):
        run_stage(raising(ZeroDivisionError()))


def test_a_stage_that_succeeds_just_returns():
    """Exit code 0."""
    run_stage(lambda: None)
