"""The report as one web page: no network, its figures inside it and as files beside it; its one script only sorts."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from pipeline.measure.figures.gradients import rarest_first
from pipeline.measure.metrics.table import FAMILIES, METRICS
from pipeline.measure.page.dial import dial_rows, dial_sentences
from pipeline.measure.page.factorial import difference_rows, factorial_sentences, two_way_rows
from pipeline.measure.page.gradients import gradient_rows, gradient_sentences
from pipeline.measure.page.headline import headline
from pipeline.measure.page.metrics import metric_groups
from pipeline.measure.page.models import without_only_model
from pipeline.measure.page.pictures import Picture, dial_pictures, pictures, tests_pictures
from pipeline.measure.page.ranking import ranking_chapter, tests_chapter
from pipeline.measure.page.strip import strips
from pipeline.measure.page.summary import INTERVALS, leaderboard_rows, missing, notes
from pipeline.measure.story import Story
from pipeline.measure.tables.calibration import calibration_rows
from pipeline.measure.tables.decisions import decision_rows
from pipeline.measure.tables.dial import Dial
from pipeline.measure.tables.ranking import ALL
from pipeline.measure.tables.scores import EXPERIMENT
from pipeline.measure.tables.seen import seen_rows
from pipeline.measure.text import estimate, interval, number, percent
from pipeline.plumbing.errors import listed
from pipeline.plumbing.files import whole

TEMPLATE = Path(__file__).with_name("page.html.j2")
PARTS = {
    "leaderboard": "Leaderboard",
    "ranking": "Ranking",
    "strategies": "Losses and strategies",
    "classes": "Classes by frequency",
    "cost": "Cost and quality",
    "calibration": "Calibration",
    "training": "Training",
    "gradients": "Gradients",
    "gallery": "Gallery",
    "metrics": "All metrics",
}


def write_page(directory: Path, story: Story) -> None:
    """Write `directory/index.html` and `directory/figures/*.png`, all or nothing."""
    with whole(directory) as part:
        figures_at = part / "figures"
        figures_at.mkdir(parents=True)
        drawn = {dataset: list(pictures(story, dataset, figures_at)) for dataset in story.datasets}
        dials = {dial.name: list(dial_pictures(story, dial, figures_at)) for dial in story.dials}
        across = list(tests_pictures(story, figures_at))
        (part / "index.html").write_text(render(story, drawn, dials, across), encoding="utf-8")


def render(
    story: Story, drawn: dict[str, list[Picture]], dials: dict[str, list[Picture]], across: list[Picture]
) -> str:
    """The HTML of the page; everything that a person named is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATE.parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(TEMPLATE.name).render(
        story=story,
        metric=METRICS[story.primary],
        metrics=METRICS,
        families=FAMILIES,
        number=number,
        interval=interval,
        estimate=estimate,
        listed=listed,
        parts=PARTS,
        intervals=INTERVALS,
        chapters=[chapter(story, dataset) | {"pictures": drawn[dataset]} for dataset in story.datasets],
        dials=[dial_chapter(story, dial) | {"pictures": dials[dial.name]} for dial in story.dials],
        across=tests_chapter(story, ALL) | {"pictures": across},
        states=story.cells["state"].str.split().str[0].value_counts(sort=False).to_dict(),
        models=list(story.cells["model"].unique()),
        missing=missing(story),
        notes=notes(story),
        settings=sorted({name for fit in story.fits.values() for name in fit}),
        origin=origin(story.origins),
    )


def chapter(story: Story, dataset: str) -> dict[str, Any]:
    """What the page says of one dataset."""
    return {
        "dataset": dataset,
        "meta": story.datasets[dataset],
        "headline": headline(story, dataset),
        "strips": strips(story, dataset),
        "rows": without_only_model(leaderboard_rows(story, dataset), story),
        "metric_groups": metric_groups(story, dataset),
        **ranking_chapter(story, dataset),
        "calibration": without_only_model(calibration_rows(story, dataset), story),
        "factorial_sentences": factorial_sentences(story, dataset),
        "main_effects": difference_rows(story, story.factorial.main, dataset, ["factor", "level"]),
        "two_way": two_way_rows(story, dataset),
        "effects": difference_rows(story, story.factorial.effects, dataset, ["loss", "strategy"]),
        "classes": class_rows(story, dataset),
        "seen": seen_rows(story, dataset),
        "decisions": decision_rows(story, dataset),
        "rarest_first": rarest_first(story, dataset),
        "gradients": gradient_rows(story, dataset),
        "gradient_sentences": gradient_sentences(story, dataset),
        "rates": story.rates[story.rates["dataset"] == dataset].to_dict("records"),
        "tuning": story.tuning[story.tuning["dataset"] == dataset].to_dict("records"),
    }


def dial_chapter(story: Story, dial: Dial) -> dict[str, Any]:
    """What the page says of one dial."""
    shares = [percent(share) for share in dial.shares.values()]
    rest = {"sentences": dial_sentences(story, dial), "rows": dial_rows(story, dial)}
    return dial._asdict() | {"first": shares[0], "last": shares[-1]} | rest


def class_rows(story: Story, dataset: str) -> list[dict[str, Any]]:
    """Experiments in the order of the leaderboard with the IoU of each class, the class rarest in training first."""
    known = story.classes[story.classes["dataset"] == dataset].sort_values("train_frequency", kind="stable")
    groups = dict(list(known.groupby(EXPERIMENT)))
    ranked = story.leaderboard[EXPERIMENT].itertuples(index=False, name=None)
    return [
        {**dict(zip(EXPERIMENT, each, strict=True)), "scores": groups[each].to_dict("records")}
        for each in ranked
        if each in groups
    ]


def origin(origins: list[dict[str, Any]]) -> dict[str, str]:
    """Where the trained cells come from: each different value once, and the time that all of them took."""
    facts = pd.DataFrame(origins, columns=["device", "threads", "python", "git_commit"]).astype(str)
    versions = pd.DataFrame([each["versions"] for each in origins])
    several = {name: ", ".join(facts[name].unique()) or "–" for name in facts}
    packages = {name: ", ".join(versions[name].dropna().unique()) for name in versions}
    time = timedelta(seconds=round(sum(each["seconds"] for each in origins)))
    return {"trained cells": str(len(origins)), "training time, all cells": f"{time} h", **several, **packages}
