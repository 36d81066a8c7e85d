"""The check of dvc.yaml: one mutation of the project's own file, one sentence."""

import shutil
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline.plumbing import cells
from pipeline.plumbing.dvcfile import check_dvcfile, check_place
from pipeline.plumbing.errors import UserError

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "dvc.yaml").read_text(encoding="utf-8")
STAGES = ["check", "download", "prepare", "train", "evaluate", "gradients", "report", "publish"]


@pytest.fixture
def check(tmp_path, monkeypatch):
    """Checks a text as dvc.yaml in a directory with what lies beside the real one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pipeline").mkdir()
    for name in ("params.yaml", "requirements.lock"):
        (tmp_path / name).touch()
    path = Path("dvc.yaml")

    def text_of(text):
        path.write_text(text)
        check_dvcfile(path)

    return text_of


@pytest.fixture
def refused(check):
    def sentence(text):
        with pytest.raises(UserError) as error:
            check(text)
        assert len(str(error.value).splitlines()) == 1
        return str(error.value)

    return sentence


def test_the_file_of_the_project_passes(check):
    """In a fresh clone too, where nothing has been written yet."""
    check(TEXT)


def test_it_says_which_keys_of_params_yaml_are_taken():
    """By matrices: what DVC must find there, since it knows no defaults."""
    taken = {"report.control.loss", "report.control.strategy", "report.noise_floor"}
    assert check_dvcfile(ROOT / "dvc.yaml") == taken | {f"axes.{axis}" for axis in cells.AXES}


def test_every_stage_has_its_file_and_they_stand_in_order():
    """The file a reader opens is the one DVC runs."""
    stages = YAML(typ="safe", pure=True).load(TEXT)["stages"]
    assert [stage for stage in stages if stage in STAGES] == STAGES
    for name, stage in stages.items():
        module = {"repeat": "train"}.get(name, name)
        assert (ROOT / "pipeline" / f"{module}.py").is_file()
        assert stage["cmd"].split()[:3] == ["python", "-m", f"pipeline.{module}"]


def test_a_repeat_depends_on_what_a_cell_depends_on():
    """They are trained alike, so that the noise floor is one of this benchmark."""
    stages = YAML(typ="safe", pure=True).load(TEXT)["stages"]
    assert {key: value for key, value in stages["repeat"].items() if key != "matrix"} == {
        key: value for key, value in stages["train"].items() if key != "matrix"
    }


MODULES = "Known: pipeline.check, "
AXES = "Known: dataset, loss, model, seed, strategy."
CELLS = "cells are named by dataset, model, loss, strategy, seed in this order, not by"
MUTATIONS = {
    "top key": ("\nstages:", "\nplot: []\nstages:", ".plot: unknown key. Did you mean 'plots'? Known: "),
    "stage key": (
        "    deps:\n      - params.yaml",
        "    dep:\n      - params.yaml",
        ": stages.check.dep: unknown key. Did you mean 'deps'? Known: always_changed, cmd, ",
    ),
    "module": (
        "-m pipeline.evaluate",
        "-m pipeline.evalute",
        f": stages.evaluate.cmd: no module 'pipeline.evalute'. Did you mean 'pipeline.evaluate'? {MODULES}",
    ),
    "module of others": ("-m pipeline.check", "-m json.tool", f": stages.check.cmd: no module 'json.tool'. {MODULES}"),
    "script": (
        "python -m pipeline.check",
        "python pipeline/check.py",
        ": stages.check.cmd: must start with `python -m pipeline.`, not 'python pipeline/check.py'.",
    ),
    "no command": (
        "    cmd: python -m pipeline.check\n",
        "",
        ": stages.check.cmd: missing; this key has no default.",
    ),
    "axis": (
        "      dataset: ${axes.dataset}",
        "      datset: ${axes.dataset}",
        f": stages.download.matrix: unknown axis 'datset'. Did you mean 'dataset'? {AXES}",
    ),
    "axis source": (
        "      loss: ${axes.loss}",
        "      loss: ${axes.los}",
        ": stages.tune.matrix.loss: must be ${axes.loss} or ['${report.control.loss}'], not '${axes.los}'.",
    ),
    "axis list": (
        "      loss: ${axes.loss}",
        "      loss: [dice]",
        ": stages.tune.matrix.loss: must be ${axes.loss} or ['${report.control.loss}'], not ['dice'].",
    ),
    "axis order": (
        "      model: ${axes.model}\n      loss: ${axes.loss}\n",
        "      loss: ${axes.loss}\n      model: ${axes.model}\n",
        f": stages.tune.matrix: {CELLS} dataset, loss, model.",
    ),
    "axis missing": (
        "      strategy: ${axes.strategy}\n",
        "",
        f": stages.train.matrix: {CELLS} dataset, model, loss, seed.",
    ),
    "dependency": (
        "      - data/raw/${item.dataset}\n",
        "      - data/rav/${item.dataset}\n",
        ": stages.prepare.deps: 'data/rav/${item.dataset}' does not exist and no stage writes it. Did you mean 'data/raw/${item.dataset}'? Known: ",
    ),
    "stages": ("\nstages:", "\nstage:", ": not a pipeline: it has no mapping 'stages'."),
    "YAML": (
        "    cmd: python -m pipeline.check",
        "    cmd: python: -m pipeline.check",
        ": not a pipeline: mapping values are not allowed here.",
    ),
    "duplicate stage": ("  prepare:\n", "  download:\n", ': not a pipeline: found duplicate key "download"'),
}


@pytest.mark.parametrize(("old", "new", "sentence"), MUTATIONS.values(), ids=MUTATIONS.keys())
def test_a_mistake_is_one_sentence(refused, old, new, sentence):
    """Where it is, and what was probably meant."""
    assert old in TEXT
    assert refused(TEXT.replace(old, new, 1)).startswith(f"dvc.yaml{sentence}")


@pytest.mark.parametrize("text", ["", "- stages\n", "vars: []\n", "stages:\n", "stages: 3\n"])
def test_a_file_without_stages_is_no_pipeline(refused, text):
    """Empty, a list, or stages that hold nothing."""
    assert refused(text) == "dvc.yaml: not a pipeline: it has no mapping 'stages'."


@pytest.mark.parametrize(
    "stage",
    [
        "",
        "{cmd: [python -m pipeline.check]}",
        "{cmd: python -m pipeline.check, deps: }",
        "{cmd: python -m pipeline.nope.check}",
    ]
    + [f"{{cmd: python -m pipeline.check, matrix: {matrix}}}" for matrix in ("", "[dataset]")],
)
def test_a_stage_of_a_wrong_form_is_one_sentence(refused, stage):
    """Something left empty, a list in place of a word: no traceback."""
    assert refused(f"stages:\n  a: {stage}\n").startswith("dvc.yaml: stages.a")


def test_a_missing_file_says_where_to_be(tmp_path):
    """The usual reason is the wrong directory."""
    with pytest.raises(UserError, match=r"dvc\.yaml: missing; run this in the root of the project\."):
        check_dvcfile(tmp_path / "dvc.yaml")


def test_a_dependency_may_be_inside_an_output_or_around_it(check):
    """`data/plan/x.json` lies in `data/plan`; `models` holds every `models/CELL`."""
    check(
        "stages:\n"
        "  a: {cmd: python -m pipeline.check, outs: [data/plan, models/one: {cache: false}]}\n"
        "  b: {cmd: python -m pipeline.report, deps: [data/plan/x.json, models]}\n"
    )


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with the two files of a project, as it comes out of an archive: without a git repository."""
    root = tmp_path / "project"
    (root / ".dvc").mkdir(parents=True)
    (root / ".dvc" / "config").write_text("[core]\n    analytics = false\n['remote \"storage\"']\n    url = /x\n")
    for name in FILES:
        (root / name).touch()
    monkeypatch.chdir(root)
    return root


FILES = ("params.yaml", "dvc.yaml")


def place() -> None:
    check_place(*map(Path, FILES))


@pytest.mark.parametrize("marker", ["project/.git", ".git"])
@pytest.mark.parametrize("is_folder", [True, False], ids=["a folder", "a file, as of a worktree"])
def test_a_git_repository_may_be_around_the_project(project, marker, is_folder):
    """Or the project a folder in one, which DVC accepts as well."""
    path = project.parent / marker
    path.mkdir() if is_folder else path.touch()
    place()


@pytest.mark.parametrize("file", ["config", "config.local"])
@pytest.mark.parametrize("value", ["true", "True", "yes"])
def test_dvc_may_be_told_that_there_is_no_git(project, file, value):
    """As `dvc init --no-scm` and `dvc config [--local] core.no_scm true` do."""
    (project / ".dvc" / file).write_text(f"[core]\n    analytics = false\n    no_scm = {value}\n")
    place()


def test_a_project_from_an_archive_is_told_what_to_do(project):
    """Before DVC says that this is no git repository; and what it is told works."""
    with pytest.raises(UserError) as error:
        place()
    assert str(error.value) == (
        f"{project}: not a git repository, as DVC expects. Run `git init`, or, to do without git, `dvc config core.no_scm "
        "true`."
    )
    from dvc.cli import main

    assert main(["config", "--quiet", "core.no_scm", "true"]) == 0
    place()


def test_a_project_without_the_folder_of_dvc_is_told_so(project):
    """Hidden folders are easily left behind."""
    shutil.rmtree(project / ".dvc")
    with pytest.raises(UserError, match=r"project: no folder `\.dvc` here, without .* `dvc init --no-scm`\.$"):
        place()


def test_a_config_that_cannot_be_read_is_left_to_dvc(project):
    """Which names the line."""
    (project / ".dvc" / "config").write_text("core]\n")
    place()


@pytest.mark.parametrize("missing", [[], ["params.yaml"], ["dvc.yaml"]])
def test_in_a_folder_of_the_project_its_root_is_named(project, monkeypatch, missing):
    """Also in one with a dvc.yaml of its own, as docs/ has."""
    inner = project / "docs" / "deep"
    inner.mkdir(parents=True)
    for name in set(FILES) - set(missing) if missing else ():
        (inner / name).touch()
    monkeypatch.chdir(inner)
    with pytest.raises(UserError) as error:
        place()
    assert str(error.value) == f"{inner}: not the root of the project; run this in {project}."


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_missing_in_the_root_is_left_to_who_reads_it(project, name):
    """They know what it is for."""
    (project / ".git").mkdir()
    (project / name).unlink()
    place()
