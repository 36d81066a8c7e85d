"""The page holds every result and loads nothing."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from pipeline.measure.metrics.table import METRICS
from pipeline.measure.page.headline import headline
from pipeline.measure.page.page import PARTS, write_page

VOID_ELEMENTS = {"meta", "img", "br"}
LOADING = {"src", "srcset", "poster", "data", "action", "background"}


class Page(HTMLParser):
    """Checks that tags are balanced, and collects texts, attributes and ids."""

    def __init__(self, html: str):
        super().__init__()
        self.open, self.texts, self.attributes, self.tags = [], [], [], []
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes
        if tag not in VOID_ELEMENTS:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes something else, at {self.getpos()}"

    def handle_data(self, data):
        if self.open[-1:] not in (["style"], ["script"]):
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.attributes if key == name]


def board(html: str) -> list[list[str]]:
    """The cells of each row of all leaderboards."""
    tables = re.findall(r'<table class="sortable">.*?</table>', html, flags=re.DOTALL)
    rows = [re.findall(r"<td[^>]*>(.*?)</td>", row) for table in tables for row in re.findall(r"<tr.*?</tr>", table)]
    return [row for row in rows if row]


@pytest.fixture(scope="module")
def directory(story, tmp_path_factory) -> Path:
    where = tmp_path_factory.mktemp("report") / "report"
    write_page(where, story)
    return where


@pytest.fixture(scope="module")
def page(directory) -> Page:
    return Page((directory / "index.html").read_text(encoding="utf-8"))


def test_verdict_comes_before_everything_else(page, story):
    places = []
    for dataset in story.datasets:
        said = headline(story, dataset)
        places += [page.text.index(said.setting), page.text.index(f"{said.answer} {said.reason}")]
    places += [page.text.index(text) for text in ("Partial:", "Methods and limits", "Leaderboard Ranking")]
    assert places == sorted(places)


def test_every_experiment_has_its_row_and_the_noise_floor_its_own(directory, story):
    html = (directory / "index.html").read_text(encoding="utf-8")
    rows = board(html)
    shown = [(row[1], row[2], row[4]) for row in rows if row[0] != "–"]
    wanted = [(row["loss"], row["strategy"], f"{row['miou']:.3f}") for row in story.leaderboard.to_dict("records")]
    assert shown == wanted
    repeated = [row for row in rows if row[0] == "–"]
    assert [row[4] for row in repeated] == [f"{score:.3f}" for score in story.noise["score"]]
    assert {row[10] for row in repeated} == {"noise floor"}


def test_says_what_diverged_and_what_is_missing(page):
    assert "seed 1 diverged at iteration 480" in page.text
    assert "1 of 54 cells are missing: streets-unet_tiny-focal-oversample-2." in page.text
    assert "54 cells: 52 finished, 1 diverged, 1 missing." in page.text


def test_explains_metrics_and_provenance(page):
    for name, metric in METRICS.items():
        assert f"{metric.title} {name} {metric.formula} {metric.averages} {metric.absent}" in page.text
    for fact in ("2.13.0", "cpu: x86_64", "0123abc", "digest-of-streets", "CC BY 4.0", "Someone & Other (2020)"):
        assert fact in page.text


def test_every_metric_of_every_experiment_stands_with_its_spread_and_interval(page, story):
    row = story.leaderboard.iloc[0]
    for name in ("mdice", "pixel_accuracy_image"):
        mean, std, low, high = (row[f"{name}{suffix}"] for suffix in ("", "_std", "_low", "_high"))
        assert f"{mean:.3f} ± {std:.3f} [{low:.3f}, {high:.3f}]" in page.text


def test_names_are_escaped(page, directory):
    html = (directory / "index.html").read_text(encoding="utf-8")
    assert "tree &lt;tall&gt;" in html
    assert "sky &amp; cloud" in html
    assert "tree <tall>" in page.text


def test_loads_nothing_and_forbids_it(page, directory):
    loaded = [value for name in LOADING for value in page.values(name)]
    assert loaded
    assert all(value.startswith("data:image/png;base64,") for value in loaded)
    assert all(value.startswith("#") for value in page.values("href"))
    assert not {"link", "iframe", "object", "embed"} & set(page.tags)
    assert not re.search(r"@import|url\(", (directory / "index.html").read_text(encoding="utf-8"))
    assert "default-src 'none'; img-src data:;" in " ".join(page.values("content"))


def test_links_and_alternative_texts(page):
    assert {value.removeprefix("#") for value in page.values("href")} == set(page.values("id"))
    assert {f"streets-{part}" for part in PARTS} < set(page.values("id"))
    assert len(page.values("id")) == len(set(page.values("id")))
    assert len([text for text in page.values("alt") if text]) == page.tags.count("img")


def test_figures_lie_beside_the_page(directory):
    gradients = ("gradient-norms-{}", "gradient-classes-{}", "gradient-cosines-{}")
    scores = (
        "heatmap-{}",
        "effects-{}",
        "curves-{}",
        "classes-{}",
        "class-gains-{}",
        "pareto-{}",
        "reliability-{}",
        "ranks-{}",
    )
    kinds = (*scores, *gradients, "gallery-{}-0", "gallery-{}-1")
    wanted = {f"{kind.format(f'{dataset}-unet_tiny')}.png" for kind in kinds for dataset in ("digits", "streets")}
    wanted |= {"rates-digits-unet_tiny.png", "critical-differences-all.png"}  # no search was made for the other
    assert {file.name for file in (directory / "figures").iterdir()} == wanted


def test_equal_stories_give_equal_bytes_and_old_files_go(directory, story, tmp_path):
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "old.html").touch()
    write_page(tmp_path / "report", story)
    files = {file.relative_to(directory): file.read_bytes() for file in directory.rglob("*.*")}
    again = tmp_path / "report"
    assert files == {file.relative_to(again): file.read_bytes() for file in again.rglob("*.*")}
    assert sum(map(len, files.values())) < 10_000_000


def test_says_which_strategy_helps_which_loss(page, story):
    """The mean with its interval, the analysis, and every pair as a table."""
    assert page.text.count("Which strategy helps which loss Averaged over 3 losses, ") == 2
    main = story.factorial.main.set_index(["dataset", "level"]).loc[("streets", "oversample")]
    spread = f"{main['mean']:+.3f} [{main['low']:+.3f}, {main['high']:+.3f}] {main['p_holm']:.3f} {main['verdict']}"
    assert f"strategy oversample {main['n']} {spread}" in page.text
    line = story.factorial.two_way.set_index(["dataset", "effect"]).loc[("streets", "loss x strategy")]
    assert f"loss × strategy {line['n']} 4, {line['df_error']} {line['F']:.2f} {line['epsilon']:.2f}" in page.text
    pair = story.factorial.effects.set_index(["dataset", "loss", "strategy"]).loc[("streets", "dice", "oversample")]
    assert f"dice oversample {pair['n']} {pair['mean']:+.3f} [{pair['low']:+.3f}, " in page.text


def test_says_what_the_network_saw(page):
    assert "strategy cells three 0.4 % two 1.1 % one 2.5 % zero 6 % background 90 % none 9 0.4 % 1.1 %" in page.text
    assert "oversample 9 4.2 % 6.9 % 10 % 16 % 62 %" in page.text


def test_sections_of_which_nothing_is_known_are_absent(page, nothing_finished, tmp_path):
    assert "Decisions fitted on the validation split" not in page.text
    assert "-dial" not in page.values("id")
    write_page(tmp_path / "report", nothing_finished)
    assert "What the network saw" not in Page((tmp_path / "report" / "index.html").read_text(encoding="utf-8")).text


@pytest.fixture(scope="module")
def dialled(tell, sizes, tmp_path_factory) -> Path:
    """The page of two positions of a dial, with strategies that only decide."""
    strategies = ["none", "class_weights", "class_thresholds"]
    where = tmp_path_factory.mktemp("dialled") / "report"
    write_page(where, tell({**sizes(2, 1, 3), "dataset": ["digits", "digits_rare"], "strategy": strategies}))
    return where


def test_the_dial_has_a_section_with_words_figure_and_table(dialled):
    page = Page((dialled / "index.html").read_text(encoding="utf-8"))
    assert "digits: three, from 0.4 % to 0.04 % of the pixels" in page.text
    assert "dataset share of pixels loss better worse digits 0.4 % cross_entropy " in page.text
    assert (dialled / "figures" / "dial-digits-unet_tiny.png").is_file()
    assert {value.removeprefix("#") for value in page.values("href")} == set(page.values("id"))


def test_decisions_stand_with_their_scores_and_what_shares_weights_is_said(dialled):
    page = Page((dialled / "index.html").read_text(encoding="utf-8"))
    head = "loss strategy n validation mIoU before after three two one zero background cross_entropy class_thresholds 3"
    assert head in page.text
    assert "and so too good" in page.text
    assert "Cells of class_thresholds judge the weights of none once more" in page.text
    assert "class_thresholds: nothing is trained." in page.text


def test_one_seed(one_seed, tmp_path):
    write_page(tmp_path / "report", one_seed)
    page = Page((tmp_path / "report" / "index.html").read_text(encoding="utf-8"))
    assert "is the only experiment" in page.text
    assert not re.search(r"\bnan\b", page.text)


def test_nothing_finished(nothing_finished, tmp_path):
    write_page(tmp_path / "report", nothing_finished)
    page = Page((tmp_path / "report" / "index.html").read_text(encoding="utf-8"))
    assert "Nothing has finished: 8 missing." in page.text
    assert "16 of 16 cells are missing" in page.text
    assert not re.search(r"\bnan\b", page.text)


def test_two_models_are_told_apart(tell, sizes, tmp_path):
    write_page(tmp_path / "report", tell({**sizes(1, 2, 2), "model": ["unet_tiny", "unet_large"]}))
    models = [row[1] for row in board((tmp_path / "report" / "index.html").read_text(encoding="utf-8"))]
    assert models.count("unet_tiny") == models.count("unet_large") == 6  # two strategies and the noise floor, twice
    assert (tmp_path / "report" / "figures" / "heatmap-digits-unet_large.png").is_file()
