"""Chain: several strategies at once."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from pydantic import Field, PrivateAttr, ValidationInfo, model_validator

from pipeline.plumbing import plugins
from pipeline.plumbing.errors import UserError
from pipeline.strategies.base import Aspect, ClassStatistics, Draws, Strategy, Treatment

if TYPE_CHECKING:
    from torch import Tensor


class Chain(Strategy):
    """Several strategies at once, each acting on something else.

        weights_and_crops: {kind: chain, of: [class_weights, foreground_crops]}
        with_options:      {kind: chain, of: [{kind: class_weights, power: 1.0}, copy_paste]}

    Two that act on the same, such as two that choose which images are drawn, are refused: one would undo the other.
    Images are chosen before they are cropped and pasted into, whatever the order of the list. A strategy for decisions
    is fitted to the model that the others have trained.

    Use: when single strategies have been compared, and two of them help.

    Calibration: see the parts. Two corrections of the same imbalance add up: class weights with a sampler count a rare
    class twice.

    Family: composition.
    """

    of: list[Any] = Field(examples=[["class_weights", "foreground_crops"]])
    """At least two strategies, each a kind or a mapping with `kind` and options."""

    _parts: list[Strategy] = PrivateAttr(default_factory=list)

    @model_validator(mode="after")
    def _build_parts(self, info: ValidationInfo) -> Self:
        where = f"{(info.context or {}).get('where', 'chain')}.of"
        if len(self.of) < 2:
            raise UserError(f"{where}: a chain needs at least two strategies, this one has {len(self.of)}.")
        self._parts.extend(
            plugins.build_unnamed("strategies", block, f"{where}.{place}") for place, block in enumerate(self.of)
        )
        self._check_parts(where)
        return self

    def _check_parts(self, where: str) -> None:
        for part in self._parts:
            if len(part.phases()) > 1:
                raise UserError(f"{where}: '{part.kind}' cannot be part of a chain; chain within its phases instead.")
            if not part.aspects:
                raise UserError(f"{where}: '{part.kind}' does nothing; remove it.")
        for one, other in itertools.combinations(self._parts, 2):
            if both := [aspect for aspect in one.aspects if aspect in other.aspects]:
                what = " and ".join(both)
                raise UserError(f"{where}: '{one.kind}' and '{other.kind}' both act on {what}; remove one.")

    @property
    def aspects(self) -> tuple[Aspect, ...]:
        return tuple(aspect for part in self._parts for aspect in part.aspects)

    def parts(self) -> tuple[Strategy, ...]:
        return tuple(self._parts)

    def class_weights(self, statistics: ClassStatistics) -> np.ndarray | None:
        return _first(part.class_weights(statistics) for part in self._parts)

    def draws(self, common: Draws, statistics: ClassStatistics, batch_size: int, random: np.random.Generator) -> Draws:
        for part in sorted(self._parts, key=lambda part: "images" not in part.aspects):
            common = part.draws(common, statistics, batch_size, random)
        return common

    def treatment(self, statistics: ClassStatistics) -> Treatment:
        merged = Treatment()
        for part in self._parts:
            said = part.treatment(statistics)._asdict()
            merged = merged._replace(**{what: how for what, how in said.items() if how})
        return merged

    def kept_pixels(self, logits: Tensor, target: Tensor) -> Tensor | None:
        return _first(part.kept_pixels(logits, target) for part in self._parts)

    def logit_shift(self, statistics: ClassStatistics) -> np.ndarray | None:
        return _first(part.logit_shift(statistics) for part in self._parts)

    def decision(self, statistics: ClassStatistics, score: Callable[[np.ndarray], float]) -> np.ndarray | None:
        return _first(part.decision(statistics, score) for part in self._parts)


def _first(answers: Iterator[Any]) -> Any:
    """The one answer that is not None, or None: no two parts answer, since they would act on the same."""
    return next((answer for answer in answers if answer is not None), None)
