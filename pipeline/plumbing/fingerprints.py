"""What a result depends on: digests of code that ignore comments, docstrings and formatting, and versions of libraries.

`check` writes both into the plan; a stage compares them with what it runs: `as_planned`.
"""

import ast
import hashlib
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.plumbing.errors import UserError, listed
from pipeline.plumbing.libraries import version, versions

ROOT = Path(__file__).parents[2]
LAZY = "pipeline.plumbing.lazy."

# These only report or keep what happens, or serve training loops elsewhere; no number depends on them, so an edit there
# must not train anything again.
REPORT_ONLY = {"pipeline.learn.journalist", "pipeline.losses.base_module", "pipeline.running.warm"} | {
    f"pipeline.plumbing.{name}"
    for name in (
        "cached",
        "checkpoints",
        "errors",
        "fingerprints",
        "journal",
        "libraries",
        "lifeline",
        "live_view",
        "provenance",
        "tracking",
    )
}


def code_digests(modules: Iterable[str]) -> dict[str, str]:
    """A digest of each file of the named modules and of all the project's modules that they reach by imports.

    Plug-ins are loaded by name, not imported: name the ones that are used.
    """
    files = {file for name in reached(modules) for file in (_path(name), *_beside(name))}
    return {file.relative_to(ROOT).as_posix(): _digest(file) for file in sorted(files)}


def code_and_versions(modules: Iterable[str]) -> dict[str, dict[str, str]]:
    """What a plan says of whatever is computed by these modules."""
    return {"code": code_digests(modules), "versions": versions(libraries(modules))}


def libraries(modules: Iterable[str]) -> set[str]:
    """Names of the libraries that the code of the named modules and of those that they reach imports."""
    named = {each.partition(".")[0] for name in reached(modules) for each in _imports(name)}
    return named - sys.stdlib_module_names - {"pipeline"}


@contextmanager
def as_planned(*plans: Any) -> Iterator[None]:
    """A block that works with the code and the libraries of which the plans tell, at its beginning and at its end.

    Raises UserError where they are others now: a result would be recorded as that of code which did not make it.
    """
    _compare(plans)
    yield
    _compare(plans)


def changed(plan: Any) -> list[str]:
    """Files whose code is not that of the plan any more."""
    return [file for code in _all("code", plan) for file, digest in code.items() if _digest(ROOT / file) != digest]


def reached(modules: Iterable[str]) -> set[str]:
    """Names of the project's modules reached from `modules` by imports anywhere in their code.

    Those of REPORT_ONLY are not followed, unless they are named.
    """
    found: set[str] = set()
    waiting = set(modules)
    while waiting:
        name = waiting.pop()
        found.add(name)
        own = {each for each in _imports(name) if each.startswith("pipeline.") and _path(each).is_file()}
        waiting |= own - REPORT_ONLY - found
    return found


def _compare(plans: Iterable[Any]) -> None:
    if files := sorted({file for plan in plans for file in changed(plan)}):
        raise UserError(
            f"the code of {listed(files, 5)} has changed since `check` made the plan; "
            "run `dvc repro` (or `python -m pipeline.run`) again."
        )
    planned = {name: known for plan in plans for each in _all("versions", plan) for name, known in each.items()}
    for name, known in planned.items():
        if version(name) != known:
            raise UserError(
                f"{name} is {version(name)} here, and `check` made the plan with {known}. Install requirements.lock, "
                "or run `dvc repro --force check`, after which `dvc repro` runs again what used it."
            )


def _all(key: str, plan: Any) -> Iterator[dict[str, str]]:
    """The mappings that stand under a key in a plan, however deep."""
    if isinstance(plan, dict):
        for name, value in plan.items():
            yield from [value] if name == key and isinstance(value, dict) else _all(key, value)


def _path(name: str) -> Path:
    return ROOT / (name.replace(".", "/") + ".py")


def _imports(name: str) -> set[str]:
    return _understood(_read(_path(name))).imports


def _beside(name: str) -> list[Path]:
    """Files that a module reads and that bear its name, such as the template of a page."""
    code = _path(name)
    return [file for file in code.parent.glob(f"{code.stem}.*") if file != code]


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _digest(file: Path) -> str:
    """Of what a file means as it is now; empty for one that is gone, or is no Python any more."""
    try:
        meaning = _read(file) if file.suffix != ".py" else _understood(_read(file)).meaning
    except (OSError, ValueError, SyntaxError):
        return ""
    return hashlib.sha256(meaning.encode()).hexdigest()[:32]


class Module(NamedTuple):
    """What matters of a module."""

    meaning: str
    """The source as Python reads it. `ast.unparse` is steadier across Python versions than `ast.dump`."""
    imports: set[str]
    """All that is imported, also what might be an attribute; `lazy` stands for the library that it imports."""


@cache  # by the text, not by the name of the file, so that an edit is seen
def _understood(source: str) -> Module:
    tree, imports = ast.parse(source), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [each for each in node.body if not _is_bare_string(each)] or [ast.Pass()]
        elif isinstance(node, ast.Import):
            imports.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            imports.add(node.module)
            imports.update(f"{node.module}.{alias.name}".removeprefix(LAZY) for alias in node.names)
    return Module(ast.unparse(tree), imports)


def _is_bare_string(statement: ast.stmt) -> bool:
    """A docstring, of a module, class, function or attribute."""
    expression = statement.value if isinstance(statement, ast.Expr) else None
    return isinstance(expression, ast.Constant) and isinstance(expression.value, str)
