"""One door to what a person types: `python -m pipeline` lists it, and `python -m pipeline run -j 2` runs it.

What stands behind a command is a module of its own, which `python -m pipeline.run -j 2` runs as well. The stages are no
commands: DVC runs them.
"""

import ast
import runpy
import sys
from pathlib import Path

from pipeline.plumbing.errors import UserError, did_you_mean, run_stage

COMMANDS = ("check", "run", "pretrained", "publish", "prune", "clean", "docs")  # in the order in which they are met
HELP = ("-h", "--help", "help")


def main() -> None:
    command, *arguments = sys.argv[1:] or HELP[:1]
    if command in HELP:
        return print(overview())
    if command not in COMMANDS:
        raise UserError(f"{command}: no such command. {did_you_mean(command, COMMANDS)}")
    sys.argv = [f"{sys.argv[0]} {command}", *arguments]
    runpy.run_module(f"pipeline.{command}", run_name="__main__")


def overview() -> str:
    """A line for each command, of which its module says what it does."""
    width = max(map(len, COMMANDS))
    lines = [f"  {command:{width}}  {summary(command)}" for command in COMMANDS]
    return "\n".join(["usage: python -m pipeline COMMAND [--help]", "", *lines])


def summary(command: str) -> str:
    """The first line of its module, which is not imported: that of one takes seconds."""
    source = Path(__file__).with_name(f"{command}.py").read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(source)) or "").splitlines()[0]


if __name__ == "__main__":
    run_stage(main)
