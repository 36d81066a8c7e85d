"""Files are whole or absent."""

import errno
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from safetensors import SafetensorError

from pipeline.plumbing.errors import UserError
from pipeline.plumbing.files import (
    check_writable,
    digest,
    file_digest,
    read_json,
    whole,
    write_csv,
    write_json,
    write_text,
)

ROOT = Path(__file__).parents[2]


class Crash(Exception):
    pass


def content(root: Path) -> dict[str, str]:
    """Every file below a directory, hidden ones too."""
    return {str(path.relative_to(root)): path.read_text() for path in root.rglob("*") if path.is_file()}


def write_file(part: Path, text: str) -> None:
    part.write_text(text)


def write_directory(part: Path, text: str) -> None:
    (part / "inner").mkdir(parents=True)
    (part / "inner" / text).write_text(text)


@pytest.fixture(params=[write_file, write_directory], ids=["file", "directory"])
def write(request):
    """Writes a text as a file, or as a directory that holds a file of that name."""
    return request.param


def test_success_replaces_the_old_by_the_new(tmp_path, write):
    """All of it: nothing of the old directory stays beside the new files."""
    for text in ("old", "new"):
        with whole(tmp_path / "result") as part:
            write(part, text)
    assert list(content(tmp_path).values()) == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == ["result"]


def test_a_failing_block_leaves_the_old_and_no_temporary(tmp_path, write):
    """Whatever had been written by then."""
    with whole(tmp_path / "result") as part:
        write(part, "old")
    before = content(tmp_path)
    with pytest.raises(Crash), whole(tmp_path / "result") as part:
        write(part, "new")
        raise Crash
    assert content(tmp_path) == before
    assert [path.name for path in tmp_path.iterdir()] == ["result"]


@pytest.mark.parametrize("reason", [Crash, KeyboardInterrupt, SystemExit])
def test_a_failing_first_block_leaves_nothing(tmp_path, write, reason):
    """Also when it is interrupted."""
    with pytest.raises(reason), whole(tmp_path / "result") as part:
        write(part, "new")
        raise reason
    assert list(tmp_path.iterdir()) == []


def test_until_the_end_of_the_block_the_old_is_there(tmp_path, write):
    """A reader never meets half a result."""

    def shown():
        return [path.read_text() for path in (tmp_path / "result", *tmp_path.glob("result/*/*")) if path.is_file()]

    for text, before in (("old", []), ("new", ["old"])):
        with whole(tmp_path / "result") as part:
            write(part, text)
            assert shown() == before
        assert shown() == [text]


def test_a_block_that_writes_nothing_is_an_error_and_leaves_the_old(tmp_path):
    """An old result is not given for no result."""
    (tmp_path / "result").mkdir()
    (tmp_path / "result" / "file").write_text("old")
    with pytest.raises(FileNotFoundError), whole(tmp_path / "result"):
        pass
    assert content(tmp_path) == {"result/file": "old"}


def test_folders_above_are_made(tmp_path):
    """Of a file that a fresh clone has never had."""
    write_text(tmp_path / "a" / "b" / "c.txt", "ä\n")
    assert (tmp_path / "a" / "b" / "c.txt").read_bytes() == "ä\n".encode()


def test_the_temporary_stands_beside_the_result_and_belongs_to_this_process(tmp_path):
    """A rename must not cross disks, and two processes must not share it."""
    with whole(tmp_path / "result") as part:
        part.write_text("")
        assert part.parent == tmp_path
        assert str(os.getpid()) in part.name
        assert part.name.startswith("."), "it is hidden from whoever lists results"


def test_equal_content_gives_equal_bytes(tmp_path):
    """Whatever the order of keys: DVC compares bytes."""
    write_json(tmp_path / "a.json", {"b": 1, "a": {"d": [1, 2.5, None], "c": "ü"}})
    write_json(tmp_path / "b.json", {"a": {"c": "ü", "d": [1, 2.5, None]}, "b": 1})
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert (tmp_path / "a.json").read_bytes().endswith(b"}\n")
    assert read_json(tmp_path / "a.json") == {"b": 1, "a": {"d": [1, 2.5, None], "c": "ü"}}


def test_a_json_file_that_cannot_be_written_leaves_the_old(tmp_path):
    """An object that JSON does not know."""
    write_json(tmp_path / "a.json", 1)
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", {"a": object()})
    assert content(tmp_path) == {"a.json": "1\n"}


def test_a_missing_file_names_the_command_that_makes_it(tmp_path):
    """Stages may be started by hand, out of order."""
    with pytest.raises(UserError, match=r"absent\.json: missing\. .*`dvc repro`"):
        read_json(tmp_path / "absent.json")


def test_a_table_has_its_columns_in_order_and_plain_line_ends(tmp_path):
    """The same bytes on every system."""
    write_csv(tmp_path / "t.csv", [{"b": 2, "a": 1.5}, {"a": None, "b": "x,y"}], ["a", "b"])
    assert (tmp_path / "t.csv").read_bytes() == b'a,b\n1.5,2\n,"x,y"\n'


def test_a_column_that_nobody_announced_is_an_error(tmp_path):
    """It would be lost without a word."""
    with pytest.raises(ValueError, match="fields not in fieldnames"):
        write_csv(tmp_path / "t.csv", [{"a": 1, "b": 2}], ["a"])
    assert list(tmp_path.iterdir()) == []


def test_digests_depend_on_content_alone(tmp_path):
    """Not on the order of keys, and fit for MLflow, which takes at most 36 characters."""
    assert digest({"a": 1, "b": [2]}) == digest({"b": [2], "a": 1}) != digest({"a": 1, "b": [3]})
    assert len(digest([])) == 32
    (tmp_path / "file").write_bytes(b"abc" * 100_000)
    for algorithm in ("md5", "sha256"):
        assert file_digest(tmp_path / "file", algorithm) == hashlib.new(algorithm, b"abc" * 100_000).hexdigest()


def write_array(part: Path) -> None:
    with part.open("wb") as file:
        np.save(file, np.zeros(10_000))


def write_arrays(part: Path) -> None:
    with part.open("wb") as file:
        np.savez_compressed(file, masks=np.zeros(10_000))


def write_weights(part: Path) -> None:
    """What safetensors says on a disk that is full; it would write beside the link to /dev/full."""
    raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")


def write_counts(part: Path) -> None:
    pd.DataFrame({"tp": range(10_000)}).to_parquet(part)


def write_picture(part: Path) -> None:
    Image.new("RGB", (64, 64)).save(part, "png")


def copy_file(part: Path) -> None:
    shutil.copy(__file__, part)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize(
    "write",
    [write_array, write_arrays, write_weights, write_counts, write_picture, copy_file],
    ids=lambda it: it.__name__,
)
def test_a_full_disk_is_told_alike_whoever_writes(tmp_path, monkeypatch, write):
    """With the name of the result, which none of the libraries tells."""
    monkeypatch.chdir(tmp_path)
    with (
        pytest.raises(OSError, match=r"No space left on device: 'out/cell'") as raised,
        whole(Path("out/cell")) as part,
    ):
        part.symlink_to("/dev/full")
        write(part)
    assert raised.value.errno == errno.ENOSPC
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(("number", "words"), [(errno.EROFS, "Read-only file system"), (errno.EFBIG, "File too large")])
def test_a_disk_that_refuses_is_told_alike_whoever_writes(tmp_path, monkeypatch, number, words):
    """As a full one; safetensors has an error of its own."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OSError, match=f"{words}: 'out/cell'") as raised, whole(Path("out/cell")):
        raise SafetensorError(f"Error while serializing: I/O error: {words} (os error {number})")
    assert raised.value.errno == number


@pytest.fixture
def fading(tmp_path):
    """A disk of its own, and a function after which it is read-only."""
    if os.geteuid():
        pytest.skip("only root may mount a file system")
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", place], check=True)
    yield place, lambda: subprocess.run(["mount", "-o", "remount,ro", place], check=True)
    subprocess.run(["umount", "--lazy", place], check=True)


def test_a_clean_up_that_fails_does_not_hide_why_it_was_needed(fading, write):
    place, fade = fading
    with pytest.raises(Crash), whole(place / "result") as part:
        write(part, "half")
        fade()
        raise Crash


def test_a_read_only_disk_is_told_with_the_name_of_the_result(fading):
    """Not with that of the temporary file, nor by what would have removed it."""
    place, fade = fading
    fade()
    with pytest.raises(OSError, match=f"Read-only file system: '{place}/result'") as raised:
        write_text(place / "result", "text")
    assert raised.value.errno == errno.EROFS


def test_what_could_not_be_written_is_told_before_the_work(fading):
    """Also in a folder that is not there yet. A path that can be written is left alone."""
    place, fade = fading
    check_writable(place / "models" / "cell")
    assert list(place.iterdir()) == []
    fade()
    with pytest.raises(OSError, match=f"Read-only file system: '{place}/models/cell'"):
        check_writable(place / "models" / "cell")


def test_a_file_that_may_not_grow_is_told_with_its_name(tmp_path):
    """`ulimit -f`, which the system enforces; in a process of its own, since the limit cannot be lifted again."""
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))"
    code = f"{limit}; from pathlib import Path; from pipeline.plumbing.files import write_text; "
    code += "write_text(Path('result'), 'x' * 9000)"
    done = subprocess.run(
        [sys.executable, "-Bc", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.stderr.endswith("OSError: [Errno 27] File too large: 'result'\n")
    assert list(tmp_path.iterdir()) == []


def test_a_sentence_about_a_full_disk_is_left_as_it_is(tmp_path):
    """A download names the archive, which lies elsewhere."""
    with pytest.raises(UserError, match=r"^data/archives/a\.zip: No space left on device\.$"), whole(tmp_path / "raw"):
        raise UserError("data/archives/a.zip: No space left on device.")
