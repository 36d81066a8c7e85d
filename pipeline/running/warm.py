"""A process that has the libraries loaded: importing them takes longer than many a small training.

`pipeline.run` starts it once. Each stage process hands its work over and waits: the warm process forks,
and the fork has every library loaded; the code of this project it reads anew, in the folder of who asked. Who hands
over and who works live and die together: when the one is killed, so is the other. Without a warm process, or where it
has gone, a stage does its work itself.
"""

import contextlib
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NoReturn

from pipeline.plumbing.lazy import torch
from pipeline.plumbing.lifeline import die_with_parent
from pipeline.plumbing.machine import cores, folder_of_sockets

ADDRESS = "BENCHMARK_WARM"  # environment variable: the socket of the warm process
LOADED = ("pipeline.learn.training", "torch._dynamo")  # with all that they import
STARTED = b"started\n"
LARGEST_REQUEST = 2**20  # bytes


@contextlib.contextmanager
def warm_process(environment: dict[str, str], modules: Iterable[str] = LOADED) -> Iterator[dict[str, str]]:
    """Start a warm process with this environment and modules, and yield the variables by which trainings find it.

    It must have the number of threads that trainings are to use. None is started, and nothing yielded, where this
    environment has one already or where forks cannot be watched.
    """
    if environment.get(ADDRESS) or not hasattr(os, "pidfd_open"):
        yield {}
        return
    with tempfile.TemporaryDirectory(dir=folder_of_sockets()) as folder:
        address = str(Path(folder, "warm"))
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
            listener.bind(address)
            listener.listen(128)  # whoever comes before the libraries are loaded waits
            given = listener.fileno()
            command = [sys.executable, "-m", "pipeline.running.warm", str(given), str(os.getpid()), *modules]
            process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, pass_fds=[given])
        try:
            yield {ADDRESS: address}
        finally:
            process.kill()
            process.wait()


def hand_over(module: str) -> int | None:
    """Let the warm process run `python -m MODULE` with the arguments of this process; the exit code of that.

    None if there is none that could: then nothing was done.
    """
    address = os.environ.get(ADDRESS)
    if not address:
        return None
    request = {"module": module, "arguments": sys.argv[1:], "environment": dict(os.environ), "folder": os.getcwd()}
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        try:
            connection.connect(address)
            socket.send_fds(connection, [json.dumps(request).encode()], [0, 1, 2])
            if connection.recv(len(STARTED)) != STARTED:
                return None
        except OSError:
            return None
        return int(connection.recv(16) or 1)  # the end of a connection without a code: it was killed


def main() -> None:
    """Serve an open socket until killed."""
    die_with_parent(int(sys.argv[2]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the trainings; who started this one ends it
    with socket.socket(fileno=int(sys.argv[1])) as listener:
        for module in sys.argv[3:]:
            importlib.import_module(module)
        serve(listener)


def serve(listener: socket.socket) -> NoReturn:
    """Fork for every request; tell the exit code of each fork, and kill it if who asked for it has gone."""
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    forks: dict[int, tuple[int, socket.socket]] = {}  # by a descriptor of the process: its number, who waits for it
    while True:
        for key, _ in selector.select():
            if key.fileobj is listener:
                selector.register(listener.accept()[0], selectors.EVENT_READ)  # the request may come later, or never
            elif key.fileobj in forks:
                process, connection = forks.pop(key.fileobj)
                for each in (key.fileobj, connection):
                    with contextlib.suppress(KeyError):
                        selector.unregister(each)
                os.close(key.fileobj)
                tell_end(process, connection)
            elif key.fileobj.fileno() < 0:  # its fork ended in this very moment
                continue
            elif key.data:  # whoever waits for this fork has gone
                selector.unregister(key.fileobj)
                os.kill(key.data, signal.SIGKILL)
            elif process := fork(key.fileobj, listener):
                watched = os.pidfd_open(process)
                forks[watched] = process, key.fileobj
                selector.register(watched, selectors.EVENT_READ)
                selector.modify(key.fileobj, selectors.EVENT_READ, data=process)
            else:
                selector.unregister(key.fileobj)
                key.fileobj.close()


def tell_end(process: int, connection: socket.socket) -> None:
    """Send the exit code of a fork that has ended to who waits for it."""
    _, status = os.waitpid(process, 0)
    with contextlib.suppress(OSError):
        connection.send(str(abs(os.waitstatus_to_exitcode(status))).encode())
    connection.close()


def fork(connection: socket.socket, listener: socket.socket) -> int | None:
    """Start the work that the connection asks for; the number of its process, or None if nothing was asked for."""
    text, descriptors, _, _ = socket.recv_fds(connection, LARGEST_REQUEST, 3)
    if not text:
        return None
    parent, process = os.getpid(), os.fork()
    if process:
        for each in descriptors:
            os.close(each)
        with contextlib.suppress(OSError):
            connection.send(STARTED)
        return process
    die_with_parent(parent)
    listener.close()
    connection.close()
    for target, source in enumerate(descriptors):
        os.dup2(source, target)
        os.close(source)
    # Streams remember of their file whether it is a terminal and has a position.
    sys.stdout = os.fdopen(1, "w", encoding=sys.stdout.encoding, closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, encoding=sys.stderr.encoding, errors="backslashreplace", closefd=False)
    os._exit(run(json.loads(text)))


def run(request: dict) -> int:
    """Do in this process what `python -m MODULE` would do."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update({key: value for key, value in request["environment"].items() if key != ADDRESS})
    os.chdir(request["folder"])
    sys.path[0] = request["folder"]
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or cores()))
    sys.argv[1:] = request["arguments"]
    loaded = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "pipeline"}
    for name in loaded:  # kept alive by their names here: one of them holds operators that it declared to torch
        del sys.modules[name]
    try:
        runpy.run_module(request["module"], run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        if isinstance(ended.code, str):
            print(ended.code, file=sys.stderr)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return code


if __name__ == "__main__":
    main()
