"""The outer form of params.yaml: read as DVC reads it, and each kind of mistake is one sentence."""

from pathlib import Path

import pytest

from pipeline.plumbing.errors import UserError
from pipeline.plumbing.params import read_params

GOOD = """\
axes:
  dataset: {digits: {}}
  model: {unet: {}}
  loss: {dice: {}}
  strategy: {none: {}}
  seed: [0]
fit: {iterations: 3}
report: {control: {loss: dice, strategy: none}, noise_floor: []}
"""
EMPTY = "params.yaml: empty; presets/ holds files to start from, as in `cp presets/digits.yaml params.yaml`."
BAD_SEEDS = ["[0, 0]", "[-1]", "0", "[true]", "[]", "[1.0]", "['0']", "[2147483648]", "{0: {}}", "null"]


@pytest.fixture
def read(tmp_path, monkeypatch):
    """Reads a text as params.yaml."""
    monkeypatch.chdir(tmp_path)
    path = Path("params.yaml")

    def from_text(text):
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_params(path)

    return from_text


@pytest.fixture
def refused(read):
    """The sentence with which a text is refused."""

    def sentence(text):
        with pytest.raises(UserError) as error:
            read(text)
        assert len(str(error.value).splitlines()) == 1
        assert str(error.value).startswith("params.yaml:")
        return str(error.value)

    return sentence


def test_a_good_file_gives_its_axes_in_order_and_typed_blocks(read):
    """The order of the file is the order of the tables; seeds become names."""
    params = read(GOOD.replace("{dice: {}}", "{focal: {gamma: 3.0}, dice: null}").replace("[0]", "[2, 0]"))
    assert list(params.axes) == ["dataset", "model", "loss", "strategy", "seed"]
    assert list(params.axes["loss"].items()) == [("focal", {"gamma": 3.0}), ("dice", None)]
    assert params.axes["seed"] == {"2": None, "0": None}
    assert params.fit == {"iterations": 3}


def test_blocks_that_are_left_out_have_their_defaults(read):
    """Only axes and fit are needed, and of report what dvc.yaml takes from it."""
    params = read(GOOD)
    assert (params.report.primary_metric, params.report.interval, params.eval.size) == ("miou", "t", "prepared")
    assert params == read(GOOD + "eval: {}\ntune:\n"), "an empty block is no block"


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("fit:", "fitt:", "params.yaml: unknown key 'fitt'. Did you mean 'fit'? Known: axes, eval, fit, report, tune."),
        (
            "seed:",
            "sed:",
            "params.yaml: axes: unknown key 'sed'. Did you mean 'seed'? Known: dataset, loss, model, seed, strategy.",
        ),
        ("  model: {unet: {}}\n", "", "params.yaml: axes: 'model' is missing."),
        ("fit: {iterations: 3}\n", "", "params.yaml: 'fit' is missing."),
        (
            "report:",
            "reports:",
            "params.yaml: unknown key 'reports'. Did you mean 'report'? Known: axes, eval, fit, report, tune.",
        ),
        ("fit: {iterations: 3}", "fit: 3", "params.yaml: fit: must be a mapping, not 3."),
        (
            "{dice: {}}",
            "[dice]",
            "params.yaml: axes.loss: must be a mapping with at least one entry, such as `{name: {}}`, not ['dice'].",
        ),
        (
            "{dice: {}}",
            "{}",
            "params.yaml: axes.loss: must be a mapping with at least one entry, such as `{name: {}}`, not {}.",
        ),
        (
            "{dice: {}}",
            "",
            "params.yaml: axes.loss: must be a mapping with at least one entry, such as `{name: {}}`, not None.",
        ),
        (GOOD, "- axes\n", "params.yaml: must be a mapping, not ['axes']."),
        (GOOD, "", EMPTY),
        (GOOD, "# nothing\n", EMPTY),
        (GOOD, "~\n", EMPTY),
        (
            "fit: {iterations: 3}",
            "fit: {iterations: 3}\ntune: false",
            "params.yaml: tune: must be a mapping, not False.",
        ),
    ],
)
def test_a_wrong_outer_form_is_one_sentence(refused, old, new, sentence):
    """Unknown, missing, or not of the form that is needed."""
    assert refused(GOOD.replace(old, new, 1)) == sentence


@pytest.mark.parametrize("axis", ["dataset: {digits", "model: {unet", "loss: {dice", "strategy: {none"])
@pytest.mark.parametrize("name", ["di-ce", "di.ce", "Dice", "'di ce'", "d/ce", "ДАЙС", "''"])
def test_a_name_that_would_break_cells_is_refused(refused, axis, name):
    """DVC joins names by dashes and looks keys up by dots."""
    key = axis.partition(":")[0]
    sentence = refused(GOOD.replace(axis, f"{key}: {{{name}"))
    assert sentence.startswith(f"params.yaml: axes.{key}: the name ")
    assert sentence.endswith(" may hold lower-case letters, digits and _ only.")


@pytest.mark.parametrize("name", ["1", "1.5", "true", "null", "2001-01-01", "[1, 2]"])
def test_what_yaml_takes_for_something_else_is_no_name(refused, name):
    """`1` is a number: it would do in quotes."""
    sentence = refused(GOOD.replace("{dice:", f"{{{name}:"))
    assert sentence.startswith("params.yaml: axes.loss: ")
    assert sentence.endswith(" is no name; put it in quotes if it is meant as one.")


def test_names_of_letters_digits_and_underscores_are_taken(read):
    """Also those that start with a digit in quotes, or that YAML 1.1 took for a truth value."""
    assert list(read(GOOD.replace("{dice: {}}", "{_a: {}, '1': {}, no: {}, on: {}}")).axes["loss"]) == [
        "_a",
        "1",
        "no",
        "on",
    ]


@pytest.mark.parametrize("seeds", BAD_SEEDS)
def test_seeds_are_a_list_of_different_whole_numbers(refused, seeds):
    """Duplicates would train a cell twice and count it twice."""
    sentence = refused(GOOD.replace("[0]", seeds))
    assert sentence.startswith(
        "params.yaml: axes.seed: must be a list of different whole numbers from 0 to 2^31 - 1, as [0, 1, 2], not "
    )


@pytest.mark.parametrize("seeds", [[0], [3, 1, 2], [2**31 - 1]])
def test_any_other_list_of_seeds_is_taken(read, seeds):
    """In its order."""
    assert list(read(GOOD.replace("[0]", str(seeds))).axes["seed"]) == [str(seed) for seed in seeds]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (GOOD.replace("{dice: {}}", "{dice: {}"), "params.yaml:5: not valid YAML: expected ',' or '}'"),
        (GOOD + "\tx: 1\n", "params.yaml:9: not valid YAML: found character '\\t' that cannot start any token."),
        (GOOD + "eval: *here\n", "params.yaml:9: not valid YAML: found undefined alias 'here'."),
        (GOOD + "--- \neval: {}\n", "params.yaml:9: not valid YAML: but found another document."),
        (
            GOOD + "eval: !!python/object:os.system {}\n",
            "params.yaml:9: not valid YAML: could not determine a constructor",
        ),
        (GOOD + "fit: {}\n", 'params.yaml:9: not valid YAML: found duplicate key "fit"'),
        (
            GOOD.replace("{dice: {}}", "{dice: {}, dice: {}}"),
            'params.yaml:4: not valid YAML: found duplicate key "dice"',
        ),
        (GOOD.encode() + b"\xff", "params.yaml:9: not UTF-8; save the file in that encoding."),
        (GOOD.encode("utf-16"), "params.yaml:1: not UTF-8; save the file in that encoding."),
        (
            GOOD + "x: " + "[" * 2000 + "]" * 2000,
            "params.yaml: not valid YAML: blocks within blocks, too deep to be read.",
        ),
        (GOOD.replace("3}", "3\0}"), "params.yaml: not valid YAML: unacceptable character #x0000"),
    ],
    ids=[
        "bracket",
        "tab",
        "alias",
        "documents",
        "object",
        "duplicate block",
        "duplicate entry",
        "encoding",
        "UTF-16",
        "deep",
        "NUL",
    ],
)
def test_a_mistake_in_yaml_names_its_line(refused, text, sentence):
    """Two equal keys are one: the first entry would be lost without a word."""
    assert refused(text).startswith(sentence)


def test_a_missing_file_says_where_to_take_one_from(tmp_path):
    """A fresh clone has presets."""
    with pytest.raises(
        UserError, match=r"params\.yaml: missing; presets/ holds files to start from, as in `cp presets/"
    ):
        read_params(tmp_path / "params.yaml")


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: path.symlink_to(path)], ids=["folder", "loop"])
def test_a_file_that_cannot_be_read_says_why(tmp_path, make):
    """In the words of the system."""
    make(tmp_path / "params.yaml")
    with pytest.raises(UserError, match=r"params\.yaml: cannot be read: (Is a directory|Too many levels of .*)\.$"):
        read_params(tmp_path / "params.yaml")


@pytest.mark.parametrize("text", ["\ufeff" + GOOD, GOOD.replace("\n", "\r\n"), GOOD.replace("\n", "\r")])
def test_what_an_editor_of_another_system_writes_is_taken(read, text):
    """A byte order mark, and its ends of lines."""
    assert read(text) == read(GOOD)


def test_blocks_may_share_what_stands_in_one_of_them(read):
    """Anchors and merge keys, which DVC reads too."""
    entries = "{focal: &f {gamma: 3.0}, sharp: {<<: *f, kind: focal}}"
    assert read(GOOD.replace("{dice: {}}", entries)).axes["loss"]["sharp"] == {"gamma": 3.0, "kind": "focal"}


def test_all_mistakes_of_the_outer_form_are_told_at_once(read):
    """One round of corrections: blocks and axes that are missing, keys that are unknown, entries that are none."""
    text = "axes: {dataset: [digits], los: {}, strategy: {A: {}, b-c: {}}, seed: 3}\nevel: {}\nreport: {rop: 1}\n"
    with pytest.raises(UserError) as error:
        read(text)
    assert [line.partition(". ")[0].partition(", such")[0] for line in str(error.value).splitlines()] == [
        "params.yaml: unknown key 'evel'",
        "params.yaml: 'fit' is missing.",
        "params.yaml: axes: unknown key 'los'",
        "params.yaml: axes: 'model' is missing.",
        "params.yaml: axes.dataset: must be a mapping with at least one entry",
        "params.yaml: axes.strategy: the name 'A' may hold lower-case letters, digits and _ only.",
        "params.yaml: axes.strategy: the name 'b-c' may hold lower-case letters, digits and _ only.",
        "params.yaml: axes.seed: must be a list of different whole numbers from 0 to 2^31 - 1, as [0, 1, 2], not 3.",
        "params.yaml: report.rop: unknown key",
    ]


LOSSES = "{dice: {}, weighted: {kind: cross_entropy}, cross_entropy: {kind: focal}}"


@pytest.mark.parametrize(
    ("losses", "strategies", "report", "control", "left_out"),
    [
        (
            "{dice: {}, cross_entropy: }",
            "{a: {kind: chain}, none: }",
            None,
            ("cross_entropy", "none"),
            ["loss", "strategy"],
        ),
        (LOSSES, "{oversample: {}, plain: {kind: none}}", "{rope: 0.1}", ("weighted", "plain"), ["loss", "strategy"]),
        ("{dice: {}, focal: {}}", "{oversample: {}}", "{control: }", ("dice", "oversample"), ["loss", "strategy"]),
        ("{dice: {}, focal: {}}", "{none: {}}", "{control: {loss: focal}}", ("focal", "none"), ["strategy"]),
        ("{dice: {}, focal: {}}", "{none: {}}", "{control: {strategy: x}}", ("dice", "x"), ["loss"]),
        ("{dice: {}}", "{none: {}}", "{control: {loss: a, strategy: b}}", ("a", "b"), []),
    ],
)
def test_the_control_is_cross_entropy_without_a_strategy_or_what_stands_first(
    read, losses, strategies, report, control, left_out
):
    """By kind, whatever the names; and it is known what the file itself does not say."""
    text = GOOD.replace("{dice: {}}", losses).replace("{none: {}}", strategies).partition("report:")[0]
    params = read(text + (f"report: {report}\n" if report else ""))
    assert tuple(params.report.control.model_dump().values()) == control
    assert params.report.noise_floor == []
    assert params.left_out == [*(f"report.control.{key}" for key in left_out), "report.noise_floor"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("3e-3", 0.003),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("1.0", 1.0),
        ("1", 1),
        ("010", 10),
        ("0o10", 8),
        ("no", "no"),
        ("on", "on"),
        ("y", "y"),
        ("12:30", "12:30"),
        ("true", True),
        ("null", None),
        ("~", None),
        ("'1'", "1"),
    ],
)
def test_values_are_those_of_yaml_1_2_as_dvc_reads_them(read, text, value):
    """Under YAML 1.1, 1e-3 is a word, `no` is false and 010 is 8."""
    from dvc.utils.serialize import parse_yaml

    found = read(GOOD.replace("3}", f"3, value: {text}}}")).fit["value"]
    assert (type(found), found) == (type(value), value)
    assert parse_yaml(f"value: {text}", "params.yaml")["value"] == found


@pytest.mark.parametrize(
    ("block", "sentence"),
    [
        ("eval: []", "eval: must be a mapping of keys to values, not []."),
        (
            "eval: {batch_sise: 3}",
            "eval.batch_sise: unknown key. Did you mean 'batch_size'? Known: batch_size, size, tolerance.",
        ),
        ("eval: {batch_size: 0}", "eval.batch_size: 0 should be greater than or equal to 1."),
        (
            "eval: {size: orginal}",
            "eval.size: 'orginal' is not allowed. Did you mean 'original'? Known: original, prepared.",
        ),
        ("eval: {tolerance: 0}", "eval.tolerance: 0 should be greater than 0."),
    ],
)
def test_a_mistake_in_a_typed_block_is_one_sentence(refused, block, sentence):
    assert refused(f"{GOOD}{block}\n") == f"params.yaml: {sentence}"


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (", noise_floor: []", ", noise_flor: []", "report.noise_flor: unknown key. Did you mean 'noise_floor'?"),
        ("[]}", "[], confidence: 95}", "report.confidence: 95 should be less than 1."),
        ("[]}", "[-1]}", "report.noise_floor.0: -1 should be greater than or equal to 0."),
        ("[]}", "[], interval: bcs}", "report.interval: 'bcs' is not allowed. Did you mean 'bca'?"),
        ("{control:", "{contrl:", "report.contrl: unknown key. Did you mean 'control'? Known: confidence, control, "),
        ("{loss: dice, strategy: none}", "dice", "report.control: must be a mapping of keys to values, not 'dice'."),
        ("{loss: dice, strategy: none}", "[]", "report.control: must be a mapping of keys to values, not []."),
        ("[]}", "}", "report.noise_floor: None should be a valid list."),
        ("{loss: dice,", "{los: dice,", "report.control.los: unknown key. Did you mean 'loss'? Known: loss, strategy."),
        ("{loss: dice,", "{loss: 1,", "report.control.loss: 1 should be a valid string."),
    ],
)
def test_a_mistake_in_the_block_report_is_one_sentence(refused, old, new, sentence):
    """Also in a block within a block: the nearest key of the inner one is proposed."""
    line = "report: {control: {loss: dice, strategy: none}, noise_floor: []}"
    assert refused(GOOD.replace(line, line.replace(old, new))).startswith(f"params.yaml: {sentence}")


BOMB = "[lol]"
for depth in range(12):
    BOMB = f"[&b{depth} {BOMB}{f', *b{depth}' * 8}]"


@pytest.mark.parametrize(
    ("part", "value", "place"),
    [
        ("[0]", BOMB, "axes.seed: must be a list"),
        ("[0]", f"[0, {BOMB}]", "axes.seed: must be a list"),
        ("{digits: {}}", BOMB, "axes.dataset: must be a mapping"),
        ("{iterations: 3}", BOMB, "fit: must be a mapping"),
        ("{loss: dice, strategy: none}", BOMB, "report.control: "),
        ("noise_floor: []", f"noise_floor: {BOMB}", "report.noise_floor.0: "),
        ("noise_floor: []", f"noise_floor: [], interval: {BOMB}", "report.interval: "),
        ("noise_floor: []", f"noise_floor: [], confidence: {BOMB}", "report.confidence: "),
        ("fit:", f"? [{'lol, ' * 1000}]\n: 1\nfit:", "unknown key"),
        ("fit:", f"? {BOMB}\n: 1\nfit:", "not valid YAML"),
        ("[0]", "[" * 500 + "]" * 500, "not valid YAML"),
    ],
    ids=["seeds", "a seed", "entries", "fit", "control", "items", "choice", "number", "key", "deep key", "depth"],
)
def test_what_aliases_have_blown_up_is_not_written_out(read, part, value, place):
    """A few hundred bytes would be terabytes."""
    with pytest.raises(UserError) as error:
        read(GOOD.replace(part, value, 1))
    for sentence in str(error.value).splitlines():
        assert place.rstrip("0: ").rstrip(".") in sentence
        assert len(sentence) < 600
