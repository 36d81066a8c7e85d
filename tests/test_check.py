"""The stage `check` and the promise that a mistake costs seconds: one sentence, exit code 1, nothing started."""

import fnmatch
import json
import os
import re
import shutil
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline import check
from pipeline.plumbing import libraries, plugins
from tests.miniature import ROOT, Miniature


@pytest.fixture(scope="module")
def fresh(tmp_path_factory) -> Miniature:
    return Miniature.create(tmp_path_factory.mktemp("check") / "work")


@pytest.fixture
def unsaved(fresh):
    """The fresh workspace, its files put back afterwards."""
    kept = {name: (fresh.root / name).read_bytes() for name in ("params.yaml", "dvc.yaml")}
    yield fresh
    for name, content in kept.items():
        (fresh.root / name).write_bytes(content)


MISTAKES = [
    ({"axes__loss__dcie": {}}, "params.yaml: axes.loss.dcie: no pipeline/losses/dcie.py. Did you mean 'dice'? Known: "),
    ({"axes__loss__dice": {"denominater": "plain"}}, "axes.loss.dice.denominater: unknown key. Did you mean 'denominator'?"),
    ({"axes__loss__dice": {"denominator": "sqared"}}, "axes.loss.dice.denominator: 'sqared' is not allowed. Did you mean 'squared'?"),
    ({"axes__loss__focal": {"gamma": -1.0}}, "axes.loss.focal.gamma: -1.0 should be greater than or equal to 0."),
    ({"axes__loss__c": {"kind": "compound", "terms": {"dice": 1, "cros_entropy": 1}}}, "axes.loss.c.terms.cros_entropy: no pipeline/losses/cros_entropy.py. Did you mean 'cross_entropy'?"),
    ({"axes__loss__focal": {"alpha": [1.0, 2.0]}}, "params.yaml: axes.loss.focal cannot be crossed with axes.dataset.digits, which has 5 classes: 'alpha' has 2 numbers; give one for each class."),
    ({"axes__loss__c": {"kind": "compound", "terms": {"dice": 1, "l1": {"weight": 1, "class_weights": [1, 10]}}}}, "params.yaml: axes.loss.c cannot be crossed with axes.dataset.digits, which has 5 classes: 'class_weights' of l1 has 2 numbers; give one for each class."),
    ({"axes__loss__c": {"kind": "compound", "terms": {name: {"weight": 1, "class_weights": "none"} for name in ("dice", "l1")}}}, "params.yaml: axes.loss.c cannot be crossed with axes.strategy.class_weights, which weighs classes: each of its terms says its own 'class_weights', so nothing would be weighed. Remove one of the two."),
    ({"axes__strategy__oversampel": {}}, "axes.strategy.oversampel: no pipeline/strategies/oversampel.py. Did you mean 'oversample'?"),
    ({"axes__strategy__both": {"kind": "chain", "of": ["class_weights", "oversampel"]}}, "params.yaml: axes.strategy.both.of.1: no pipeline/strategies/oversampel.py. Did you mean 'oversample'?"),
    ({"axes__strategy__late": {"kind": "two_phase", "first": "none", "then": {"kind": "class_weights", "powr": 1}}}, "axes.strategy.late.then.powr: unknown key. Did you mean 'power'?"),
    ({"axes__strategy": {"class_weights": {}, "post_hoc": {"kind": "post_hoc_logit_adjustment"}}, "report__control__strategy": "class_weights"}, "error: params.yaml: axes.strategy.post_hoc trains nothing but judges the trainings without a strategy once more, and there are none. Add the entry `none: {}`.\n"),
    ({"axes__dataset__digit": {}}, "axes.dataset.digit: no pipeline/datasets/digit.py. Did you mean 'digits'?"),
    ({"axes__dataset__digits__image_sise": 64}, "axes.dataset.digits.image_sise: unknown key. Did you mean 'image_size'?"),
    ({"axes__dataset__digits__fit": {"itrations": 5}}, "axes.dataset.digits.fit.itrations: unknown key. Did you mean 'iterations'?"),
    ({"axes__model__unet_tiny__encoder": "resnt18"}, "axes.model.unet_tiny.encoder: no encoder 'resnt18'. Did you mean 'resnet18'?"),
    ({"axes__seed": [0, 0]}, "axes.seed: must be a list of different whole numbers"),
    ({"fit__optimiser": "sgd"}, "params.yaml: fit.optimiser: unknown key. Did you mean 'optimizer'?"),
    ({"fit__lr": 0}, "params.yaml: fit.lr: 0 should be greater than 0."),
    ({"tune": {"rats": 5}}, "params.yaml: tune.rats: unknown key. Did you mean 'rates'?"),
    ({"tune": {"lowest": 1e-3, "highest": 1e-2}}, "params.yaml: tune: 'highest' (0.01) must be at least 100 times 'lowest' (0.001)"),
    ({"axes__loss__dice": {"tune": "no"}}, "params.yaml: axes.loss.dice.tune: must be true or false, not 'no'."),
    ({"evel": {}}, "params.yaml: unknown key 'evel'. Did you mean 'eval'?"),
    ({"report__control__loss": "cross_entrpy"}, "report.control.loss: no entry 'cross_entrpy' in axes.loss. Did you mean 'cross_entropy'?"),
    ({"report__primary_metric": "miuo"}, "report.primary_metric: no metric 'miuo'. Did you mean 'miou'?"),
    ({"axes__dataset": {"a": {"kind": "digits", "folds": 5}, "b": {"kind": "digits", "folds": 5}}}, "params.yaml: axes.dataset.b and .a are both fold 0. Number them 0, 1, 2, ..."),
    ({"axes__dataset": {"a": {"kind": "digits", "folds": 5}, "b": {"kind": "digits", "folds": 5, "fold": 1, "fit": {"lr": 0.1}}}}, "params.yaml: axes.dataset.b.fit: must be that of .a, another fold of the same dataset."),
    ({"axes__dataset": {"a": {"kind": "digits", "folds": 5}, "b": {"kind": "digits", "folds": 5, "fold": 1, "unit": "mm"}}}, "params.yaml: axes.dataset.b.unit: must be that of .a, another fold of the same dataset."),
    ({"report__noise_floor": [5, 0, 5]}, "params.yaml: report.noise_floor: seeds must differ from each other and from axes.seed; given twice: 0, 5."),
    ({"axes__strategy": {"none": {}, "post_hoc": {"kind": "post_hoc_logit_adjustment"}}, "report__control__strategy": "post_hoc", "report__noise_floor": [5]}, "params.yaml: report.noise_floor: the control has strategy 'post_hoc', which trains nothing to repeat. Set []."),
    ({"fit__lr": float("inf")}, "error: params.yaml: fit.lr: inf should be a finite number.\n"),
    ({"axes__loss__ce": {}}, "error: params.yaml: axes.loss.ce: no pipeline/losses/ce.py. Did you mean 'cross_entropy'? Known: "),
    ({"fit__iterations": 10**30}, "params.yaml: fit.iterations: 1000000000000000000000000000000 should be less than 2147483648."),
    ({"axes__loss": {"cross_entropy": {}, "a" * 190: {"kind": "dice"}}}, "-0: 223 characters, and the name of a cell may have 200; give shorter names."),
    ({"report": None}, "params.yaml: dvc.yaml takes report.control.loss, report.control.strategy, report.noise_floor from here, and DVC knows no defaults: write `control: {loss: cross_entropy, strategy: none}` and `noise_floor: []` under `report:`."),
    ({"report__control": {"loss": "dice"}}, "params.yaml: dvc.yaml takes report.control.strategy from here, and DVC knows no defaults: write `control: {loss: dice, strategy: none}` under `report:`."),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "sentence"), MISTAKES, ids=[next(iter(changes)) for changes, _ in MISTAKES])
def test_a_mistake_in_params_stops_the_benchmark_with_one_sentence(unsaved, changes, sentence):
    unsaved.edit_params(**changes)
    found = unsaved.run("pipeline.run", check=False)
    assert found.returncode == 1
    assert found.stderr.startswith("error: ")
    assert sentence in found.stderr
    assert found.stderr.count("\n") == 1
    assert not (unsaved.root / "data").exists(), "nothing was started"


@pytest.mark.parametrize("options", [["pipeline.check"], ["pipeline.run"], ["pipeline.run", "--dry"]])
def test_without_params_it_is_said_where_to_take_some_from(unsaved, options):
    (unsaved.root / "params.yaml").unlink()
    found = unsaved.run(*options, check=False)
    assert (found.returncode, found.stderr) == (
        1,
        "error: params.yaml: missing; presets/ holds files to start from, as in `cp presets/digits.yaml params.yaml`.\n",
    )


def test_all_mistakes_are_told_at_once(unsaved):
    """Of every block and axis; and, once all of them are right, all that does not go together."""
    unsaved.edit_params(
        axes__loss={"ce": {}, "focal": {"gama": 1.0}, "dice": [1]},
        axes__strategy__oversampel={},
        axes__model__unet_tiny__encoder="resnet-34",
        axes__dataset__digits__image_size="64",
        axes__dataset__digits__fit={"momentum": 0.5},
        fit__lr=float("nan"),
        report__rop=1,
        evel={},
    )
    places = [line.partition(": ")[2] for line in unsaved.run("pipeline.check", check=False).stderr.splitlines()]
    places = [each.removeprefix("params.yaml: ").partition(" ")[0] for each in places]
    assert sorted(places) == sorted(
        [
            "unknown",
            "report.rop:",
            "axes.dataset.digits.image_size:",
            "axes.loss.ce:",
            "axes.loss.focal.gama:",
            "axes.loss.dice:",
            "axes.strategy.oversampel:",
            "axes.model.unet_tiny.encoder:",
            "fit.lr:",
        ]
    )


def test_all_that_does_not_go_together_is_told_at_once(unsaved):
    unsaved.edit_params(
        axes__loss={"cross_entropy": {}, "class_balanced": {}, "focal": {"alpha": [1.0, 2.0]}},
        report__control={"loss": "ce", "strategy": "plain"},
        report__primary_metric="dice",
    )
    said = unsaved.run("pipeline.check", check=False).stderr.removeprefix("error: ").splitlines()
    assert [line.removeprefix("params.yaml: ").partition(" ")[0] for line in said] == [
        "axes.loss.class_balanced",
        "axes.loss.focal",
        "report.control.loss:",
        "report.control.strategy:",
        "report.primary_metric:",
    ]


def test_a_pipeline_without_repeats_needs_no_control_in_params(unsaved):
    """The defaults are those of the plan."""
    text = (unsaved.root / "dvc.yaml").read_text()
    start, rest = text.split("  repeat:", 1)
    (unsaved.root / "dvc.yaml").write_text(start + "  evaluate:" + rest.split("  evaluate:", 1)[1])
    unsaved.edit_params(report=None)
    unsaved.run("pipeline.check")
    plan = json.loads((unsaved.root / "data" / "plan" / "report.json").read_text())
    assert (plan["control"], plan["noise_floor"]) == ({"loss": "cross_entropy", "strategy": "none"}, [])
    shutil.rmtree(unsaved.root / "data")


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (
            "  prepare:\n    matrix:",
            "  prepare:\n    matrx:",
            "stages.prepare.matrx: unknown key. Did you mean 'matrix'?",
        ),
        ("pipeline.evaluate", "pipeline.evalute", "no module 'pipeline.evalute'. Did you mean 'pipeline.evaluate'?"),
        (
            "- data/raw/${item.dataset}\n",
            "- data/rw/${item.dataset}\n",
            "'data/rw/${item.dataset}' does not exist and no stage writes it.",
        ),
        (
            "loss: ${axes.loss}",
            "loss: ${axes.los}",
            "stages.tune.matrix.loss: must be ${axes.loss} or ['${report.control.loss}'], not '${axes.los}'.",
        ),
    ],
)
def test_a_mistake_in_dvc_yaml_stops_the_benchmark_with_one_sentence(unsaved, old, new, sentence):
    text = (unsaved.root / "dvc.yaml").read_text()
    assert old in text
    (unsaved.root / "dvc.yaml").write_text(text.replace(old, new, 1))
    found = unsaved.run("pipeline.run", check=False)
    assert found.returncode == 1
    assert sentence in found.stderr
    assert found.stderr.count("\n") == 1


def test_a_pair_that_cannot_work_is_refused_with_the_reason(unsaved):
    """A loss as a user might add it, which has no use for class weights; alone, and inside a compound."""
    code = (unsaved.root / "pipeline" / "losses" / "l1.py").read_text()
    refusal = '    def refuses_class_weights(self) -> str:\n        return "it has no classes"\n\n    def formula('
    (unsaved.root / "pipeline" / "losses" / "odd.py").write_text(code.replace("    def formula(", refusal))
    for entry in ({"odd": {}}, {"sum": {"kind": "compound", "terms": {"odd": 1, "dice": 1}}}):
        unsaved.edit_params(axes__loss={"cross_entropy": {}} | entry)
        found = unsaved.run("pipeline.run", check=False)
        assert found.returncode == 1
        assert found.stderr == (
            f"error: params.yaml: axes.loss.{next(iter(entry))} cannot be crossed with axes.strategy.class_weights, which "
            "weighs classes: it has no classes. Remove one of the two.\n"
        )
    (unsaved.root / "pipeline" / "losses" / "odd.py").unlink()


WEIGHS = {"kind": "class_weights", "scheme": "enet"}


@pytest.mark.parametrize(
    "strategy",
    [
        {"kind": "chain", "of": ["oversample", WEIGHS]},
        {"kind": "two_phase", "first": "class_weights", "then": "none"},
        {"kind": "two_phase", "first": "none", "then": {"kind": "chain", "of": ["hard_pixels", WEIGHS]}},
    ],
    ids=["in a chain", "in a phase", "in a chain in a phase"],
)
def test_weights_inside_another_strategy_are_refused_by_a_loss_without_use_for_them(unsaved, strategy):
    unsaved.edit_params(
        axes__loss={"cross_entropy": {}, "class_balanced": {}}, axes__strategy={"none": {}, "mine": strategy}
    )
    found = unsaved.run("pipeline.run", check=False)
    assert found.returncode == 1
    assert found.stderr == (
        "error: params.yaml: axes.loss.class_balanced cannot be crossed with axes.strategy.mine, which weighs classes: it "
        "makes its own class weights, from the number of train images that hold each class. Remove one of the two.\n"
    )


def test_a_folder_that_is_not_there_is_one_sentence(unsaved):
    unsaved.edit_params(
        axes__dataset={"mine": {"kind": "folder", "images": "nowhere", "masks": "nowhere", "classes": ["a", "b"]}}
    )
    found = unsaved.run("pipeline.run", check=False)
    assert found.returncode == 1
    assert "nowhere" in found.stderr
    assert found.stderr.count("\n") == 1


def test_the_plan_holds_every_resolved_option_and_a_digest(unsaved):
    unsaved.edit_params(axes__loss__focal={})
    unsaved.run("pipeline.check")
    plan = json.loads((unsaved.root / "data" / "plan" / "train" / "loss" / "focal.json").read_text())
    assert (plan["kind"], plan["gamma"], plan["versions"].keys()) == ("focal", 2.0, {"torch"})
    assert {"pipeline/losses/focal.py", "pipeline/losses/base.py"} < plan["code"].keys()
    (unsaved.root / "data" / "plan").rename(unsaved.root / "old")
    (unsaved.root / "data").rmdir()


def test_a_dataset_overrides_fit_for_itself_alone(unsaved):
    unsaved.edit_params(
        axes__dataset__digits__fit={"lr": 0.5}, axes__dataset__more={"kind": "digits", "image_size": 32}
    )
    unsaved.run("pipeline.check")
    folder = unsaved.root / "data" / "plan" / "train" / "dataset"
    rates = {name: json.loads((folder / f"{name}.json").read_text())["fit"]["lr"] for name in ("digits", "more")}
    assert rates == {"digits": 0.5, "more": 1e-3}


def test_what_acts_on_decisions_alone_takes_over_the_trainings_of_the_control(unsaved):
    """Of the entry of kind none, whatever its name; where anything else is done too, it is trained.

    `class_balanced` takes no class weights, and nothing here makes any.
    """
    post_hoc = {"kind": "post_hoc_logit_adjustment", "largest": 1.0}
    strategies = {
        "thresholds": {"kind": "class_thresholds"},
        "post_hoc": post_hoc,
        "late": {"kind": "two_phase", "first": "none", "then": post_hoc},
        "both": {"kind": "chain", "of": ["oversample", post_hoc]},
        "late_both": {"kind": "two_phase", "first": "oversample", "then": post_hoc},
        "plain": {"kind": "none"},
    }
    unsaved.edit_params(
        axes__loss={"cross_entropy": {}, "class_balanced": {}},
        axes__strategy=strategies,
        report__control__strategy="plain",
    )
    unsaved.run("pipeline.check")
    folder = unsaved.root / "data" / "plan" / "train" / "strategy"
    plans = {name: json.loads((folder / f"{name}.json").read_text()) for name in strategies}
    reused = {name: plan["weights_of"] for name, plan in plans.items() if "weights_of" in plan}
    assert reused == {"thresholds": "plain", "post_hoc": "plain", "late": "plain"}
    assert (plans["post_hoc"]["kind"], plans["post_hoc"]["largest"]) == ("post_hoc_logit_adjustment", 1.0)
    assert plans["both"]["of"] == strategies["both"]["of"]


@pytest.mark.parametrize(("control", "trained"), [("post_hoc", "plain"), ("oversample", "oversample")])
def test_gradients_are_those_of_models_that_the_control_has_trained(unsaved, control, trained):
    """A control that trains nothing has the models of another entry, and none of its own to be opened."""
    strategies = {"plain": {"kind": "none"}, "oversample": {}, "post_hoc": {"kind": "class_thresholds"}}
    unsaved.edit_params(axes__strategy=strategies, report__control__strategy=control)
    unsaved.run("pipeline.check")
    assert json.loads((unsaved.root / "data" / "plan" / "gradients.json").read_text())["strategy"] == trained


TRAINING = {"tune", "train", "repeat", "evaluate", "gradients"}
REPORT = {"report", "publish"}
VERSIONS = {
    "torch": TRAINING | REPORT,
    "albumentations": TRAINING,
    "albucore": TRAINING,
    "timm": TRAINING,
    "opencv-python-headless": TRAINING | {"prepare"},
    "numpy": TRAINING | {"prepare"} | REPORT,
    "pandas": {"evaluate", "gradients"} | REPORT,
    "scipy": {"prepare", "evaluate"} | REPORT,
    "scikit-image": {"evaluate"},
    "scikit-learn": {"prepare"},
    "pillow": {"prepare", "evaluate"} | REPORT,
    "statsmodels": REPORT,
    "tqdm": set(),
    "pydantic": set(),
    "mlflow": set(),
    "dvc": set(),
}


@pytest.fixture
def other_version(tmp_path, monkeypatch):
    """Makes Python find another version of a distribution, as after an installation."""

    def install(name):
        folder = tmp_path / f"{name.replace('-', '_')}-99.9.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 99.9+cpu\n")
        monkeypatch.syspath_prepend(tmp_path)
        libraries.version.cache_clear()

    yield install
    libraries.version.cache_clear()


@pytest.mark.parametrize("library", VERSIONS)
def test_another_version_of_a_library_costs_the_stages_whose_code_reaches_it(
    unsaved, monkeypatch, other_version, library
):
    """By the files of the plan that change, and the stages that depend on them."""
    unsaved.edit_params(tune={"rates": 3})
    monkeypatch.chdir(unsaved.root)
    before = check.make_plan()
    other_version(library)
    after = check.make_plan()
    changed = [f"data/plan/{place}.json" for place in after if after[place] != before[place]]
    stages = YAML(typ="safe").load(unsaved.root / "dvc.yaml")["stages"]
    depend = {name: [re.sub(r"\$\{.*?\}", "*", dep) for dep in stage["deps"]] for name, stage in stages.items()}
    stale = {name for name, deps in depend.items() for dep in deps if fnmatch.filter(changed, dep)}
    assert stale == VERSIONS[library]


def test_check_depends_on_what_pins_the_versions():
    """So that plain `dvc repro` looks at them again after an installation."""
    assert "requirements.lock" in YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]["check"]["deps"]


@pytest.mark.parametrize("preset", [file.stem for file in sorted((ROOT / "presets").glob("*.yaml"))])
def test_every_preset_is_valid(tmp_path, preset):
    Miniature.create(tmp_path / "work", preset).run("pipeline.check")


@pytest.mark.parametrize(("axis", "folder"), [("loss", "losses"), ("strategy", "strategies")])
def test_the_preset_of_every_loss_or_strategy_has_every_one(axis, folder):
    params = YAML(typ="safe").load(ROOT / "presets" / f"every_{axis}.yaml")
    listed = {(block or {}).get("kind", name) for name, block in params["axes"][axis].items()}
    assert listed == set(plugins.kinds(folder))


@pytest.mark.parametrize("name", [b"caf\xe9", b"{b}", b"a}"], ids=repr)
def test_a_folder_in_which_dvc_cannot_work_is_refused(unsaved, tmp_path, name):
    place = Path(os.fsdecode(os.fsencode(tmp_path / "in") + b"/" + name))
    found = unsaved.copy(place).run("pipeline.check", check=False)
    assert (found.returncode, found.stdout) == (1, "")
    assert found.stderr == (
        f"error: The path of this folder, {str(place)!a}, holds a brace or is not UTF-8, and DVC cannot work there. "
        "Rename it.\n"
    )
