"""Experiments with a loss. Each is Python source: a line that makes the inputs, then numbers that are computed from
them and a function `loss`. So what is run is what the page prints, and a reader can paste it.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

Promise = Callable[[np.ndarray, np.ndarray], float]


@dataclass(frozen=True)
class Subject:
    """A loss and what it offers."""

    loss: Callable[..., Tensor]
    """`loss(logits, target, w=None, **options)` of logits `b c h w` and a target `b h w` with 255 at void pixels."""
    promise: Promise
    """What its name promises, in NumPy and float64, of logits and a target in which each class has a pixel."""
    classes: int = 3
    """2 for a loss of two classes only; it is then given two channels like the others."""
    void: bool = True
    """Whether it can ignore pixels."""
    weights: bool = True
    """Whether it can take a weight per class."""
    options: tuple[str, ...] = ()
    """Settings unlike the default, each of which must change the value: `"alpha=0.3, beta=0.7"`."""


class Verdict(NamedTuple):
    """What a property says of a loss."""

    outcome: Literal["pass", "fail", "not offered"]
    given: str = ""
    """A line that makes the inputs; empty where nothing was run."""
    shown: str = ""
    """A line that prints what was measured."""
    observed: str = ""
    """What it prints, and what it should."""


def observe(loss: Callable[..., Tensor] | None, given: str, measured: str) -> tuple[float, ...] | str:
    """The numbers of an expression, after the line that makes its inputs; or what was raised."""
    names: dict[str, Any] = {"torch": torch, "loss": loss}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exec(given, names)
            return tuple(float(value) for value in eval(f"[{measured}]", names))
    except Exception as error:
        lines = str(error).strip().splitlines() or [""]
        return f"{type(error).__name__}: {lines[0][:100]}"


def written(observed: tuple[float, ...] | str, digits: int = 4) -> str:
    """Rounded to what is the same on any machine."""
    return observed if isinstance(observed, str) else " ".join(f"{value:.{digits}g}" for value in observed)


def printed(measured: str) -> str:
    """A line of Python that prints the numbers of an expression."""
    return f"print(*map(float, [{measured}]))"


def attempt(
    subject: Subject, given: str, measured: str, expected: str, holds: Callable[..., bool], digits: int = 4
) -> Verdict:
    """Run an experiment. An exception is a failure: a user would meet it."""
    observed = observe(subject.loss, given, measured)
    holding = not isinstance(observed, str) and holds(*observed)
    text = f"{written(observed, digits)}; {expected}"
    return Verdict("pass" if holding else "fail", given, printed(measured), text)
