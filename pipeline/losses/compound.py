"""Compound: a weighted sum of other losses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import PrivateAttr, ValidationInfo, model_validator

from pipeline.losses.base import Loss
from pipeline.plumbing import plugins
from pipeline.plumbing.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor


class Compound(Loss):
    """Weighted sum of losses, sum_k lambda_k L_k.

    A term is `name: weight`, or `name: {weight: ..., option: ...}` to set options of its loss; as for every entry, the
    name is the file unless `kind` says otherwise:

        {kind: compound, terms: {cross_entropy: 1.0, focal_g5: {kind: focal, gamma: 5.0, weight: 0.5}}}

    Class weights go to every term, so a compound takes them only if all its terms do.
    """

    terms: dict[str, Any]
    """At least two losses and their weights, each above 0."""

    _terms: list[tuple[float, Loss]] = PrivateAttr(default_factory=list)

    @model_validator(mode="after")
    def _build_terms(self, info: ValidationInfo) -> Compound:
        where = (info.context or {}).get("where", "compound") + ".terms"
        if len(self.terms) < 2:
            raise UserError(f"{where}: a sum needs at least two terms, this one has {len(self.terms)}.")
        self._terms.extend(_term(name, block, f"{where}.{name}") for name, block in self.terms.items())
        return self

    def parts(self) -> tuple[Loss, ...]:
        return tuple(loss for _, loss in self._terms)

    def refuses_class_weights(self) -> str | None:
        return next((reason for loss in self.parts() if (reason := loss.refuses_class_weights())), None)

    def formula(self, logits: Tensor, target: Tensor, class_weights: Tensor | None) -> Tensor:
        return sum(weight * loss(logits, target, class_weights) for weight, loss in self._terms)


def _term(name: str, block: Any, where: str) -> tuple[float, Loss]:
    """Weight and loss of one term, written as a number or as a mapping with `weight`."""
    options = dict(block) if isinstance(block, dict) else {"weight": block}
    weight = options.pop("weight", None)
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight < float("inf"):
        raise UserError(f"{where}: needs a weight above 0, as in `{name}: 1.0`, not {block!r}.")
    return float(weight), plugins.build("losses", name, options, where)
