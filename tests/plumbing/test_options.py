"""Typed blocks: strict, frozen, and one sentence for each mistake."""

from typing import Literal, Self

import pytest
from pydantic import Field, ValidationError, model_validator

from pipeline.plumbing.errors import UserError
from pipeline.plumbing.options import Options


class Inner(Options):
    colour: Literal["red", "green"] = "red"
    width: int = 1


class Outer(Options):
    needed: float = Field(gt=0, le=1)
    choice: Literal["one", "two", "three"] = "one"
    size: int = 4
    flag: bool = False
    momentum: float = 0.9
    inner: Inner = Inner()
    several: list[Inner] = []
    shares: list[float] | None = None
    by_name: dict[str, float] = {}

    @model_validator(mode="after")
    def _fits(self) -> Self:
        self.acts_only_with("momentum", "choice", "two")
        return self


def refusal(block) -> str:
    with pytest.raises(UserError) as error:
        Outer.read(block, "p.yaml: outer")
    return str(error.value)


KNOWN = "by_name, choice, flag, inner, momentum, needed, several, shares, size"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"needd": 1}, f"p.yaml: outer.needd: unknown key. Did you mean 'needed'? Known: {KNOWN}."),
        ({"xyz": 1}, f"p.yaml: outer.xyz: unknown key. Known: {KNOWN}."),
        ({"needed": 0.0}, "p.yaml: outer.needed: 0.0 should be greater than 0."),
        ({"needed": 2.0}, "p.yaml: outer.needed: 2.0 should be less than or equal to 1."),
        ({"needed": "1"}, "p.yaml: outer.needed: '1' should be a valid number."),
        ({"needed": float("inf")}, "p.yaml: outer.needed: inf should be a finite number."),
        ({"momentum": float("inf")}, "p.yaml: outer.momentum: inf should be a finite number."),
        ({"momentum": float("-inf")}, "p.yaml: outer.momentum: -inf should be a finite number."),
        ({"momentum": float("nan")}, "p.yaml: outer.momentum: nan should be a finite number."),
        ({"shares": [0.5, float("nan")]}, "p.yaml: outer.shares.1: nan should be a finite number."),
        ({"by_name": {"a": float("inf")}}, "p.yaml: outer.by_name.a: inf should be a finite number."),
        ({"by_name": {1: 0.5}}, "p.yaml: outer.by_name: 1 is no name; put it in quotes if it is meant as one."),
        ({"by_name": [0.5]}, "p.yaml: outer.by_name: must be a mapping of keys to values, not [0.5]."),
        ({"inner": "red"}, "p.yaml: outer.inner: must be a mapping of keys to values, not 'red'."),
        ({1: 2}, "p.yaml: outer: 1 is no name; put it in quotes if it is meant as one."),
        ({None: 2}, "p.yaml: outer: None is no name; put it in quotes if it is meant as one."),
        ({"size": 1.5}, "p.yaml: outer.size: 1.5 should be a valid integer."),
        ({"size": True}, "p.yaml: outer.size: True should be a valid integer."),
        ({"flag": 1}, "p.yaml: outer.flag: 1 should be a valid boolean."),
        ({"flag": "no"}, "p.yaml: outer.flag: 'no' should be a valid boolean."),
        (
            {"choice": "tree"},
            "p.yaml: outer.choice: 'tree' is not allowed. Did you mean 'three'? Known: one, three, two.",
        ),
        ({"choice": 3}, "p.yaml: outer.choice: 3 is not allowed. Known: one, three, two."),
        (
            {"inner": {"color": "red"}},
            "p.yaml: outer.inner.color: unknown key. Did you mean 'colour'? Known: colour, width.",
        ),
        (
            {"inner": {"colour": "gren"}},
            "p.yaml: outer.inner.colour: 'gren' is not allowed. Did you mean 'green'? Known: green, red.",
        ),
        ({"inner": {"width": "1"}}, "p.yaml: outer.inner.width: '1' should be a valid integer."),
        (
            {"several": [{}, {"color": "red"}]},
            "p.yaml: outer.several.1.color: unknown key. Did you mean 'colour'? Known: colour, width.",
        ),
        ({"momentum": 0.5}, "p.yaml: outer: 'momentum' acts only with choice 'two', not with 'one'; remove it."),
    ],
    ids=lambda value: None if isinstance(value, str) else str(value),
)
def test_a_mistake_is_one_sentence(change, sentence):
    """File, key, what is allowed, and what was probably meant."""
    assert refusal({"needed": 0.5} | change) == sentence


def test_a_key_without_default_must_be_there():
    """Nothing is guessed."""
    assert refusal(None) == refusal({}) == "p.yaml: outer.needed: missing; this key has no default."


@pytest.mark.parametrize("block", [[], "word", 3, False])
def test_a_block_is_a_mapping(block):
    """A list or a word in its place is named."""
    assert refusal(block) == f"p.yaml: outer: must be a mapping of keys to values, not {block!r}."


def test_what_is_not_a_number_is_in_no_range():
    """`.nan` compares as neither too small nor too large."""
    assert refusal({"needed": float("nan")}).startswith("p.yaml: outer.needed: nan should be ")


def test_each_of_several_mistakes_has_its_line():
    """One round of corrections, not three."""
    assert len(refusal({"needed": 2.0, "size": "a", "nonsense": 1}).splitlines()) == 3


@pytest.mark.parametrize(
    ("block", "keys"),
    [
        ({"needd": 1}, ["needd: unknown"]),
        ({"needd": 1, "sise": 4}, ["needd: unknown", "sise: unknown"]),
        ({"nonsense": 1}, ["needed: missing", "nonsense: unknown"]),
        ({"sise": 4}, ["needed: missing", "sise: unknown"]),
    ],
)
def test_a_missing_key_is_named_unless_it_stands_there_misspelt(block, keys):
    """A misspelt key is unknown and the right one missing: one mistake. Any other missing key is one more."""
    lines = refusal(block).splitlines()
    assert [" ".join(line.removeprefix("p.yaml: outer.").split()[:2]).rstrip(";") for line in lines] == keys


def test_a_whole_number_is_a_number():
    """`lr: 1` is what `lr: 1.0` is, in value and in type: the plan must not differ."""
    one, same = (Outer.read({"needed": value}, "p").model_dump_json() for value in (1, 1.0))
    assert one == same


def test_an_option_that_acts_is_taken():
    """`momentum` with the choice that reads it, and its default with any."""
    assert Outer.read({"needed": 1, "choice": "two", "momentum": 0.5}, "p").momentum == 0.5
    assert Outer.read({"needed": 1, "momentum": 0.9}, "p").momentum == 0.9


def test_options_cannot_be_changed():
    """What `check` resolved is what is used."""
    with pytest.raises(ValidationError, match="frozen"):
        Outer.read({"needed": 1}, "p").size = 5
