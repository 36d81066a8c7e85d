"""Typed blocks of params.yaml: frozen, strict, no unknown keys, and errors that read as one sentence."""

from typing import Any, Self, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.plumbing.errors import UserError, did_you_mean
from pipeline.plumbing.messages import brief
from pipeline.plumbing.spelling import nearest


class Options(BaseModel):
    """A block of params.yaml. Subclasses stand beside the code that uses them and declare one field per key."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def read(cls, block: Any, where: str) -> Self:
        """Validate `block`, found at `where` ("params.yaml: fit"). Raises UserError, a line per mistake."""
        if block is None:
            block = {}
        if not isinstance(block, dict):
            raise UserError(f"{where}: must be a mapping of keys to values, not {brief(block)}.")
        try:
            return cls.model_validate(block, context={"where": where})
        except ValidationError as invalid:
            raise UserError(sentences(cls, invalid, where)) from None

    def acts_only_with(self, option: str, other: str, value: Any) -> None:
        """For validators: refuse `option` moved from its default where, as `other` is not `value`, nothing reads it."""
        moved = getattr(self, option) != type(self).model_fields[option].default
        if moved and getattr(self, other) != value:
            raise ValueError(
                f"'{option}' acts only with {other} '{value}', not with '{getattr(self, other)}'; remove it."
            )


def sentences(cls: type[BaseModel], invalid: ValidationError, where: str) -> str:
    """A line per mistake in options that were given at `where`."""
    found = invalid.errors()
    meant = {place for mistake in found if (place := _meant(cls, mistake))}
    told = [mistake for mistake in found if mistake["type"] != "missing" or mistake["loc"] not in meant]
    return "\n".join(dict.fromkeys(_sentence(cls, mistake, where) for mistake in told))


def plain(value: Any) -> Any:
    """A value given in Python as params.yaml would hold it: arrays, tensors and tuples become lists of numbers."""
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return value.tolist() if hasattr(value, "tolist") else value


def _meant(cls: type[BaseModel], mistake: Any) -> tuple[int | str, ...] | None:
    """Where the key stands that an unknown one stands for: misspelt here and missing there is one mistake."""
    if mistake["type"] != "extra_forbidden":
        return None
    *path, key = mistake["loc"]
    near = nearest(str(key), _keys_at(cls, [str(part) for part in path]))
    return near and (*path, near)


def _sentence(cls: type[BaseModel], mistake: Any, where: str) -> str:
    """One sentence for one mistake: where it is, what is allowed, and what was probably meant."""
    path = [str(part) for part in mistake["loc"] if part != "[key]"]
    place = ".".join([where, *path])
    kind, given = mistake["type"], mistake["input"]
    allowed = mistake.get("ctx", {}).get("expected")
    if kind == "extra_forbidden":
        return f"{place}: unknown key. {did_you_mean(path[-1], _keys_at(cls, path[:-1]))}"
    if kind == "missing":
        return f"{place}: missing; this key has no default."
    if kind == "literal_error" and allowed:
        choices = [choice.strip("' ") for choice in allowed.replace(" or ", ", ").split(", ")]
        word = brief(given).strip("'")
        return f"{place}: {brief(given)} is not allowed. {did_you_mean(word, choices)}"
    if kind == "invalid_key" or mistake["loc"][-1:] == ("[key]",):
        return f"{'.'.join([where, *path[:-1]])}: {brief(given)} is no name; put it in quotes if it is meant as one."
    if kind in ("dict_type", "model_type"):
        return f"{place}: must be a mapping of keys to values, not {brief(given)}."
    message = mistake["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return f"{place}: {brief(given)} {message}." if message.startswith("should") else f"{place}: {message}"


def _keys_at(cls: type[BaseModel], path: list[str]) -> list[str]:
    """The keys that exist in the nested block at `path`: of a field that holds Options, or a list of them."""
    for part in path:
        if part in cls.model_fields:
            annotation = cls.model_fields[part].annotation
            nested = [each for each in (annotation, *get_args(annotation)) if isinstance(each, type)]
            cls = next((each for each in nested if issubclass(each, BaseModel)), cls)
    return list(cls.model_fields)
