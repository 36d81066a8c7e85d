"""Two phases: one strategy first, another for the last share of the training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import numpy as np
from pydantic import Field, PrivateAttr, ValidationInfo, model_validator

from pipeline.plumbing import plugins
from pipeline.plumbing.errors import UserError
from pipeline.strategies.base import Aspect, ClassStatistics, Strategy


class TwoPhase(Strategy):
    """One strategy first, another for the last share of the same total number of iterations.

        late_weights: {kind: two_phase, first: none, then: {kind: class_weights, power: 1.0}, last: 0.3}

    Neither optimizer nor schedule starts anew: the second phase has the low learning rates of the end. Deferred
    re-weighting (Cao et al., "Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss", NeurIPS 2019,
    section 3.3) and re-balancing of a trained representation (Kang et al., "Decoupling Representation and Classifier
    for Long-Tailed Recognition", ICLR 2020) are of this form.

    Where we differ: the former lowers the learning rate in a step when the second phase begins, the latter then trains
    the classifier alone; here all layers go on along the common schedule.

    A second phase that acts on decisions trains as `none` does and is fitted at the end.

    Use: where a strong strategy is unsteady from random weights. To change the loss instead, see the loss `compound`.

    Calibration: that of the second phase, less marked the shorter it is.

    Family: composition.
    """

    first: Any = Field(examples=["none"])
    """Strategy of the first phase: a kind, or a mapping with `kind` and options."""
    then: Any = Field(examples=["class_weights"])
    """Strategy of the second phase, in the same form. One that acts on decisions belongs here."""
    last: float = Field(default=0.3, gt=0.0, lt=1.0)
    """Share of the iterations that the second phase has."""

    _first: Strategy = PrivateAttr()
    _then: Strategy = PrivateAttr()

    @model_validator(mode="after")
    def _build_phases(self, info: ValidationInfo) -> Self:
        where = (info.context or {}).get("where", "two_phase")
        self._first, self._then = (
            plugins.build_unnamed("strategies", getattr(self, phase), f"{where}.{phase}") for phase in ("first", "then")
        )
        if any(len(phase.phases()) > 1 for phase in self.parts()):
            raise UserError(f"{where}: a phase cannot have phases of its own.")
        if self._first == self._then:
            raise UserError(f"{where}: both phases are the same; make it an entry without phases.")
        if "decisions" in self._first.aspects:
            raise UserError(
                f"{where}.first: decisions are fitted after training; put '{self._first.kind}' into 'then'."
            )
        return self

    @property
    def aspects(self) -> tuple[Aspect, ...]:
        return tuple(dict.fromkeys(aspect for phase in self.parts() for aspect in phase.aspects))

    def parts(self) -> tuple[Strategy, ...]:
        return (self._first, self._then)

    def phases(self) -> tuple[tuple[float, Strategy], ...]:
        return ((0.0, self._first), (1 - self.last, self._then))

    def decision(self, statistics: ClassStatistics, score: Callable[[np.ndarray], float]) -> np.ndarray | None:
        return self._then.decision(statistics, score)
