"""The factorial view in words and numbers for the page."""

import numpy as np
import pandas as pd

from pipeline.measure.figures.style import axes_of, of
from pipeline.measure.page.models import paragraphs, without_only_model
from pipeline.measure.story import Story
from pipeline.measure.text import chance, interval, number, p_value


def factorial_sentences(story: Story, dataset: str) -> list[str]:
    """A paragraph per model: the mean effect of the strategies, whether it depends on the loss, and limits."""
    if len(axes_of(story)[1]) < 2:
        return [f"No strategy is compared with {story.control['strategy']}: there is only one strategy."]
    return paragraphs(story, story.cells["model"].unique(), lambda model: _paragraph(story, dataset, model))


def mean_claims(story: Story, dataset: str, model: str, factor: str) -> list[str]:
    """What is proven of strategies on average over losses, or of losses over strategies, the greatest difference
    first: `class_weights is better than none by +0.041 [+0.032, +0.049]`."""
    main = of(story.factorial.main, dataset, model)
    proven = main[(main["factor"] == factor) & main["verdict"].isin(["better", "worse"])]
    return [
        f"{row.level} is {row.verdict} than {story.control[factor]} by {row.mean:+.3f} "
        f"{interval(row.low, row.high, '+.3f')}"
        for row in proven.sort_values("mean", ascending=False).itertuples()
    ]


def difference_rows(story: Story, table: pd.DataFrame, dataset: str, names: list[str]) -> list[dict[str, str]]:
    """Rows of differences as text: `names` and, where there are several, the model; then the numbers."""
    rows = [
        {
            **{name: row[name] for name in ("model", *names)},
            "n": str(row["n"]),
            "difference": number(row["mean"], "+.3f"),
            "its interval": interval(row["low"], row["high"], "+.3f"),
            "p, corrected": chance(row["p_holm"]),
            "verdict": row["verdict"],
        }
        for row in table[table["dataset"] == dataset].to_dict("records")
    ]
    return without_only_model(rows, story)


def two_way_rows(story: Story, dataset: str) -> list[dict[str, str]]:
    """The lines of the two-way analysis as text."""
    known = story.factorial.two_way
    rows = [
        {
            "model": row["model"],
            "effect": row["effect"].replace(" x ", " × "),
            "n": str(row["n"]),
            "df": f"{row['df']}, {row['df_error']}",
            "F": number(row["F"], ".2f"),
            "epsilon": number(row["epsilon"], ".2f"),
            "p": chance(row["p"]),
            "partial η²": number(row["partial_eta_squared"], ".2f"),
        }
        for row in known[known["dataset"] == dataset].to_dict("records")
    ]
    return without_only_model(rows, story)


def _paragraph(story: Story, dataset: str, model: str) -> str:
    sentences = [_means(story, dataset, model), _interaction(story, dataset, model), _reused(story)]
    return " ".join(filter(None, sentences))


def _means(story: Story, dataset: str, model: str) -> str:
    """Which strategies help on average."""
    losses, claims = axes_of(story)[0], mean_claims(story, dataset, model, "strategy")
    over = f"Averaged over {len(losses)} losses" if len(losses) > 1 else f"Under {losses[0]}"
    if not claims:
        return f"{over}, no strategy is proven better or worse than {story.control['strategy']}."
    return f"{over}, {', '.join(claims)}; no other difference is proven."


def _interaction(story: Story, dataset: str, model: str) -> str:
    """Whether the effect of a strategy depends on the loss, or why that is not known."""
    obstacles = of(story.factorial.obstacles, dataset, model)
    if len(obstacles):
        return f"There is no two-way analysis: {obstacles['reason'].iloc[0]}."
    line = of(story.factorial.two_way, dataset, model).set_index("effect").loc["loss x strategy"]
    if np.isnan(line["p"]):
        return "Whether the effect depends on the loss is not known: the scores do not vary over seeds."
    found = f"interaction: F({line['df']}, {line['df_error']}) = {line['F']:.2f}, {p_value(line['p'])}"
    if line["p"] < 1 - story.rules.confidence:
        return f"The effect of a strategy differs between losses ({found}): read the panels, not the mean."
    return f"No difference of the effect between losses is proven ({found}), which does not prove that there is none."


def _reused(story: Story) -> str:
    """The limit of what is said of strategies that share the weights of another."""
    sentences = []
    for source in dict.fromkeys(story.reused.values()):
        names = " and ".join(name for name, of_it in story.reused.items() if of_it == source)
        sentences.append(
            f"Cells of {names} judge the weights of {source} once more and so are not independent of it: their "
            "difference speaks of the decision, not of training."
        )
    return " ".join(sentences)
