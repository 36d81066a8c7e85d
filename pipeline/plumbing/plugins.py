"""Plug-ins: every file in `datasets/`, `losses/` and `strategies/` is one, found by its name.

A plug-in is a frozen block of options with behaviour. Its file holds one public subclass of the folder's base
class; `kind` in params.yaml names the file and defaults to the key of the entry.
"""

import importlib
import pkgutil
from pathlib import Path
from typing import Any

from pydantic import ValidationError, ValidationInfo, ValidatorFunctionWrapHandler, model_validator

from pipeline.plumbing.errors import UserError, did_you_mean
from pipeline.plumbing.messages import brief
from pipeline.plumbing.options import Options, plain, sentences

ROOT = Path(__file__).parents[1]


class Plugin(Options):
    """What all plug-ins share. Options are fields; class variables state facts about the kind."""

    @model_validator(mode="wrap")
    @classmethod
    def _say_mistakes_in_sentences(cls, given: Any, build: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
        """`Focal(gamma=-1)` in Python gets the sentence of an entry in params.yaml, and arrays are read as lists."""
        if info.context:  # `Options.read` knows where the entry stands, and says it
            return build(given)
        try:
            return build(plain(given))
        except ValidationError as invalid:
            raise UserError(sentences(cls, invalid, cls.__name__)) from None

    @property
    def kind(self) -> str:
        """The name of its file."""
        return type(self).__module__.rpartition(".")[2]

    def parts(self) -> tuple["Plugin", ...]:
        """Other plug-ins this one is made of: their code is part of what its results depend on."""
        return ()

    def modules(self) -> list[str]:
        """Names of the modules that hold this plug-in and its parts, for the fingerprint."""
        return [type(self).__module__, *(name for part in self.parts() for name in part.modules())]

    def described(self) -> dict[str, Any]:
        """The resolved form that `check` writes into the plan and `restore` reads: kind and all options."""
        return {"kind": self.kind, **self.model_dump(mode="json")}


def kinds(folder: str) -> list[str]:
    """Names of the plug-ins in a folder, from the files alone: all but those called base, and nothing is imported."""
    names = [module.name for module in pkgutil.iter_modules([str(ROOT / folder)])]
    return sorted(name for name in names if not name.startswith("base"))


def find(folder: str, kind: str, where: str) -> type[Plugin]:
    """The class of a plug-in. Raises UserError naming the nearest kind if there is no such file."""
    if kind not in kinds(folder):
        raise UserError(f"{where}: no pipeline/{folder}/{kind}.py. {did_you_mean(kind, kinds(folder))}")
    module = importlib.import_module(f"pipeline.{folder}.{kind}")
    own = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Plugin) and value.__module__ == module.__name__
    ]
    if len(own) != 1:
        raise UserError(f"pipeline/{folder}/{kind}.py: must define exactly one plug-in class, it defines {len(own)}.")
    return own[0]


def build(folder: str, key: str, block: Any, where: str) -> Any:
    """The plug-in that an entry of params.yaml asks for: `key: {kind: ..., option: ...}`, found at `where`."""
    if block is not None and not isinstance(block, dict):
        raise UserError(f"{where}: must be a mapping of options, such as {{}}, not {brief(block)}.")
    options = dict(block or {})
    kind = options.pop("kind", key)
    if not isinstance(kind, str):
        raise UserError(f"{where}.kind: must be the name of a file in pipeline/{folder}/, not {brief(kind)}.")
    return find(folder, kind, where).read(options, where)


def build_unnamed(folder: str, block: Any, where: str) -> Any:
    """The plug-in of an entry without a key: the name of a kind, or a mapping with `kind` and options."""
    block = {"kind": block} if isinstance(block, str) else block
    if not isinstance(block, dict) or "kind" not in block:
        raise UserError(
            f"{where}: must be the name of a file in pipeline/{folder}/ or a mapping with `kind`, not {brief(block)}."
        )
    return build(folder, "", block, where)


def restore(folder: str, described: dict[str, Any], where: str) -> Any:
    """The plug-in that `Plugin.described` described."""
    return build(folder, described["kind"], described, where)
