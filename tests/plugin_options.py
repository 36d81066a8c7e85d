"""What the contract tests of losses and strategies ask of the options of a plug-in."""

from types import NoneType
from typing import Any, Literal, get_args, get_origin

import annotated_types

from pipeline.docs import attribute_docstrings
from pipeline.plumbing.plugins import Plugin


def needed_options(cls: type[Plugin]) -> dict[str, Any]:
    """A value for each option without a default: the first of its examples, which the documentation shows too."""
    fields = cls.model_fields.items()
    return {option: field.examples[0] for option, field in fields if field.is_required()}


def other_values(cls: type[Plugin], option: str) -> list[Any]:
    """Values of an option besides its default: each other choice, or a number from each end of its range."""
    field = cls.model_fields[option]
    types = [each for each in get_args(field.annotation) if each is not NoneType] or [field.annotation]
    kind = types[0] if field.default is None else field.annotation  # of `bool | None`, what there is beside None
    if get_origin(kind) is Literal:
        return [choice for choice in get_args(kind) if choice != field.default]
    if kind is bool:
        return [value for value in (False, True) if value != field.default]
    assert kind in (int, float), f"{cls.__name__}.{option}: of no type that can be moved without a hint."
    values = []
    for bound in field.metadata:
        if isinstance(bound, annotated_types.Ge | annotated_types.Le):
            values.append(bound.ge if isinstance(bound, annotated_types.Ge) else bound.le)
        else:  # the bound itself is not allowed: go half the way
            edge = bound.gt if isinstance(bound, annotated_types.Gt) else bound.lt
            values.append((field.default + edge) / 2)
    return [field.annotation(value) for value in values if value != field.default]


def undocumented_options(cls: type[Plugin]) -> set[str]:
    """Options that no docstring follows."""
    return set(cls.model_fields) - set(attribute_docstrings(cls))
