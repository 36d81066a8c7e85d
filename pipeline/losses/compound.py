"""Compound: a weighted sum of other losses."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self

from pydantic import Field, PrivateAttr, ValidationInfo, model_validator

from pipeline.losses.base import Batch, Loss
from pipeline.plumbing import plugins
from pipeline.plumbing.cells import NAME
from pipeline.plumbing.errors import UserError
from pipeline.plumbing.lazy import torch
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
        if self.start == 0 and (self.end == 0 or begin == 1):
            raise ValueError("a weight of 0 in every iteration makes no term; remove it.")
        return self

    def at(self, progress: float) -> float:
        """The weight when this share of the iterations is done."""
        begin, complete = self.between
        if progress >= complete:
            return self.end
        if progress <= begin:
            return self.start
        return self.start + (self.end - self.start) * (progress - begin) / (complete - begin)


class Term(NamedTuple):
    """One summand."""

    weight: Ramp
    loss: Loss
    class_weights: tuple[float, ...] | None = None
    """Of its own; empty for equal ones, None for those that the sum is given."""

    def value(self, batch: Batch) -> Tensor:
        """Its loss, not multiplied by its weight."""
        if self.class_weights is None:
            return self.loss.formula(batch)
        if not self.class_weights:  # the same batch where it can be, since that computes once what terms share
            return self.loss.formula(batch if batch.class_weights is None else replace(batch, class_weights=None))
        own = torch.tensor(self.class_weights, dtype=batch.logits.dtype)
        # Does not make the host wait for a GPU.
        return self.loss.formula(replace(batch, class_weights=own.to(batch.logits.device, non_blocking=True)))


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

    A term takes the class weights that the strategy makes. With `class_weights` it has its own instead, a number above
    0 for each class, of which only the ratios matter; `none` leaves it unweighted, whatever the strategy:

        {kind: compound, terms: {cross_entropy: {weight: 1.0, class_weights: [1.0, 10.0]},
                                 dice: {weight: 1.0, class_weights: none, background: false}}}

    A sum takes class weights if one of its terms does and none refuses those that it would get.
    What each term cost, before its weight, is recorded with the training loss: `train_loss/<term>` in history.csv.
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

    _terms: list[Term] = PrivateAttr(default_factory=list)

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
        ramps = [term.weight for term in self._terms]
        if self.weights == "learned" and any(ramp.start != ramp.end for ramp in ramps):
            raise UserError(f"{where}: weights that are learned cannot change by a schedule too; give numbers.")
        turns = sorted({0.0, *(share for ramp in ramps for share in ramp.between if share < 1)})
        if empty := [share for share in turns if not any(ramp.at(share) for ramp in ramps)]:
            raise UserError(f"{where}: all weights are 0 when {empty[0]:.0%} of the iterations are done.")

    def parts(self) -> tuple[Loss, ...]:
        return tuple(term.loss for term in self._terms)

    def refuses_class_weights(self) -> str | None:
        taking = [term.loss for term in self._terms if term.class_weights is None]
        if not taking:
            return "each of its terms says its own 'class_weights', so nothing would be weighed."
        return next((reason for loss in taking if (reason := loss.refuses_class_weights())), None)

    def refuses_classes(self, classes: int) -> str | None:
        for name, term in zip(self.terms, self._terms, strict=True):
            if term.class_weights and len(term.class_weights) != classes:
                return f"'class_weights' of {name} has {len(term.class_weights)} numbers; give one for each class."
        return next((reason for loss in self.parts() if (reason := loss.refuses_classes(classes))), None)

    def refuses_soft_targets(self) -> str | None:
        return next((reason for loss in self.parts() if (reason := loss.refuses_soft_targets())), None)

    def needs_distances(self) -> bool:
        return any(loss.needs_distances() for loss in self.parts())

    def needs_statistics(self) -> frozenset[str]:
        return frozenset().union(*(loss.needs_statistics() for loss in self.parts()))

    def learned_numbers(self) -> int:
        return len(self._terms) if self.weights == "learned" else 0

    def term_names(self) -> tuple[str, ...]:
        return tuple(self.terms)

    def formula(self, batch: Batch) -> Tensor:
        weights = [term.weight.at(batch.facts.progress) for term in self._terms]
        values = [term.value(batch) if weight > 0 else None for term, weight in zip(self._terms, weights, strict=True)]
        if batch.facts.terms is not None:  # whole, since a term that is a sum has filled it with its own
            batch.facts.terms[:] = [value if value is None else value.detach() for value in values]
        shares = [weight * value for weight, value in zip(weights, values, strict=True) if value is not None]
        if self.weights == "fixed":
            return sum(shares)
        s = batch.facts.learned
        if s is None:
            raise UserError(
                f"Compound with weights='learned' needs {len(shares)} numbers among its facts, `Facts(learned=...)`, "
                "that start at 0 and are trained with the model; weights='fixed' needs none."
            )
        learned = sum(s[k].neg().exp() * share + weights[k] * s[k] / 2 for k, share in enumerate(shares))
        return learned * batch.valid.any()


def _term(name: str, block: Any, where: str) -> Term:
    """One term, written as a number or as a mapping with `weight`."""
    if not NAME.fullmatch(name):  # it becomes a column of a table and a curve in MLflow
        raise UserError(f"{where}: the name of a term may hold lower-case letters, digits and _ only.")
    options = dict(block) if isinstance(block, dict) else {"weight": block}
    weight = options.pop("weight", None)
    class_weights = _class_weights(options.pop("class_weights"), where) if "class_weights" in options else None
    if isinstance(weight, dict):
        ramp = Ramp.read(weight, f"{where}.weight")
    elif not _is_weight(weight):
        raise UserError(f"{where}: needs a weight above 0, as in `{name}: 1.0`, not {brief(block)}.")
    else:
        ramp = Ramp(start=float(weight), end=float(weight))
    loss = plugins.build("losses", name, options, where)
    if loss.learned_numbers():
        raise UserError(f"{where}: a term cannot learn weights of its own; only the outermost compound can.")
    if class_weights and (reason := loss.refuses_class_weights()):
        raise UserError(f"{where}.class_weights: cannot weigh this loss: {reason.rstrip('.')}. Remove it.")
    return Term(ramp, loss, class_weights)


def _class_weights(given: Any, where: str) -> tuple[float, ...]:
    """Class weights of a term, the largest of them 1; empty for `none`."""
    if given == "none":
        return ()
    if not isinstance(given, list) or not given or not all(map(_is_weight, given)):
        raise UserError(
            f"{where}.class_weights: must be none, or a list with a number above 0 for each class, not {brief(given)}."
        )
    return tuple(each / max(given) for each in given)


def _is_weight(given: Any) -> bool:
    return isinstance(given, int | float) and not isinstance(given, bool) and 0 < given < float("inf")
