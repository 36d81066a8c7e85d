"""The pages in docs/ that `make docs` writes say what the code says, and render as they are meant."""

import re
from functools import cache
from typing import get_args

import pytest
import torch
from markdown_it import MarkdownIt
from ruamel.yaml import YAML

from pipeline import check, crosschecks, docs
from pipeline.measure.metrics.table import AVERAGES, FAMILIES, METRICS
from pipeline.plumbing import plugins
from pipeline.plumbing.errors import UserError
from pipeline.strategies.base import Aspect
from tests.losses.informed import Informed

LOSSES, STRATEGIES = plugins.kinds("losses"), plugins.kinds("strategies")
COMPOSED = ["chain", "two_phase"]
SINGLE = [kind for kind in STRATEGIES if kind not in COMPOSED]
page, entry = cache(docs.page), cache(docs.entry)
every_page = pytest.mark.parametrize("folder", docs.PAGES)
every_plugin = pytest.mark.parametrize(
    ("folder", "kind"), [(folder, kind) for folder in docs.PAGES for kind in plugins.kinds(folder)]
)


def section(folder, kind):
    """What the page says below the heading of a plug-in."""
    return page(folder).partition(f"\n## `{kind}`\n")[2].partition("\n## ")[0]


def head(folder):
    """The page up to the first plug-in."""
    return page(folder).partition("\n## ")[0]


def rendered(markdown):
    """Tokens of the text as GitHub reads it."""
    return MarkdownIt("commonmark").enable("table").parse(markdown)


def load(text):
    """YAML as params.yaml is read."""
    return YAML(typ="safe", pure=True).load(text)


def cells(markdown, columns=5):
    """Of each row of the tables in a text, what a reader sees in its cells."""
    texts = [
        "".join(part.content for part in token.children)
        for previous, token in zip(rendered(markdown), rendered(markdown)[1:], strict=False)
        if previous.type == "td_open"
    ]
    return [tuple(texts[start : start + columns]) for start in range(0, len(texts), columns)]


@every_page
def test_the_committed_page_is_that_of_the_code(folder):
    """Who edits a docstring or an option makes the page anew."""
    committed = (plugins.ROOT.parent / "docs" / f"{folder}.md").read_text(encoding="utf-8")
    assert committed == page(folder), f"docs/{folder}.md is out of date: run `make docs`."


@every_page
def test_the_page_is_the_same_every_time(folder):
    """Or git would show a change where there is none."""
    assert docs.page(folder) == page(folder)


@every_plugin
def test_every_option_stands_in_the_table_of_its_plugin(folder, kind):
    """Read back from the rendered table, with its default and what its docstring says."""
    cls = type(entry(folder, kind).plugin)
    rows = cells(section(folder, kind))
    assert [row[0] for row in rows] == list(cls.model_fields)
    for name, _, default, _, effect in rows:
        field = cls.model_fields[name]
        assert default == ("required" if field.is_required() else docs.yaml(field.default))
        assert effect == " ".join(docs.attribute_docstrings(cls)[name].replace("`", "").split())


@every_plugin
def test_the_example_can_be_pasted_into_params(folder, kind):
    """It is the plug-in with its defaults."""
    block = load(next(each.content for each in rendered(section(folder, kind)) if each.type == "fence"))
    built = [plugins.build(folder, key, options, "params.yaml: x") for key, options in block.items()]
    assert built == [entry(folder, kind).plugin]


@every_plugin
def test_the_formula_is_a_block_of_code(folder, kind):
    """As it stands in the docstring. Every loss has one; of a strategy words can be the better definition."""
    blocks = [token.content for token in rendered(entry(folder, kind).docstring) if token.type == "code_block"]
    assert blocks or folder == "strategies"
    assert [token.content for token in rendered(section(folder, kind)) if token.type == "code_block"] == blocks


@every_plugin
def test_the_table_of_contents_leads_to_the_plugin(folder, kind):
    """Each once, under its family."""
    assert head(folder).count(f"](#{kind})") == 1
    family = head(folder).partition(f"](#{kind})")[0].rpartition("\n**")[2].partition("**")[0]
    assert family.lower() == entry(folder, kind).family


@pytest.mark.parametrize("kind", LOSSES)
def test_it_says_truly_which_loss_looks_at_the_train_split(kind):
    """Tried out: with other class statistics these and only these give another value."""
    loss = Informed(entry("losses", kind).plugin)
    logits, target = torch.linspace(-2, 2, 2 * 4 * 6 * 5).sin().view(2, 4, 6, 5), torch.arange(60).view(2, 6, 5) % 4
    told = loss.facts(target, 4)
    other = told._replace(train_pixels=told.train_pixels.flip(0), train_images=told.train_images.flip(0))
    values = [loss.loss(logits, target, None, facts) for facts in (told, other)]
    said = "how often each class occurs in the train split" in section("losses", kind)
    assert said == (not torch.equal(*values))


@every_plugin
def test_no_formula_in_a_sentence_is_read_as_markup(folder, kind):
    """An underscore or an asterisk there must not set half a paragraph in italics."""
    inline = [token for token in rendered(section(folder, kind)) if token.type == "inline"]
    found = {part.type for token in inline for part in token.children}
    assert found <= {"text", "text_special", "code_inline", "strong_open", "strong_close"}


def test_nothing_in_prose_is_read_as_markup():
    """Comparisons, products, absolute values and lists in docstrings are meant as they stand."""
    text = "If a < b > c, then <b>|x|</b> * y * `z|<w>` [0, 1](x) ~~n~~"
    assert [each.content for each in rendered(docs.prose(text)) if each.type.startswith("html")] == []
    (inline,) = [each for each in rendered(docs.prose(text)) if each.type == "inline"]
    assert {part.type for part in inline.children} <= {"text", "text_special", "code_inline"}
    assert "".join(part.content for part in inline.children) == text.replace("`", "")


def test_a_pipe_does_not_end_a_cell():
    """Neither in prose nor in a code span."""
    row = " | ".join(docs.cell(text) for text in ["|p - g|", "`a|b`", "c", "d", "e"])
    assert cells(f"| a | b | c | d | e |\n|---|---|---|---|---|\n| {row} |") == [("|p - g|", "a|b", "c", "d", "e")]


@pytest.mark.parametrize("kind", STRATEGIES)
@pytest.mark.parametrize("statement", ["Use", "Calibration", "Family", "Acts on", "Costs", "Losses"])
def test_every_strategy_says_when_it_helps_and_what_it_does_to_probabilities(kind, statement):
    """Each statement once, at the beginning of a paragraph, where the eye finds it."""
    assert len(re.findall(rf"^\*\*{statement}:\*\* \S", section("strategies", kind), re.M)) == 1


@pytest.mark.parametrize("kind", STRATEGIES)
def test_the_table_says_what_a_strategy_acts_on_and_whether_it_trains(kind):
    """The words of the contract and of the plan: a strategy for decisions alone takes over the weights of `none`."""
    (row,) = [row for row in cells(head("strategies"), columns=3) if row[0] == kind]
    strategy = entry("strategies", kind).plugin
    plans = check._strategy_plans({"none": plugins.build("strategies", "none", {}, "x"), kind: strategy})
    trains = "weights_of" not in plans[f"train/strategy/{kind}"]
    if kind in COMPOSED:
        assert row[1:] == ("what its parts act on", "a training, unless it acts on decisions alone")
    else:
        assert row[1:] == (", ".join(strategy.aspects) or "nothing", "a training" if trains else "no training")
        assert ("**Costs:** no training" in section("strategies", kind)) == (not trains)


def test_strategies_that_act_on_the_same_are_described_in_the_same_words():
    """And on different things in different words."""
    words = {}
    for kind in SINGLE:
        said = re.search(r"^\*\*Acts on:\*\* (.*)\.$", section("strategies", kind), re.M)[1].split("; ")
        for aspect, meaning in zip(entry("strategies", kind).plugin.aspects, said, strict=False):
            words.setdefault(aspect, set()).add(meaning)
    assert set(words) == set(get_args(Aspect))
    assert all(len(meanings) == 1 for meanings in words.values())
    assert len(set.union(*words.values())) == len(words)


@pytest.mark.parametrize("kind", SINGLE)
def test_it_says_truly_which_losses_a_strategy_cannot_be_crossed_with(kind):
    """Those that `check` refuses."""
    said = section("strategies", kind).partition("**Losses:** ")[2].partition("\n")[0]
    refused = []
    for loss in LOSSES:
        try:
            crosschecks._check_class_weights(
                {loss: entry("losses", loss).plugin}, {kind: entry("strategies", kind).plugin}
            )
        except UserError:
            refused.append(loss)
    assert [name for name in re.findall(r"`(\w+)`", said) if name != "compound"] == refused
    assert (said == "all.") == (not refused)


def test_compositions_on_the_page_can_be_pasted_into_params():
    """In the guide and in docstrings: they show how strategies compose, so all of them must build."""
    blocks = [token.content for token in rendered(head("strategies")) if token.type == "fence"]
    found = [entry for block in blocks for entry in load(block)["strategy"].items()]
    for kind in COMPOSED:
        blocks = [each.content for each in rendered(section("strategies", kind)) if each.type == "code_block"]
        found += [entry for block in blocks for entry in load(block).items()]
    built = [plugins.build("strategies", name, options, f"axes.strategy.{name}").kind for name, options in found]
    assert set(built) == {"none", *COMPOSED}


def metric_tables():
    """The text under the heading of each family on the page about metrics."""
    parts = re.split(r"^## (.*)$", docs.metrics_page(), flags=re.M)[1:]
    return dict(zip(map(str.lower, parts[::2]), parts[1::2], strict=True))


def test_the_committed_page_about_metrics_is_that_of_the_table():
    committed = (plugins.ROOT.parent / "docs" / "metrics.md").read_text(encoding="utf-8")
    assert committed == docs.metrics_page(), "docs/metrics.md is out of date: run `make docs`."


def test_every_metric_stands_once_under_its_family_with_what_it_is():
    """Read back from the rendered tables."""
    tables, found = metric_tables(), []
    assert list(tables) == list(FAMILIES)
    for family, table in tables.items():
        for keys, title, formula, averages, absent, reach, better in cells(table, columns=7):
            for key in keys.split():
                metric = METRICS[key]
                assert (family, formula.split(), absent) == (
                    metric.family,
                    metric.formula.replace("`", "").split(),
                    metric.absent,
                )
                assert metric.title.startswith(title)
                assert averages == (metric.averages if keys == key else "by the end of the key")
                assert float(reach.split()[0]) == metric.low
                assert metric.unit in reach
                assert better == ("higher" if metric.higher_is_better else "lower")
                found.append(key)
    assert sorted(found) == sorted(METRICS)


def test_the_page_about_metrics_says_what_the_end_of_a_key_means():
    rows = cells(docs.metrics_page().partition("\n## ")[0], columns=3)
    assert [row[0] for row in rows] == [suffix or "none" for suffix in AVERAGES]
    assert [METRICS[f"miou{suffix}"].averages for suffix in AVERAGES] == [row[1] for row in rows]
    assert METRICS["pixel_accuracy_worst"].averages == rows[-1][2]


@pytest.mark.parametrize(
    ("key", "reach"),
    [("miou", "0 to 1"), ("mmcc", "-1 to 1"), ("nll", "0 or more, in nats"), ("loss_share", "0 to 1")],
)
def test_a_range_reads_as_a_person_would_write_it(key, reach):
    assert docs.range_of(METRICS[key]) == reach


@pytest.mark.parametrize("docstring", ["A loss.", "A loss.\n\n    Family: nonsense."])
def test_a_loss_of_no_family_is_refused_with_the_families(docstring):
    """It would be missing from the page."""
    with pytest.raises(UserError, match=r"losses/mine\.py: `Family:` must be one of per pixel, overlap, "):
        docs.family("losses", "mine", docstring)
