"""Plug-ins: found by file name, built from params.yaml, and restored from the plan."""

import json
import math
from typing import get_args

import pytest

from pipeline.learn.settings import Fit, Tune, UNet
from pipeline.plumbing import plugins
from pipeline.plumbing.errors import UserError
from pipeline.plumbing.options import Options
from pipeline.plumbing.params import Eval, Report

CHAIN = {"kind": "chain", "of": ["class_weights", {"kind": "oversample", "power": 0.5}]}
NEEDED = {  # plug-ins made of others, whose options may be kinds or mappings
    ("losses", "compound"): {"terms": {"cross_entropy": 1.0, "sharp": {"kind": "focal", "gamma": 5.0, "weight": 0.5}}},
    ("strategies", "chain"): {"of": CHAIN["of"]},
    ("strategies", "two_phase"): {"first": "none", "then": CHAIN},
}
DATASETS = [("datasets", kind) for kind in plugins.kinds("datasets")]
EVERY = [(folder, kind) for folder in ("losses", "strategies") for kind in plugins.kinds(folder)]
WHERE = "params.yaml: axes.loss.x"


def refusal(folder: str, key: str, block) -> str:
    with pytest.raises(UserError) as error:
        plugins.build(folder, key, block, WHERE)
    return str(error.value)


def test_every_file_but_base_is_a_plug_in():
    """Adding one is adding a file."""
    for folder in ("datasets", "losses", "strategies"):
        files = {path.stem for path in (plugins.ROOT / folder).glob("*.py")}
        assert set(plugins.kinds(folder)) == {each for each in files if not each.startswith(("__init__", "base"))}


@pytest.mark.parametrize("block", [None, {}])
def test_kind_defaults_to_the_key(block):
    """`dice: {}`, and `dice:` with nothing behind it."""
    assert plugins.build("losses", "dice", block, WHERE).described()["kind"] == "dice"


def test_kind_lets_one_loss_have_two_rows():
    """Keys name rows, kinds name files."""
    soft, sharp = (
        plugins.build("losses", key, {"kind": "focal", "gamma": gamma}, WHERE)
        for key, gamma in [("a", 1.0), ("b", 5.0)]
    )
    assert type(soft) is type(sharp)
    assert (soft.gamma, sharp.gamma) == (1.0, 5.0)


def test_building_leaves_the_block_as_it_was():
    """It is read again, for the plan."""
    block = {"kind": "focal", "gamma": 1.0}
    plugins.build("losses", "x", block, WHERE)
    assert block == {"kind": "focal", "gamma": 1.0}


@pytest.mark.parametrize(
    ("key", "block", "sentence"),
    [
        (
            "dcie",
            {},
            f"{WHERE}: no pipeline/losses/dcie.py. Did you mean 'dice'? Known: {', '.join(plugins.kinds('losses'))}.",
        ),
        ("mine", {"kind": "focl"}, f"{WHERE}: no pipeline/losses/focl.py. Did you mean 'focal'? Known: "),
        ("mine", {"kind": "../datasets/digits"}, f"{WHERE}: no pipeline/losses/../datasets/digits.py."),
        ("dice", [], f"{WHERE}: must be a mapping of options, such as {{}}, not []."),
        ("dice", 0.5, f"{WHERE}: must be a mapping of options, such as {{}}, not 0.5."),
        ("mine", {"kind": 3}, f"{WHERE}.kind: must be the name of a file in pipeline/losses/, not 3."),
        ("mine", {"kind": None}, f"{WHERE}.kind: must be the name of a file in pipeline/losses/, not None."),
        ("dice", {"gama": 1}, f"{WHERE}.gama: unknown key."),
    ],
)
def test_a_wrong_entry_is_one_sentence(key, block, sentence):
    """The nearest kind is named, and nothing outside the folder is ever reached."""
    found = refusal("losses", key, block)
    assert found.startswith(sentence)
    assert len(found.splitlines()) == 1


@pytest.mark.parametrize(
    ("block", "power"),
    [("oversample", 1.0), ({"kind": "oversample"}, 1.0), ({"kind": "oversample", "power": 0.5}, 0.5)],
)
def test_an_entry_without_a_key_names_its_kind(block, power):
    """The parts of a chain, for which the name alone is short for a mapping without options."""
    made = plugins.build_unnamed("strategies", block, WHERE)
    assert (made.kind, made.power) == ("oversample", power)


@pytest.mark.parametrize(
    ("block", "sentence"),
    [
        (None, "must be the name of a file in pipeline/strategies/ or a mapping with `kind`, not None."),
        (
            ["oversample"],
            "must be the name of a file in pipeline/strategies/ or a mapping with `kind`, not ['oversample'].",
        ),
        (
            {"power": 0.5},
            "must be the name of a file in pipeline/strategies/ or a mapping with `kind`, not {'power': 0.5}.",
        ),
        ({}, "must be the name of a file in pipeline/strategies/ or a mapping with `kind`, not {}."),
        ("oversampel", "no pipeline/strategies/oversampel.py. Did you mean 'oversample'? Known: "),
        ({"kind": "oversampel"}, "no pipeline/strategies/oversampel.py. Did you mean 'oversample'? Known: "),
        ("dice", "no pipeline/strategies/dice.py."),
        ("", "no pipeline/strategies/.py."),
    ],
)
def test_a_wrong_entry_without_a_key_is_one_sentence(block, sentence):
    """It says where it stands and what may stand there."""
    with pytest.raises(UserError) as error:
        plugins.build_unnamed("strategies", block, "params.yaml: x.of.1")
    assert str(error.value).startswith(f"params.yaml: x.of.1: {sentence}")
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("block", "sentence"),
    [
        ({"kind": "oversample", "powr": 0.5}, "params.yaml: x.of.1.powr: unknown key. Did you mean 'power'?"),
        ({"kind": 3}, "params.yaml: x.of.1.kind: must be the name of a file in pipeline/strategies/, not 3."),
    ],
)
def test_a_mistake_inside_an_entry_without_a_key_is_found_there(block, sentence):
    """By the key of the option."""
    with pytest.raises(UserError) as error:
        plugins.build_unnamed("strategies", block, "params.yaml: x.of.1")
    assert str(error.value).startswith(sentence)


@pytest.mark.parametrize(("folder", "kind"), EVERY)
def test_a_plug_in_knows_the_name_of_its_file(folder, kind):
    """Whatever the key of its entry."""
    assert plugins.build(folder, "row", {"kind": kind, **NEEDED.get((folder, kind), {})}, WHERE).kind == kind


def numbers(options: type[Options]) -> list[str]:
    """The options that are a number, or may be one."""
    fields = options.model_fields.items()
    return [name for name, field in fields if float in (field.annotation, *get_args(field.annotation))]


BLOCKS = [Fit, Tune, Eval, Report, UNet, *(plugins.find(folder, kind, "") for folder, kind in [*EVERY, *DATASETS])]
NUMBERS = [(options, name) for options in BLOCKS for name in numbers(options)]


def test_there_are_options_that_are_numbers():
    """In most blocks; otherwise the next test would pass by saying nothing."""
    assert len(NUMBERS) > 40
    assert {Fit, Tune, Eval, Report} <= {options for options, _ in NUMBERS}


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize(("options", "name"), NUMBERS, ids=lambda value: getattr(value, "__name__", value))
def test_no_option_is_without_end_or_no_number(options, name, value):
    """`lr: .inf` is valid YAML."""
    with pytest.raises(UserError, match=rf"{WHERE}\.{name}: {value} should be a finite number\."):
        options.read({name: value}, WHERE)


@pytest.mark.parametrize(("body", "count"), [("", 0), ("class A(Loss): ...\nclass B(Loss): ...\n", 2)])
def test_a_file_holds_exactly_one_plug_in(tmp_path, monkeypatch, body, count):
    """Otherwise its name would not say which."""
    import pipeline.losses

    (tmp_path / "losses").mkdir()
    (tmp_path / "losses" / f"odd{count}.py").write_text(f"from pipeline.losses.base import Loss\n{body}")
    monkeypatch.setattr(plugins, "ROOT", tmp_path)
    monkeypatch.setattr(pipeline.losses, "__path__", [str(tmp_path / "losses")])
    assert refusal("losses", f"odd{count}", {}) == (
        f"pipeline/losses/odd{count}.py: must define exactly one plug-in class, it defines {count}."
    )


@pytest.mark.parametrize(("folder", "kind"), EVERY)
@pytest.mark.parametrize("through_json", [False, True], ids=["as it is", "through JSON"])
def test_what_is_described_can_be_restored(folder, kind, through_json):
    """The plan that `check` writes is what training builds."""
    made = plugins.build(folder, "row", {"kind": kind, **NEEDED.get((folder, kind), {})}, WHERE)
    described = json.loads(json.dumps(made.described())) if through_json else made.described()
    restored = plugins.restore(folder, described, "plan")
    assert restored == made
    assert restored.parts() == made.parts()
    assert restored.described() == made.described()


@pytest.mark.parametrize(("folder", "kind"), EVERY)
def test_a_description_holds_the_kind_and_every_option(folder, kind):
    """So that a changed default is a changed plan."""
    made = plugins.build(folder, "row", {"kind": kind, **NEEDED.get((folder, kind), {})}, WHERE)
    assert made.described().keys() == {"kind", *type(made).model_fields}


@pytest.mark.parametrize(
    ("folder", "kind", "names"),
    [
        ("losses", "compound", ["compound", "cross_entropy", "focal"]),
        ("strategies", "chain", ["chain", "class_weights", "oversample"]),
        ("strategies", "two_phase", ["two_phase", "none", "chain", "class_weights", "oversample"]),
    ],
)
def test_the_modules_of_a_plug_in_are_its_own_and_those_of_its_parts(folder, kind, names):
    """Its results depend on the code of its parts, and of their parts."""
    made = plugins.build(folder, kind, NEEDED[folder, kind], WHERE)
    assert made.modules() == [f"pipeline.{folder}.{name}" for name in names]
