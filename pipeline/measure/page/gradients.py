"""What the gradients mean, in words and numbers for the page."""

from typing import Any

import numpy as np
import pandas as pd

from pipeline.measure.figures.gradients import rarest_first
from pipeline.measure.figures.style import of, present
from pipeline.measure.page.models import paragraphs, without_only_model
from pipeline.measure.story import Story
from pipeline.measure.tables.gradients import END, START
from pipeline.measure.text import percent

ALIKE = 2  # norms within this factor are no argument about learning rates


def gradient_sentences(story: Story, dataset: str) -> list[str]:
    """A paragraph per model of which gradients are known."""
    models = [model for model in story.cells["model"].unique() if len(of(story.gradients.norms, dataset, model))]
    return paragraphs(story, models, lambda model: _paragraph(story, dataset, model))


def gradient_rows(story: Story, dataset: str) -> list[dict[str, str]]:
    """A row per model and loss as text: relative norms and cosine at the start and at the end."""
    rows = []
    for model in story.cells["model"].unique():
        known = of(story.gradients.norms, dataset, model)
        for loss in present(story, known, "loss"):
            at = known[known["loss"] == loss].set_index("at")
            row = {"model": model, "loss": loss}
            for title, column in (("weights", "weights_relative"), ("logits", "logits_relative"), ("cosine", "cosine")):
                row |= {f"{title}, {point}": _number(at[column].get(point, np.nan)) for point in (START, END)}
            rows.append(row | {"remark": at["state"].get(END, "")})
    return without_only_model(rows, story)


def _paragraph(story: Story, dataset: str, model: str) -> str:
    norms = of(story.gradients.norms, dataset, model).pivot(index="loss", columns="at")
    optimizer = story.fits.get(dataset, {}).get("optimizer", "sgd")
    sentences = [
        _span(norms["weights_relative"][START].dropna(), optimizer),
        _change(norms["weights_relative"]),
        _rarest(of(story.gradients.classes, dataset, model), rarest_first(story, dataset)),
        _direction(norms["cosine"][START].dropna()),
        _absent(norms["state"]),
    ]
    return " ".join(filter(None, sentences))


def _span(norms: pd.Series, optimizer: str) -> str:
    """How far the norms at the initial weights lie apart."""
    norms = norms[norms > 0]
    if len(norms) < 2:
        return ""
    low, high = norms.idxmin(), norms.idxmax()
    factor = norms[high] / norms[low]
    if factor < ALIKE:
        return f"At the initial weights the gradients of all losses are alike in norm, within a factor of {factor:.1f}."
    span = (
        f"At the initial weights the gradients span a factor of {_number(factor)}, from {low} ({_number(norms[low])} "
        f"times the norm of cross-entropy) to {high} ({_number(norms[high])} times):"
    )
    if optimizer == "sgd":
        return f"{span} one learning rate cannot suit all."
    return (
        f"{span} with sgd one learning rate could not suit all; {optimizer} divides a gradient by its recent size and "
        "so takes out a factor that stays the same."
    )


def _change(norms: pd.DataFrame) -> str:
    """The loss whose norm relative to cross-entropy changes most: what rescaling a loss does not mend."""
    if END not in norms:
        return ""
    change = np.log((norms[END] / norms[START]).where((norms[START] > 0) & (norms[END] > 0)).astype(float)).dropna()
    if change.empty or change.abs().max() < np.log(ALIKE):
        return ""
    loss = change.abs().idxmax()
    return (
        f"From start to end this relative norm changes most for {loss}, from {_number(norms[START][loss])} to "
        f"{_number(norms[END][loss])} times, which no constant factor takes out."
    )


def _rarest(classes: pd.DataFrame, order: list[str]) -> str:
    """What the rarest class that occurs gets of the gradient."""
    start = classes[(classes["at"] == START) & (classes["pixel_share"] > 0)].dropna(subset="gradient_share")
    seen = [name for name in order if name in set(start["class_name"])]
    if not seen:
        return ""
    rarest = start[start["class_name"] == seen[0]].set_index("loss")
    shares = rarest["gradient_share"]
    pixels = f"The rarest class, {seen[0]}, has {percent(rarest['pixel_share'].iloc[0])} of these pixels"
    if len(shares) == 1:
        return f"{pixels} and {percent(shares.iloc[0])} of the gradient."
    low, high = shares.idxmin(), shares.idxmax()
    return (
        f"{pixels}; its share of the gradient goes from {percent(shares[low])} under {low} to "
        f"{percent(shares[high])} under {high}."
    )


def _direction(cosines: pd.Series) -> str:
    if len(cosines) < 2:
        return ""
    loss = cosines.idxmin()
    return f"Least like cross-entropy in direction is {loss}, with a cosine of {cosines[loss]:.2f}."


def _absent(states: pd.DataFrame) -> str:
    """Losses without a trained model, and why."""
    if END not in states:
        return ""
    absent = [f"{loss} ({state})" for loss, state in states[END].items() if state]
    return f"Not measured at the end: {', '.join(absent)}." if absent else ""


def _number(value: Any) -> str:
    """Two digits that count."""
    return "–" if pd.isna(value) else f"{float(f'{value:.2g}'):g}"
