"""A process that has the libraries loaded, and those that hand their work over to it."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from pipeline.running.warm import ADDRESS, warm_process
from tests.miniature import ROOT, Miniature
from tests.running.conftest import LONG

pytestmark = [
    pytest.mark.xdist_group("miniature b"),
    pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="no forks that can be watched here"),
]

ASK = """
import sys
from pipeline.running.warm import hand_over
code = hand_over("work")
print("handed over", code, flush=True)
sys.exit(42 if code is None else code)
"""


@pytest.fixture(scope="module")
def warm():
    """The environment in which a warm process is found."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    with warm_process(environment) as found:
        yield {**environment, **found}


def ask(folder: Path, work: str, environment: dict[str, str], *arguments: str) -> subprocess.Popen:
    """A process that hands over `work`, the source of a module."""
    (folder / "ask.py").write_text(ASK)
    (folder / "work.py").write_text("import os, sys, time\n" + work)
    command = [sys.executable, "-m", "ask", *arguments]
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def ended(number: int) -> bool:
    """Whether a process ends, sooner or later."""
    try:
        psutil.Process(number).wait(LONG)
    except psutil.NoSuchProcess:
        return True
    except psutil.TimeoutExpired:
        return False
    return True


def written(file: Path) -> int:
    """The number that another process writes into a file."""
    while not (file.is_file() and file.read_text()):
        time.sleep(0.02)
    return int(file.read_text())


def test_the_work_finds_its_folder_arguments_and_environment_and_the_libraries(tmp_path, warm):
    work = "import json; print(json.dumps([os.getcwd(), sys.argv[1:], os.environ['MINE'], 'torch' in sys.modules]))"
    said, _ = ask(tmp_path, work, warm | {"MINE": "yes"}, "one", "two words").communicate()
    first, last = said.splitlines()
    assert json.loads(first) == [str(tmp_path), ["one", "two words"], "yes", True]
    assert last == "handed over 0"


@pytest.mark.parametrize("loaded", [True, False])
def test_a_module_is_run_by_the_warm_process_or_where_there_is_none_by_itself(tmp_path, warm, loaded):
    (tmp_path / "work.py").write_text("import sys; print(sys.argv[1:], 'torch' in sys.modules); sys.exit(3)")
    environment = warm if loaded else {key: value for key, value in warm.items() if key != ADDRESS}
    command = [sys.executable, "-m", "pipeline.running.handed", str(os.getpid()), "work", "one"]
    found = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (found.returncode, found.stdout, found.stderr) == (3, f"['one'] {loaded}\n", "")


def test_the_work_has_the_threads_of_who_asks(tmp_path, warm):
    said, _ = ask(
        tmp_path, "import torch; print(torch.get_num_threads())", warm | {"OMP_NUM_THREADS": "3"}
    ).communicate()
    assert said.splitlines()[0] == "3"


def test_the_code_of_the_project_is_that_of_the_folder(tmp_path, warm):
    """Not what the warm process has loaded: another copy of the project may be at work."""
    (tmp_path / "pipeline").mkdir()
    (tmp_path / "pipeline" / "__init__.py").write_text("")
    (tmp_path / "pipeline" / "mine.py").write_text("ANSWER = 'of this folder'")
    (tmp_path / "pipeline" / "running").symlink_to(ROOT / "pipeline" / "running")
    (tmp_path / "pipeline" / "plumbing").symlink_to(ROOT / "pipeline" / "plumbing")
    said, _ = ask(tmp_path, "from pipeline.mine import ANSWER; print(ANSWER)", warm).communicate()
    assert said.splitlines()[0] == "of this folder"


@pytest.mark.parametrize(
    ("work", "code", "complaint"),
    [
        ("sys.exit(3)", 3, ""),
        ("sys.exit('a reason')", 1, "a reason\n"),
        ("raise ValueError('broken')", 1, "ValueError: broken\n"),
        ("os.kill(os.getpid(), 9)", 9, ""),
    ],
)
def test_the_work_fails_as_it_would_alone(tmp_path, warm, work, code, complaint):
    process = ask(tmp_path, work, warm)
    said, complained = process.communicate()
    assert (process.returncode, said) == (code, f"handed over {code}\n")
    assert complained.endswith(complaint)


def test_many_at_once(tmp_path, warm):
    asked = []
    for number in range(8):  # each waits until all are there
        (tmp_path / str(number)).mkdir()
        work = f"open('begun', 'w')\nwhile len([*Path().glob('../*/begun')]) < 8: time.sleep(0.01)\nsys.exit({number})"
        asked.append(ask(tmp_path / str(number), f"from pathlib import Path\n{work}", warm))
    for process in asked:
        process.communicate(timeout=LONG)
    assert [process.returncode for process in asked] == list(range(8))


def nothing(connection: socket.socket) -> None:
    pass


@pytest.mark.parametrize("then", [nothing, socket.socket.close, lambda connection: connection.send(b"no request")])
def test_one_that_connects_and_asks_for_nothing_holds_nobody_up(tmp_path, warm, then: Callable):
    """Whether it stays, goes, or sends what is no request."""
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            silent = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
            silent.connect(warm[ADDRESS])
            then(silent)
        process = ask(tmp_path, "sys.exit(3)", warm)
        process.communicate(timeout=LONG)
        assert process.returncode == 3


@pytest.mark.parametrize("length", [81, 95, 120, 200])
def test_a_long_name_of_the_folder_for_temporary_files_is_none_of_its_business(tmp_path, monkeypatch, length):
    """The address of a socket has at most 107 bytes."""
    folder = f"{tmp_path}/".ljust(length, "x")
    os.mkdir(folder)
    monkeypatch.setattr(tempfile, "tempdir", folder)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": folder}
    with warm_process(environment, modules=[]) as found:
        process = ask(tmp_path, "sys.exit(3)", environment | found)
        assert process.communicate(timeout=LONG)[0] == "handed over 3\n"


def test_who_asked_is_killed_and_the_work_ends(tmp_path, warm):
    process = ask(tmp_path, "open('number', 'w').write(str(os.getpid())); time.sleep(10_000)", warm)
    worker = written(tmp_path / "number")
    process.kill()
    process.communicate()
    assert ended(worker)


def test_the_warm_process_is_killed_and_all_of_it_ends(tmp_path):
    """Who asked ends with an error, since the work is not done."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with warm_process(environment) as found:
        process = ask(
            tmp_path, "open('number', 'w').write(str(os.getppid())); time.sleep(10_000)", {**environment, **found}
        )
        os.kill(written(tmp_path / "number"), signal.SIGKILL)
        process.communicate(timeout=LONG)
        assert process.returncode == 1


def test_without_a_warm_process_nothing_is_handed_over(tmp_path, warm):
    """Also where there was one once."""
    for environment in ({**os.environ, "PYTHONPATH": str(ROOT)}, warm | {ADDRESS: str(tmp_path / "gone")}):
        process = ask(tmp_path, "", environment)
        assert process.communicate()[0] == "handed over None\n"
        assert process.returncode == 42


def test_a_training_has_the_same_bits_and_words(finished: Miniature, tmp_path, warm):
    cell = "digits-unet_tiny-dice-class_weights-0"
    workspace = finished.copy(tmp_path / "work")
    files = [
        workspace.root / "models" / cell / name for name in ("cell.json", "history.csv", "model/model.safetensors")
    ]
    before = [file.read_bytes() for file in files]
    for file in files:
        file.unlink()
    said = workspace.run("pipeline.train", cell, **{ADDRESS: warm[ADDRESS]}).stdout
    assert said.startswith(f"{cell}: validation mIoU ")
    assert [file.read_bytes() for file in files] == before
