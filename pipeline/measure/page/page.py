"""The report as one web page: no script, no network, its figures inside it and as files beside it."""

import base64
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import pandas as pd
from matplotlib.figure import Figure

from pipeline.measure.figures import scores as figures
from pipeline.measure.figures.dial import dial_figure
from pipeline.measure.figures.factorial import effects
from pipeline.measure.figures.gallery import gallery
from pipeline.measure.figures.gradients import gradient_classes, gradient_cosines, gradient_norms, rarest_first
from pipeline.measure.figures.style import axes_of, of, png
from pipeline.measure.metrics.table import METRICS
from pipeline.measure.page.dial import dial_rows, dial_sentences
from pipeline.measure.page.factorial import difference_rows, factorial_sentences, two_way_rows
from pipeline.measure.page.gradients import gradient_rows, gradient_sentences
from pipeline.measure.page.summary import interval, missing, notes, number, percent, readable_row, sentence
from pipeline.measure.story import Story
from pipeline.measure.tables.decisions import decision_rows
from pipeline.measure.tables.dial import Dial
from pipeline.measure.tables.rates import sensitivity
from pipeline.measure.tables.scores import EXPERIMENT
from pipeline.measure.tables.seen import seen_rows
from pipeline.plumbing.files import whole

TEMPLATE = Path(__file__).with_name("page.html.j2")


class Picture(NamedTuple):
    """A figure as it stands in the page."""

    kind: str
    alt: str
    width: int
    """In CSS pixels; the PNG has half as many again, for sharp screens and print."""
    height: int
    base64: str


def write_page(directory: Path, story: Story) -> None:
    """Write `directory/index.html` and `directory/figures/*.png`, all or nothing."""
    with whole(directory) as part:
        figures_at = part / "figures"
        figures_at.mkdir(parents=True)
        pictures = {dataset: list(_pictures(story, dataset, figures_at)) for dataset in story.datasets}
        dials = {dial.name: list(_dial_pictures(story, dial, figures_at)) for dial in story.dials}
        (part / "index.html").write_text(render(story, pictures, dials), encoding="utf-8")


def render(story: Story, pictures: dict[str, list[Picture]], dial_pictures: dict[str, list[Picture]]) -> str:
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
        number=number,
        interval=interval,
        chapters=[chapter(story, dataset) | {"pictures": pictures[dataset]} for dataset in story.datasets],
        dials=[dial_chapter(story, dial) | {"pictures": dial_pictures[dial.name]} for dial in story.dials],
        states=story.cells["state"].str.split().str[0].value_counts(sort=False).to_dict(),
        models=list(story.cells["model"].unique()),
        missing=missing(story),
        notes=notes(story),
        settings=sorted({name for fit in story.fits.values() for name in fit}),
        origin=origin(story.origins),
    )


def chapter(story: Story, dataset: str) -> dict[str, Any]:
    """What the page says of one dataset."""
    main = difference_rows(story, story.factorial.main, dataset, ["factor", "level"])
    return {
        "dataset": dataset,
        "meta": story.datasets[dataset],
        "verdict": sentence(story, dataset),
        "rows": leaderboard_rows(story, dataset),
        "factorial_sentences": factorial_sentences(story, dataset),
        "main_effects": main,
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


def leaderboard_rows(story: Story, dataset: str) -> list[dict[str, str]]:
    """The experiments of a dataset as text, best first, without empty columns and without an only model."""
    ranked = story.leaderboard[story.leaderboard["dataset"] == dataset]
    rows = [readable_row(row, story) for row in ranked.to_dict("records")]
    columns = [name for name in rows[0] if any(row[name] for row in rows)]
    columns = columns if story.cells["model"].nunique() > 1 else [name for name in columns if name != "model"]
    return [{name: row[name] for name in columns} for row in rows]


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


def _pictures(story: Story, dataset: str, folder: Path) -> Iterator[Picture]:
    """Draw the figures of a dataset, each to a file `KIND-DATASET-MODEL.png` and for the page."""
    score = METRICS[story.primary].title
    for model in story.cells["model"].unique():
        place = f"{dataset}-{model}"
        alt = f"Heat map of {score} by loss and strategy for {place}; the leaderboard has the numbers."
        yield _picture("heatmap", alt, figures.heatmap(story, dataset, model), folder / f"heatmap-{place}.png")
        if not of(story.factorial.effects, dataset, model).empty:
            alt = f"Effect of each strategy under each loss with its interval, for {place}; a table has the numbers."
            yield _picture("effects", alt, effects(story, dataset, model), folder / f"effects-{place}.png")
        if not of(story.curves, dataset, model).empty:
            alt = f"Validation mIoU and training loss of each loss against iteration, by strategy, for {place}."
            yield _picture("curves", alt, figures.curves(story, dataset, model), folder / f"curves-{place}.png")
        if not of(story.trials, dataset, model).empty:
            alt = f"Validation mIoU of each loss against the learning rate tried, for {place}."
            yield _picture("rates", alt, sensitivity(story, dataset, model), folder / f"rates-{place}.png")
        if not of(story.classes, dataset, model).empty:
            alt = f"IoU of each class, rarest first, by strategy and loss for {place}; the table below has the numbers."
            yield _picture("classes", alt, figures.class_scores(story, dataset, model), folder / f"classes-{place}.png")
        yield from _gradient_pictures(story, dataset, model, folder)
        for index, shown in enumerate(each for each in story.gallery if each.dataset == dataset):
            alt = f"Test image {shown.name} of {dataset}, its truth, and the prediction and errors of each experiment."
            figure = gallery(shown, model, *axes_of(story))
            yield _picture("gallery", alt, figure, folder / f"gallery-{place}-{index}.png")


def _dial_pictures(story: Story, dial: Dial, folder: Path) -> Iterator[Picture]:
    score = METRICS[story.primary].title
    for model in story.cells["model"].unique():
        place = f"{dial.name}-{model}"
        alt = f"{score} and IoU of {dial.class_name} against its share of train {dial.quantity}, by loss, for {place}."
        yield _picture("dial", alt, dial_figure(story, dial, model), folder / f"dial-{place}.png")


def _gradient_pictures(story: Story, dataset: str, model: str, folder: Path) -> Iterator[Picture]:
    place = f"{dataset}-{model}"
    if of(story.gradients.norms, dataset, model).empty:
        return
    about = {
        "gradient-norms": (gradient_norms, "Norm of the gradient of each loss relative to cross-entropy"),
        "gradient-classes": (gradient_classes, "Share of the gradient of each loss at each class, and its pixel share"),
        "gradient-cosines": (gradient_cosines, "Cosine between the gradients of every two losses"),
    }
    for kind, (draw, alt) in about.items():
        yield _picture(kind, f"{alt}, for {place}.", draw(story, dataset, model), folder / f"{kind}-{place}.png")


def _picture(kind: str, alt: str, figure: Figure, file: Path) -> Picture:
    drawn = png(figure)
    file.write_bytes(drawn)
    width, height = (round(96 * inches) for inches in figure.get_size_inches())
    return Picture(kind, alt, width, height, base64.b64encode(drawn).decode())
