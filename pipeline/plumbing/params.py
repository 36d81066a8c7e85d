"""params.yaml as typed objects."""

from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field
from ruamel.yaml import YAML, YAMLError

from pipeline.plumbing.cells import AXES, NAME
from pipeline.plumbing.errors import Mistakes, UserError, did_you_mean
from pipeline.plumbing.messages import brief
from pipeline.plumbing.options import Options
from pipeline.plumbing.spelling import nearest

START = "presets/ holds files to start from, as in `cp presets/digits.yaml {}`."


class Control(Options):
    """The experiment that every claim is a difference from."""

    loss: str
    strategy: str


class Report(Options):
    """The block `report`."""

    control: Control
    primary_metric: str = "miou"
    """Sorts the leaderboard; any metric of `pipeline/measure/metrics/table.py`."""
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    """Of every interval."""
    interval: Literal["t", "percentile", "bca"] = "t"
    """How intervals are made of the resamples; `docs/statistics.md` says how well each one covers."""
    resamples: int = Field(default=10_000, ge=100, le=1_000_000)
    """How often the test images are drawn anew."""
    rope: float = Field(default=0.005, ge=0)
    """Region of practical equivalence: a difference of the primary metric within +-rope does not matter."""
    noise_floor: list[Annotated[int, Field(ge=0, lt=2**31)]] = []
    """Seeds, none of those under `axes.seed`, with which the control is trained once more."""
    gallery: int = Field(default=4, ge=0, le=20)
    """Test images per dataset in the gallery: those on which the experiments differ most."""


class Eval(Options):
    """The block `eval`."""

    batch_size: int = Field(default=32, ge=1)
    size: Literal["prepared", "original"] = "prepared"
    """At which size predictions are scored; at `original`, logits are enlarged to the size of the mask."""
    tolerance: float = Field(default=2.0, gt=0)
    """Distance up to which two surfaces agree, in the unit of the dataset's spacing."""


class Params(NamedTuple):
    """The blocks of params.yaml: axes, fit and tune as they stand there, resolved by `check`; the others typed."""

    axes: dict[str, dict[str, Any]]
    """Per axis its entries; for `seed` the seeds as text, with None."""
    fit: dict[str, Any]
    tune: dict[str, Any]
    eval: Eval
    report: Report
    left_out: list[str]
    """Keys of the control and the noise floor that the file leaves to their defaults, which DVC does not know."""


def read_params(path: Path) -> Params:
    """Read and check the outer form of `path`: its blocks, axes, names and seeds. Raises UserError."""
    mistakes = Mistakes()
    params = gather_params(path, mistakes)
    mistakes.raise_noted()
    return params


def gather_params(path: Path, mistakes: Mistakes) -> Params:
    """The same as far as it is right: what is wrong is noted, a wrong axis is empty and a wrong block None.

    Raises UserError where the file cannot be read at all.
    """
    blocks = _keys(_load(path), f"{path}", {"axes", "fit"}, {"tune", "eval", "report"}, mistakes)
    where = f"{path}: axes"
    given = _keys(blocks["axes"], where, set(AXES), set(), mistakes) if "axes" in blocks else {}
    read = {axis: mistakes.attempt(_entries, given[axis], axis, f"{where}.{axis}") for axis in AXES if axis in given}
    axes = {axis: read.get(axis) or {} for axis in AXES}
    report, left_out = _with_defaults(blocks.get("report"), axes)
    return Params(
        axes=axes,
        fit=mistakes.attempt(_mapping, blocks["fit"], f"{path}: fit") if "fit" in blocks else None,
        tune=mistakes.attempt(_mapping, {} if blocks.get("tune") is None else blocks["tune"], f"{path}: tune"),
        eval=mistakes.attempt(Eval.read, blocks.get("eval"), f"{path}: eval"),
        report=mistakes.attempt(Report.read, report, f"{path}: report"),
        left_out=left_out,
    )


def _load(path: Path) -> Any:
    """The file as DVC reads it: YAML 1.2, in which 1e-3 is a number and `no` is a word."""
    try:
        content = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: missing; {START.format(path)}") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}.") from None
    except RecursionError:
        raise UserError(f"{path}: not valid YAML: blocks within blocks, too deep to be read.") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise UserError(f"{path}:{line}: not UTF-8; save the file in that encoding.") from None
    except (YAMLError, ValueError, TypeError) as mistake:  # as of a date such as 2001-99-99, or of a key such as [[a]]
        mark = getattr(mistake, "problem_mark", None)
        place = f"{path}:{mark.line + 1}" if mark else f"{path}"
        problem = getattr(mistake, "problem", None) or str(mistake).splitlines()[0]
        raise UserError(f"{place}: not valid YAML: {problem}.") from None
    if content is None:
        raise UserError(f"{path}: empty; {START.format(path)}")
    return content


def _mapping(block: Any, where: str) -> dict[str, Any]:
    """`block`, found at `where`, if it is a mapping. Raises UserError."""
    if not isinstance(block, dict):
        raise UserError(f"{where}: must be a mapping, not {brief(block)}.")
    return block


def _keys(block: Any, where: str, required: set[str], optional: set[str], mistakes: Mistakes) -> dict[str, Any]:
    """`block` as a mapping, or an empty one; notes unknown keys, and required ones that are not there."""
    found = mistakes.attempt(_mapping, block, where)
    if found is None:
        return {}
    known = required | optional
    unknown = [brief(key).strip("'") for key in found if key not in known]
    mistakes.note(*(f"{where}: unknown key '{key}'. {did_you_mean(key, known)}" for key in unknown))
    meant = {nearest(key, known) for key in unknown}  # misspelt here and missing there is one mistake
    mistakes.note(*(f"{where}: '{key}' is missing." for key in sorted(required - found.keys() - meant)))
    return found


def _entries(block: Any, axis: str, where: str) -> dict[str, Any]:
    """The entries of one axis by name. Seeds are a list of numbers; all other axes are mappings."""
    if axis == "seed":
        return dict.fromkeys(map(str, _seeds(block, where)))
    if not isinstance(block, dict) or not block:
        raise UserError(
            f"{where}: must be a mapping with at least one entry, such as `{{name: {{}}}}`, not {brief(block)}."
        )
    mistakes = Mistakes()
    for name in block:
        if not isinstance(name, str):
            mistakes.note(f"{where}: {brief(name)} is no name; put it in quotes if it is meant as one.")
        elif not NAME.fullmatch(name):
            mistakes.note(f"{where}: the name {brief(name)} may hold lower-case letters, digits and _ only.")
    mistakes.raise_noted()
    return block


def _seeds(block: Any, where: str) -> list[int]:
    good = isinstance(block, list) and block and all(type(seed) is int and 0 <= seed < 2**31 for seed in block)
    if not good or len(set(block)) < len(block):
        raise UserError(
            f"{where}: must be a list of different whole numbers from 0 to 2^31 - 1, as [0, 1, 2], not {brief(block)}."
        )
    return block


def _with_defaults(report: Any, axes: dict[str, dict[str, Any]]) -> tuple[Any, list[str]]:
    """The block `report` with the control that it leaves out, and the keys that it leaves out and dvc.yaml may take.

    The control is cross-entropy with strategy `none`, or else what stands first.
    """
    report = {} if report is None else report
    if not isinstance(report, dict) or not isinstance(report.get("control"), dict | None):
        return report, []  # which is refused
    control = report.get("control") or {}
    usual = {"loss": _entry_of(axes["loss"], "cross_entropy"), "strategy": _entry_of(axes["strategy"], "none")}
    left_out = [f"report.control.{key}" for key in usual if key not in control]
    left_out += [] if "noise_floor" in report else ["report.noise_floor"]
    return {**report, "control": usual | control}, left_out


def _entry_of(entries: dict[str, Any], kind: str) -> str:
    """The name of the first entry of a kind, or of the first of all."""
    kinds = {name: (block if isinstance(block, dict) else {}).get("kind", name) for name, block in entries.items()}
    return next((name for name in kinds if kinds[name] == kind), next(iter(kinds), ""))
