"""Finds mistakes in dvc.yaml, and around it, that DVC would meet late or explain badly."""

import configparser
import re
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML, YAMLError

from pipeline.plumbing.cells import AXES
from pipeline.plumbing.errors import UserError, did_you_mean
from pipeline.plumbing.messages import brief
from pipeline.plumbing.options import Options

CODE = Path(__file__).parents[1]
REPEATED = {  # what the repeats of the control take instead of all entries
    "loss": ["${report.control.loss}"],
    "strategy": ["${report.control.strategy}"],
    "seed": "${report.noise_floor}",
}
Paths = list[str | dict[str, Any]]  # each may carry flags


class Stage(Options):
    """The keys of a stage that this project uses, as https://dvc.org/doc/user-guide/project-structure names them."""

    cmd: str
    matrix: dict[str, str | list[str]] = {}
    deps: list[str] = []
    outs: Paths = []
    metrics: Paths = []
    plots: Paths = []
    params: list[Any] = []
    desc: str = ""
    frozen: bool = False
    always_changed: bool = False


class Pipeline(Options):
    """The top of dvc.yaml."""

    stages: dict[str, Any]
    metrics: list[Any] = []
    plots: list[Any] = []
    params: list[Any] = []
    vars: list[Any] = []


def check_place(*files: Path) -> None:
    """Check that the current folder is the root of a project, where these files lie, and one that DVC works in."""
    here = Path.cwd()
    _check_path(str(here))
    if not all(file.exists() for file in files):
        for folder in here.parents:
            if all((folder / file).is_file() for file in files):
                raise UserError(f"{here}: not the root of the project; run this in {folder}.")
    _check_repository([here, *here.parents])


def _check_path(place: str) -> None:
    """Elsewhere DVC ends with the name of a codec, or of what stands in the braces."""
    if place != place.encode(errors="replace").decode() or {"{", "}"} & set(place):
        raise UserError(
            f"The path of this folder, {place!a}, holds a brace or is not UTF-8, and DVC cannot work there. Rename it."
        )


def _check_repository(folders: list[Path]) -> None:
    """DVC wants a git repository around its own folder `.dvc`, or the word that there is none."""
    inside = next((number for number, folder in enumerate(folders) if (folder / ".dvc").is_dir()), None)
    if inside is None:
        raise UserError(
            f"{folders[0]}: no folder `.dvc` here, without which DVC does nothing; copy it from where the project came "
            "from, or run `dvc init`, and without git `dvc init --no-scm`."
        )
    if any((folder / ".git").exists() for folder in folders[inside:]) or _without_git(folders[inside] / ".dvc"):
        return
    raise UserError(
        f"{folders[inside]}: not a git repository, as DVC expects. Run `git init`, or, to do without git, `dvc config "
        "core.no_scm true`."
    )


def _without_git(folder: Path) -> bool:
    """Whether the configuration of DVC in this folder says so."""
    config = configparser.RawConfigParser(strict=False)
    try:
        config.read([folder / "config", folder / "config.local"], encoding="utf-8")
        return config.getboolean("core", "no_scm", fallback=False)
    except (configparser.Error, ValueError):
        return True  # which DVC itself has more to say of


def check_dvcfile(path: Path) -> set[str]:
    """Check keys, commands, matrix axes, and that every dependency exists or is written by a stage.

    Returns the keys of params.yaml that it takes, as `report.noise_floor`. Raises UserError.
    """
    try:
        content = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: missing; run this in the root of the project.") from None
    except (YAMLError, ValueError, OSError) as mistake:
        raise UserError(f"{path}: not a pipeline: {getattr(mistake, 'problem', None) or mistake}.") from None
    if not isinstance(content, dict) or not content.get("stages") or not isinstance(content["stages"], dict):
        raise UserError(f"{path}: not a pipeline: it has no mapping 'stages'.")
    pipeline = Pipeline.read(content, str(path))
    stages = {name: Stage.read(block, f"{path}: stages.{name}") for name, block in pipeline.stages.items()}
    outputs = {_path(out) for stage in stages.values() for out in [*stage.outs, *stage.metrics, *stage.plots]}
    for name, stage in stages.items():
        where = f"{path}: stages.{name}"
        _check_command(stage.cmd, f"{where}.cmd")
        _check_matrix(stage.matrix, f"{where}.matrix")
        for dep in stage.deps:
            if not Path(dep).exists() and not any(_within(dep, out) for out in outputs):
                known = did_you_mean(dep, outputs)
                raise UserError(f"{where}.deps: '{dep}' does not exist and no stage writes it. {known}")
    return {key for stage in stages.values() for key in re.findall(r"\$\{(.*?)\}", str(stage.matrix))}


def _check_command(command: str, where: str) -> None:
    found = re.match(r"python -m ([\w.]+)", command)
    if not found:
        raise UserError(f"{where}: must start with `python -m pipeline.`, not {brief(command)}.")
    known = {f"pipeline.{file.stem}" for file in CODE.glob("[a-z]*.py")}
    if found[1] not in known:
        raise UserError(f"{where}: no module '{found[1]}'. {did_you_mean(found[1], known)}")


def _check_matrix(matrix: dict[str, str | list[str]], where: str) -> None:
    """Axes take their values from params.yaml, the first few of all five in the order that names cells."""
    for axis, values in matrix.items():
        if axis not in AXES:
            raise UserError(f"{where}: unknown axis '{axis}'. {did_you_mean(axis, AXES)}")
        allowed = [f"${{axes.{axis}}}", *([REPEATED[axis]] if axis in REPEATED else [])]
        if values not in allowed:
            raise UserError(f"{where}.{axis}: must be {' or '.join(map(str, allowed))}, not {brief(values)}.")
    if len(matrix) > 1 and tuple(matrix) != AXES[: len(matrix)]:
        raise UserError(f"{where}: cells are named by {', '.join(AXES)} in this order, not by {', '.join(matrix)}.")


def _path(entry: str | dict[str, Any]) -> str:
    """The path of an output, with or without flags."""
    return entry if isinstance(entry, str) else next(iter(entry))


def _within(path: str, other: str) -> bool:
    """Whether one of the two paths lies in the other or is it."""
    return Path(path).is_relative_to(other) or Path(other).is_relative_to(path)
