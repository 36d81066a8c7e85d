"""DVC's command line for many cells at once: `python -m pipeline.running.dvc PARENT ...`, with the arguments of `dvc`.

It does what `dvc` does and writes what `dvc` writes, but
1. it ends with the process PARENT, which has started it;
2. it writes dvc.lock and the list of locked paths whole or not at all: DVC writes them in place, and killed meanwhile
   it leaves files that no command of DVC can read any more;
3. it reads dvc.lock with libyaml, and writes what has changed in it alone: DVC reads and writes all of it in Python,
   which for 300 cells takes longer than many a training, while all others wait;
4. the command of a stage takes the place of its shell, so that this process is its parent, with which it ends from its
   first line on; and where a warm process is at hand, that does the work.
For that, a method and three functions of DVC are replaced. Where another version of DVC does not use them, nothing
changes.
"""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import dvc.cli
import dvc.dvcfile
import dvc.stage.run
import dvc.utils.strictyaml
import yaml
from dvc.fs import LocalFileSystem
from dvc.utils.serialize import dumps_yaml
from ruamel.yaml.resolver import implicit_resolvers

from pipeline.plumbing.files import whole
from pipeline.plumbing.lifeline import die_with_parent

LOCK, LOCKED_PATHS = "dvc.lock", "rwlock"

_open, _parse, _modify = LocalFileSystem.open, dvc.utils.strictyaml.parse_yaml, dvc.dvcfile.modify_yaml


class Reader(yaml.CSafeLoader):
    """YAML 1.2, as DVC reads it, by libyaml."""

    yaml_implicit_resolvers: dict[str, list[Any]] = {}


for _versions, _tag, _pattern, _first in implicit_resolvers:  # a digest like 12e34 is a number if it has no quotes
    if (1, 2) in _versions:
        Reader.add_implicit_resolver(_tag, _pattern, _first)


def main() -> None:
    parent, *arguments = sys.argv[1:]
    die_with_parent(int(parent))
    LocalFileSystem.open = open_file
    dvc.utils.strictyaml.parse_yaml = parse
    dvc.dvcfile.modify_yaml = modify
    dvc.stage.run._make_cmd = shell_command
    sys.exit(dvc.cli.main(arguments))


def open_file(system: LocalFileSystem, path: str, mode: str = "r", **more: Any) -> Any:
    """As `LocalFileSystem.open`, but what others must be able to read takes its place when it is complete."""
    if mode.startswith("w") and os.path.basename(path) in (LOCK, LOCKED_PATHS):
        return _written_whole(path)
    return _open(system, path, mode, **more)


@contextmanager
def _written_whole(path: str) -> Iterator[IO[str]]:
    with whole(Path(path)) as part, part.open("w", encoding="utf-8") as file:
        yield file


def parse(text: str, path: str, typ: str = "safe") -> Any:
    """As `dvc.utils.serialize.parse_yaml`."""
    if os.path.basename(path) != LOCK:
        return _parse(text, path, typ)
    try:
        return yaml.load(text, Reader) or {}
    except yaml.YAMLError:
        return _parse(text, path, typ)  # which says what is wrong


@contextmanager
def modify(path: str, fs: Any = None) -> Iterator[Any]:
    """As `dvc.utils.serialize.modify_yaml`."""
    if os.path.basename(path) != LOCK or not os.path.exists(path):
        with _modify(path, fs) as data:
            yield data
        return
    text = Path(path).read_text(encoding="utf-8")
    data = parse(text, path)
    before = dict(data.get("stages", {}))
    yield data
    new = _with_changes(text, before, data.get("stages", {}))
    try:
        as_meant = yaml.load(new, Reader) == data
    except yaml.YAMLError:
        as_meant = False
    with _written_whole(path) as file:
        file.write(new if as_meant else dumps_yaml(data))


def _with_changes(text: str, before: dict[str, Any], after: dict[str, Any]) -> str:
    """The text of a lock with the entries of `after`: what is new or replaced as DVC writes it, the rest as it was."""
    head, *entries = re.split(r"(?m)^(?=  \S)", text)
    kept = dict(zip(before, entries, strict=False))

    def written(name: str) -> str:
        if name in kept and after[name] is before[name]:
            return kept[name]
        return dumps_yaml({"stages": {name: after[name]}}).removeprefix("stages:\n")

    return head + "".join(map(written, after))


def shell_command(executable: str | None, command: str) -> list[str]:
    """As `dvc.stage.run._make_cmd`; every command is one program with its arguments, as `check` makes sure."""
    handed = command.replace("python -m ", f"python -m pipeline.running.handed {os.getpid()} ", 1)
    return ["/bin/sh", "-c", f"exec {handed}"]


if __name__ == "__main__":
    main()
