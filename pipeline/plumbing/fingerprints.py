"""What a result depends on, by meaning: digests of code that ignore comments, docstrings and formatting."""

import ast
import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]

# These only report or keep what happens; no number depends on them, so an edit there must not train anything again.
REPORT_ONLY = {"pipeline.learn.journalist", "pipeline.running.warm"} | {
    f"pipeline.plumbing.{name}"
    for name in ("checkpoints", "errors", "journal", "lifeline", "live_view", "provenance", "tracking")
}


def code_digest(modules: Iterable[str]) -> str:
    """Digest of the named modules of the project and of all its modules that they reach by imports.

    Plug-ins are loaded by name, not imported: name the ones that are used.
    """
    lines = [f"{name}\n{_meaning(name)}" for name in sorted(reached(modules))]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:32]


def reached(modules: Iterable[str]) -> set[str]:
    """Names of the project's modules reached from `modules` by imports anywhere in their code.

    Those of REPORT_ONLY are not followed, unless they are named.
    """
    found: set[str] = set()
    waiting = set(modules)
    while waiting:
        name = waiting.pop()
        found.add(name)
        waiting |= _imports(name) - REPORT_ONLY - found
    return found


def _path(name: str) -> Path:
    return ROOT / (name.replace(".", "/") + ".py")


@cache
def _tree(name: str) -> ast.Module:
    return ast.parse(_path(name).read_text(encoding="utf-8"))


@cache
def _imports(name: str) -> frozenset[str]:
    named = set()
    for node in ast.walk(_tree(name)):
        if isinstance(node, ast.Import):
            named.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            named.add(node.module)
            named.update(f"{node.module}.{alias.name}" for alias in node.names)
    return frozenset(each for each in named if each.startswith("pipeline.") and _path(each).is_file())


@cache
def _meaning(name: str) -> str:
    """The source as Python reads it. `ast.unparse` is steadier across Python versions than `ast.dump`."""
    tree = _tree(name)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [each for each in node.body if not _is_bare_string(each)] or [ast.Pass()]
    return "\n".join([ast.unparse(tree), *map(_read, _beside(name))])


def _beside(name: str) -> list[Path]:
    """Files that a module reads and that bear its name, such as the template of a page."""
    code = _path(name)
    return sorted(file for file in code.parent.glob(f"{code.stem}.*") if file != code)


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _is_bare_string(statement: ast.stmt) -> bool:
    """A docstring, of a module, class, function or attribute."""
    expression = statement.value if isinstance(statement, ast.Expr) else None
    return isinstance(expression, ast.Constant) and isinstance(expression.value, str)
