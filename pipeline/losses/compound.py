"""Compound: a weighted sum of other losses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, PrivateAttr, ValidationInfo, model_validator

from pipeline.losses.base import Batch, Loss
from pipeline.plumbing import plugins
from pipeline.plumbing.errors import UserError
from pipeline.plumbing.messages import brief
from pipeline.plumbing.options import Options

if TYPE_CHECKING:
    from torch import Tensor


class Ramp(Options):
    """A weight that changes during training, linearly between two shares of the iterations, or at once at one."""

    start: float = Field(ge=0.0, lt=float("inf"))
    """Weight before the change."""
    end: float = Field(ge=0.0, lt=float("inf"))
    """Weight after it."""
    between: tuple[float, float] = Field(default=(0.0, 1.0), strict=False)
    """Shares of the iterations at which the change begins and is complete; equal ones make a switch."""

    @model_validator(mode="after")
    def _shares_are_in_order(self) -> Self:
        begin, complete = self.between
        if not 0 <= begin <= complete <= 1:
            raise ValueError(f"'between' must be two shares in order, from 0 to 1, not {list(self.between)}.")
        return self

    def at(self, progress: float) -> float:
        """The weight when this share of the iterations is done."""
        begin, complete = self.between
        if progress >= complete:
            return self.end
        if progress <= begin:
            return self.start
        return self.start + (self.end - self.start) * (progress - begin) / (complete - begin)


class Compound(Loss):
    """Weighted sum of losses.

        fixed:    L = sum_k lambda_k L_k
        learned:  L = sum_k lambda_k (exp(-s_k) L_k + s_k / 2)

    A term is `name: weight`, or `name: {weight: ..., option: ...}` to set options of its loss; as for every entry, the
    name is the file unless `kind` says otherwise. A weight is a number above 0 or changes during training:

        {kind: compound, terms: {cross_entropy: 1.0, focal_g5: {kind: focal, gamma: 5.0, weight: 0.5}}}
        {kind: compound, terms: {cross_entropy: {weight: {start: 1.0, end: 0.1}}, dice: 1.0}}                 a ramp
        {kind: compound, terms: {cross_entropy: {weight: {start: 1.0, end: 0.0, between: [0.5, 0.5]}},
                                 lovasz_softmax: {weight: {start: 0.0, end: 1.0, between: [0.5, 0.5]}}}}   a switch

    Class weights go to every term, so a compound takes them only if all its terms do.
    Absent class: as each term has it.

    Use: to join a loss by pixel, which is steady from the first step, with one by overlap or boundary, which is nearer
    to the metric. Terms differ in the size of their gradients, so equal weights are no equal shares: beside
    `cross_entropy`, `dice` with weight 1 has little say while the model still knows nothing.
    Family: compound.
    """

    terms: dict[str, Any] = Field(examples=[{"cross_entropy": 1.0, "dice": 1.0}])
    """At least two losses and their weights."""
    weights: Literal["fixed", "learned"] = "fixed"
    """`learned` multiplies each weight by exp(-s), with a log variance s that starts at 0 and is trained with the model
    (Kendall, Gal, Cipolla, "Multi-Task Learning Using Uncertainty", CVPR 2018, equation 10). A batch without a valid
    pixel leaves s alone."""

    _terms: list[tuple[Ramp, Loss]] = PrivateAttr(default_factory=list)

    @model_validator(mode="after")
    def _build_terms(self, info: ValidationInfo) -> Self:
        where = (info.context or {}).get("where", "compound") + ".terms"
        if len(self.terms) < 2:
            raise UserError(f"{where}: a sum needs at least two terms, this one has {len(self.terms)}.")
        self._terms.extend(_term(name, block, f"{where}.{name}") for name, block in self.terms.items())
        self._check_weights(where)
        return self

    def _check_weights(self, where: str) -> None:
        """Weights are learned or scheduled, and never all 0."""
        ramps = [ramp for ramp, _ in self._terms]
        if self.weights == "learned" and any(ramp.start != ramp.end for ramp in ramps):
            raise UserError(f"{where}: weights that are learned cannot change by a schedule too; give numbers.")
        turns = sorted({0.0, *(share for ramp in ramps for share in ramp.between if share < 1)})
        if empty := [share for share in turns if not any(ramp.at(share) for ramp in ramps)]:
            raise UserError(f"{where}: all weights are 0 when {empty[0]:.0%} of the iterations are done.")

    def parts(self) -> tuple[Loss, ...]:
        return tuple(loss for _, loss in self._terms)

    def refuses_class_weights(self) -> str | None:
        return next((reason for loss in self.parts() if (reason := loss.refuses_class_weights())), None)

    def refuses_classes(self, classes: int) -> str | None:
        return next((reason for loss in self.parts() if (reason := loss.refuses_classes(classes))), None)

    def needs_distances(self) -> bool:
        return any(loss.needs_distances() for loss in self.parts())

    def learned_numbers(self) -> int:
        return len(self._terms) if self.weights == "learned" else 0

    def formula(self, batch: Batch) -> Tensor:
        now = [(ramp.at(batch.facts.progress), loss) for ramp, loss in self._terms]
        values = [weight * loss.formula(batch) for weight, loss in now if weight > 0]
        s = batch.facts.learned
        if self.weights == "fixed" or s is None:
            return sum(values)
        weights = [ramp.start for ramp, _ in self._terms]
        learned = sum(s[k].neg().exp() * value + weights[k] * s[k] / 2 for k, value in enumerate(values))
        return learned * batch.valid.any()


def _term(name: str, block: Any, where: str) -> tuple[Ramp, Loss]:
    """Weight and loss of one term, written as a number or as a mapping with `weight`."""
    options = dict(block) if isinstance(block, dict) else {"weight": block}
    weight = options.pop("weight", None)
    if isinstance(weight, dict):
        ramp = Ramp.read(weight, f"{where}.weight")
    elif isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight < float("inf"):
        raise UserError(f"{where}: needs a weight above 0, as in `{name}: 1.0`, not {brief(block)}.")
    else:
        ramp = Ramp(start=float(weight), end=float(weight))
    loss = plugins.build("losses", name, options, where)
    if loss.learned_numbers():
        raise UserError(f"{where}: a term cannot learn weights of its own; only the outermost compound can.")
    return ramp, loss
