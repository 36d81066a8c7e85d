"""Write the pages docs/losses.md, docs/strategies.md and docs/metrics.md from the code.

The first two are made of the docstrings and options of the plug-ins, the last of the table of metrics.

A page about the plug-ins of one folder is an entry in PAGES and a template `docs.FOLDER.md.j2` beside this file;
what these pages share is in `docs.macros.md.j2`.
"""

import argparse
import ast
import inspect
import itertools
import json
import math
import re
import sys
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import jinja2

from pipeline.measure.metrics.base import Metric
from pipeline.measure.metrics.table import AVERAGES, FAMILIES, METRICS
from pipeline.plumbing import plugins
from pipeline.plumbing.errors import UserError, run_stage
from pipeline.plumbing.files import write_text

# Per folder its families in the order of the page, and what the members of each have in common.
PAGES = {
    "losses": {
        "per pixel": "a mean over pixels, each judged by its own probabilities alone",
        "overlap": "from sums of right and wrong probability over all pixels of a class",
        "boundary and shape": "it matters where in the image a pixel lies",
        "imbalance": "cross-entropy in favour of classes that are rare or badly found",
        "compound": "several losses in one",
    },
    "strategies": {
        "control": "what every other strategy is compared with",
        "weighting": "the loss counts pixels of rare classes more",
        "sampling": "training is shown more of what is rare, by the choice of images and of parts of them",
        "augmentation": "training is shown rare classes in more variants",
        "hard pixels": "the loss gets only a part of the pixels, chosen by what the network makes of them",
        "priors": "logits are corrected by how frequent each class is, or by what validation says",
        "composition": "several strategies in one",
    },
}
BOUNDS = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
YAML_WORDS = {"object": "mapping", "array": "list"}
STATEMENTS = "(?:Absent class|Empty mask|Limits|Sources|Where we differ|Use|Calibration|Family)"


class Entry(NamedTuple):
    """What a page knows of one plug-in."""

    kind: str
    family: str
    summary: str
    """First line of its file, without the name before the colon."""
    docstring: str
    options: list[tuple[str, ...]]
    """Of each its name, type, default, allowed values and effect."""
    example: str
    """An entry of params.yaml with every option at its default."""
    plugin: Any
    attributes: set[str]
    """Names of the attributes that its code reads, such as `prior` of `batch.prior`."""


def main() -> None:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    pages = {folder: page(folder) for folder in PAGES} | {"metrics": metrics_page()}
    for name, text in pages.items():
        write_text(plugins.ROOT.parent / "docs" / f"{name}.md", text)


def page(folder: str) -> str:
    """The Markdown of the page about a folder."""
    return _render(folder, entries=entries_of(folder), families=PAGES[folder])


def metrics_page() -> str:
    """The Markdown of the page about metrics."""
    tables = {family: [metric_row(keys) for keys in _of_one_formula(family)] for family in FAMILIES}
    return _render("metrics", families=FAMILIES, tables=tables, averages=AVERAGES)


def _render(name: str, **variables: Any) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=False,  # this is no HTML; the filters escape what Markdown would read as its own
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"prose": prose, "cell": cell, "paragraphs": paragraphs}
    environment.globals |= {"entries_of": entries_of}
    return environment.get_template(f"docs.{name}.md.j2").render(variables).rstrip() + "\n"


@cache
def entries_of(folder: str) -> list[Entry]:
    """What the page about a folder tells; also asked for by the page about another one."""
    return [entry(folder, kind) for kind in plugins.kinds(folder)]


def entry(folder: str, kind: str) -> Entry:
    cls = plugins.find(folder, kind, kind)
    source, effects = ast.parse(inspect.getsource(cls)), attribute_docstrings(cls)
    schemas = cls.model_json_schema()["properties"]
    needed = {name: schema["examples"][0] for name, schema in schemas.items() if "default" not in schema}
    plugin = plugins.build(folder, kind, needed, kind)
    return Entry(
        kind=kind,
        family=family(folder, kind, cls.__doc__),
        summary=sys.modules[cls.__module__].__doc__.splitlines()[0].partition(": ")[2],
        docstring=inspect.getdoc(cls),
        options=[option(name, schema, effects[name]) for name, schema in schemas.items()],
        example=yaml({kind: plugin.model_dump(mode="json")})[1:-1],
        plugin=plugin,
        attributes={each.attr for each in ast.walk(source) if isinstance(each, ast.Attribute)},
    )


def family(folder: str, kind: str, docstring: str) -> str:
    """What the docstring says after `Family:`, up to the full stop."""
    stated = re.search(r"^ *Family: (.*?)\.", docstring, re.M)
    if not stated or stated[1] not in PAGES[folder]:
        raise UserError(f"pipeline/{folder}/{kind}.py: `Family:` must be one of {', '.join(PAGES[folder])}.")
    return stated[1]


def option(name: str, schema: dict[str, Any], effect: str) -> tuple[str, ...]:
    """A row of the table of options, from what pydantic enforces."""
    types = [each.get("type", "any") for each in schema.get("anyOf", [schema])]
    words = [YAML_WORDS.get(each, each) for each in types]
    default = f"`{yaml(schema['default'])}`" if "default" in schema else "required"
    choices = [f"`{choice}`" for each in schema.get("anyOf", [schema]) for choice in each.get("enum", [])]
    bounds = [f"{word} {schema[bound]:g}" for bound, word in BOUNDS.items() if bound in schema]
    return f"`{name}`", " or ".join(words), default, ", ".join(choices + bounds), effect


def attribute_docstrings(cls: type) -> dict[str, str]:
    """The string below each annotated attribute in the body of a class, or of the classes of this project that it
    inherits from; Python itself forgets them."""
    found = {}
    for each in reversed([each for each in cls.__mro__ if each.__module__.startswith("pipeline.")]):
        body = ast.parse(inspect.getsource(each)).body[0].body
        pairs = [pair for pair in itertools.pairwise(body) if [*map(type, pair)] == [ast.AnnAssign, ast.Expr]]
        found |= {node.target.id: after.value.value for node, after in pairs}
    return found


def _of_one_formula(family: str) -> list[list[str]]:
    """The keys of a family, those together that are averages of the same score."""
    keys = [key for key, metric in METRICS.items() if metric.family == family]
    return [list(group) for _, group in itertools.groupby(keys, lambda key: METRICS[key].formula)]


def metric_row(keys: list[str]) -> tuple[str, ...]:
    """A row of the table of a family: its keys, title, formula, what it is a mean of, what an absent class does, range
    and unit, and which direction is better."""
    metric = METRICS[keys[0]]
    return (
        " ".join(f"`{key}`" for key in keys),
        metric.title.removesuffix(AVERAGES["_image"].title.format("")),
        metric.formula,
        metric.averages if len(keys) == 1 else "by the end of the key",
        metric.absent,
        range_of(metric),
        "higher" if metric.higher_is_better else "lower",
    )


def range_of(metric: Metric) -> str:
    """`0 to 1`, or `0 or more, in seconds`."""
    reach = f"{metric.low:g} or more" if math.isinf(metric.high) else f"{metric.low:g} to {metric.high:g}"
    return f"{reach}, in {metric.unit}" if metric.unit else reach


def yaml(value: Any) -> str:
    """JSON without quotes, which the names and choices here do not need in YAML."""
    return json.dumps(value).replace('"', "")


def prose(text: str) -> str:
    """One line, in which nothing outside code spans is read as markup."""
    parts = re.split(r"(`[^`]*`)", " ".join(text.split()))
    return "".join(part if part.startswith("`") else re.sub(r"([\\<>*~\[\]])", r"\\\1", part) for part in parts)


def cell(text: str) -> str:
    """The same for a table, where a pipe ends a cell even within a code span."""
    return prose(text).replace("|", r"\|")


def paragraphs(docstring: str) -> str:
    """The docstring as Markdown: indented blocks are code, statements such as `Limits:` stand out."""
    blocks = []
    for block in docstring.split("\n\n"):
        statements = re.split(rf"(?<=\.)\s(?={STATEMENTS}:)", block)
        blocks += [block] if block.startswith("    ") else map(prose, statements)
    return re.sub(rf"^({STATEMENTS}:)", r"**\1**", "\n\n".join(blocks), flags=re.M)


if __name__ == "__main__":
    run_stage(main)
