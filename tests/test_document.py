"""docs/losses.md says what the code says, and renders as it is meant."""

from functools import cache

import pytest
import torch
from markdown_it import MarkdownIt
from ruamel.yaml import YAML

from pipeline import document
from pipeline.plumbing import plugins
from pipeline.plumbing.errors import UserError
from tests.losses.informed import Informed

KINDS = plugins.kinds("losses")
page, entry = cache(document.page), cache(document.entry)


def section(kind):
    """What the page says below the heading of a loss."""
    return page("losses").partition(f"\n## `{kind}`\n")[2].partition("\n## ")[0]


def rendered(markdown):
    """Tokens of the text as GitHub reads it."""
    return MarkdownIt("commonmark").enable("table").parse(markdown)


def cells(markdown):
    """Of each row of the tables in a text, what a reader sees in its cells."""
    texts = [
        "".join(part.content for part in token.children)
        for previous, token in zip(rendered(markdown), rendered(markdown)[1:], strict=False)
        if previous.type == "td_open"
    ]
    return [tuple(texts[start : start + 5]) for start in range(0, len(texts), 5)]


def test_the_committed_page_is_that_of_the_code():
    """Who edits a docstring or an option makes the page anew."""
    committed = (plugins.ROOT.parent / "docs" / "losses.md").read_text(encoding="utf-8")
    assert committed == page("losses"), "docs/losses.md is out of date: run `make docs`."


def test_the_page_is_the_same_every_time():
    """Or git would show a change where there is none."""
    assert document.page("losses") == page("losses")


@pytest.mark.parametrize("kind", KINDS)
def test_every_option_stands_in_the_table_of_its_loss(kind):
    """Read back from the rendered table, with its default and what its docstring says."""
    cls = type(entry("losses", kind).plugin)
    rows = cells(section(kind))
    assert [row[0] for row in rows] == list(cls.model_fields)
    for name, _, default, _, effect in rows:
        field = cls.model_fields[name]
        assert default == ("none" if field.is_required() else document.yaml(field.default))
        assert effect == " ".join(document.attribute_docstrings(cls)[name].replace("`", "").split())


@pytest.mark.parametrize("kind", KINDS)
def test_the_example_can_be_pasted_into_params(kind):
    """It is the loss with its defaults."""
    example = rendered(section(kind))
    block = YAML(typ="safe", pure=True).load(next(each.content for each in example if each.type == "fence"))
    built = [plugins.build("losses", key, options, "params.yaml: axes.loss") for key, options in block.items()]
    assert built == [entry("losses", kind).plugin]


@pytest.mark.parametrize("kind", KINDS)
def test_the_formula_is_a_block_of_code(kind):
    """As it stands in the docstring."""
    blocks = [token.content for token in rendered(entry("losses", kind).docstring) if token.type == "code_block"]
    assert blocks
    assert [token.content for token in rendered(section(kind)) if token.type == "code_block"] == blocks


@pytest.mark.parametrize("kind", KINDS)
def test_the_table_of_contents_leads_to_the_loss(kind):
    """Each loss once, under its family."""
    head = page("losses").partition("\n## ")[0]
    assert head.count(f"](#{kind})") == 1
    family = head.partition(f"](#{kind})")[0].rpartition("\n**")[2].partition("**")[0]
    assert family.lower() == entry("losses", kind).family


@pytest.mark.parametrize("kind", KINDS)
def test_it_says_truly_which_loss_looks_at_the_train_split(kind):
    """Tried out: with other class statistics these and only these give another value."""
    loss = Informed(entry("losses", kind).plugin)
    logits, target = torch.linspace(-2, 2, 2 * 4 * 6 * 5).sin().view(2, 4, 6, 5), torch.arange(60).view(2, 6, 5) % 4
    told = loss.facts(target, 4)
    other = told._replace(train_pixels=told.train_pixels.flip(0), train_images=told.train_images.flip(0))
    values = [loss.loss(logits, target, None, facts) for facts in (told, other)]
    said = "how often each class occurs in the train split" in section(kind)
    assert said == (not torch.equal(*values))


@pytest.mark.parametrize("kind", KINDS)
def test_no_formula_in_a_sentence_is_read_as_markup(kind):
    """An underscore or an asterisk there must not set half a paragraph in italics."""
    inline = [token for token in rendered(section(kind)) if token.type == "inline"]
    found = {part.type for token in inline for part in token.children}
    assert found <= {"text", "text_special", "code_inline", "strong_open", "strong_close"}


def test_nothing_in_prose_is_read_as_markup():
    """Comparisons, products, absolute values and lists in docstrings are meant as they stand."""
    text = "If a < b > c, then <b>|x|</b> * y * `z|<w>` [0, 1](x) ~~n~~"
    assert [each.content for each in rendered(document.prose(text)) if each.type.startswith("html")] == []
    (inline,) = [each for each in rendered(document.prose(text)) if each.type == "inline"]
    assert {part.type for part in inline.children} <= {"text", "text_special", "code_inline"}
    assert "".join(part.content for part in inline.children) == text.replace("`", "")


def test_a_pipe_does_not_end_a_cell():
    """Neither in prose nor in a code span."""
    row = " | ".join(document.cell(text) for text in ["|p - g|", "`a|b`", "c", "d", "e"])
    assert cells(f"| a | b | c | d | e |\n|---|---|---|---|---|\n| {row} |") == [("|p - g|", "a|b", "c", "d", "e")]


@pytest.mark.parametrize("docstring", ["A loss.", "A loss.\n\n    Family: nonsense."])
def test_a_loss_of_no_family_is_refused_with_the_families(docstring):
    """It would be missing from the page."""
    with pytest.raises(UserError, match=r"losses/mine\.py: `Family:` must be one of per pixel, overlap, "):
        document.family("losses", "mine", docstring)
