"""The dial in words and as a table of the page."""

import itertools

import pandas as pd

from pipeline.measure.figures.style import axes_of
from pipeline.measure.page.models import several_models, without_only_model
from pipeline.measure.story import Story
from pipeline.measure.tables.dial import Dial
from pipeline.measure.text import interval, number, percent


def dial_sentences(story: Story, dial: Dial) -> list[str]:
    """At what imbalance each remedy begins to pay, or that this is not proven."""
    known, control = story.dial[story.dial["dial"] == dial.name], story.control["strategy"]
    better = known[known["verdict"] == "better"]
    if better.empty:
        return [
            f"At no position is a strategy proven better than {control} under the same loss: at what imbalance a "
            "remedy begins to pay is inconclusive here."
        ]
    sentences = []
    for strategy, rows in better.groupby("strategy", sort=False):
        first, *others = (
            f"{percent(share)} (under {_where(each, story)})" for share, each in rows.groupby("share", sort=False)
        )
        also = f", and also at {', '.join(others)}" if others else ", and nowhere else"
        sentences.append(f"{strategy} is first proven better than {control} at {first} of the {dial.quantity}{also}.")
    rest = [name for name in known["strategy"].unique() if name not in {control, *better["strategy"]}]
    return [*sentences, f"Nowhere proven better: {', '.join(rest)}."] if rest else sentences


def dial_rows(story: Story, dial: Dial) -> list[dict[str, str]]:
    """A row per position, model and loss as text: the strategies that are proven better or worse than the control's."""
    known = story.dial[story.dial["dial"] == dial.name]
    models, losses = story.cells["model"].unique(), axes_of(story)[0]
    rows = []
    for dataset, model, loss in itertools.product(dial.shares, models, losses):
        group = known[(known["dataset"] == dataset) & (known["model"] == model) & (known["loss"] == loss)]
        place = {"dataset": dataset, f"share of {dial.quantity}": percent(dial.shares[dataset])}
        names = {"model": model, "loss": loss}
        rows.append(place | names | {word: _listed(group[group["verdict"] == word]) for word in ("better", "worse")})
    return without_only_model(rows, story)


def _where(rows: pd.DataFrame, story: Story) -> str:
    """Losses, with models where there are several."""
    several = several_models(story)
    return ", ".join(f"{row.loss} on {row.model}" if several else row.loss for row in rows.itertuples())


def _listed(rows: pd.DataFrame) -> str:
    """`class_weights +0.050 [+0.020, +0.080]; ...`, or `none proven`."""
    found = [
        f"{row.strategy} {number(row.difference, '+.3f')} {interval(row.difference_low, row.difference_high, '+.3f')}"
        for row in rows.itertuples()
    ]
    return "; ".join(found) or "none proven"
