"""params.yaml as typed objects."""

from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field
from ruamel.yaml import YAML, YAMLError

from pipeline.plumbing.cells import AXES, NAME
from pipeline.plumbing.errors import UserError, did_you_mean
from pipeline.plumbing.messages import brief
from pipeline.plumbing.options import Options


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
    noise_floor: list[Annotated[int, Field(ge=0, lt=2**31)]]
    """Seeds, none of those under `axes.seed`, with which the control is trained once more; dvc.yaml needs the key."""
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


def read_params(path: Path) -> Params:
    """Read and check the outer form of `path`: its blocks, axes, names and seeds. Raises UserError."""
    blocks = _mapping(_load(path), str(path), {"axes", "fit", "report"}, {"tune", "eval"})
    axes = _mapping(blocks["axes"], f"{path}: axes", set(AXES), set())
    axes = {axis: _entries(axes[axis], axis, f"{path}: axes.{axis}") for axis in AXES}
    return Params(
        axes=axes,
        fit=_mapping(blocks["fit"], f"{path}: fit", set(), None),
        tune=_mapping(blocks.get("tune") or {}, f"{path}: tune", set(), None),
        eval=Eval.read(blocks.get("eval"), f"{path}: eval"),
        report=Report.read(blocks["report"], f"{path}: report"),
    )


def _load(path: Path) -> Any:
    """The file as DVC reads it: YAML 1.2, in which 1e-3 is a number and `no` is a word."""
    try:
        return YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(
            f"{path}: missing; presets/ holds files to start from, as in `cp presets/digits.yaml {path}`."
        ) from None
    except (YAMLError, ValueError, TypeError, RecursionError, OSError) as mistake:
        # ValueError: a date such as 2001-99-99, or no UTF-8. TypeError: a key such as [[a]]
        mark = getattr(mistake, "problem_mark", None)
        place = f"{path}:{mark.line + 1}" if mark else f"{path}"
        problem = getattr(mistake, "problem", None) or str(mistake).splitlines()[0]
        raise UserError(f"{place}: not valid YAML: {problem}.") from None


def _mapping(block: Any, where: str, required: set[str], optional: set[str] | None) -> dict[str, Any]:
    """`block` as a mapping that has the required keys and no others than these and the optional ones (None: any)."""
    if not isinstance(block, dict):
        raise UserError(f"{where}: must be a mapping, not {brief(block)}.")
    for key in block:
        if optional is not None and key not in required | optional:
            word = brief(key).strip("'")
            raise UserError(f"{where}: unknown key '{word}'. {did_you_mean(word, required | optional)}")
    for key in sorted(required - block.keys()):
        raise UserError(f"{where}: '{key}' is missing.")
    return block


def _entries(block: Any, axis: str, where: str) -> dict[str, Any]:
    """The entries of one axis by name. Seeds are a list of numbers; all other axes are mappings."""
    if axis == "seed":
        return dict.fromkeys(map(str, _seeds(block, where)))
    if not isinstance(block, dict) or not block:
        raise UserError(
            f"{where}: must be a mapping with at least one entry, such as `{{name: {{}}}}`, not {brief(block)}."
        )
    for name in block:
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise UserError(f"{where}: the name {brief(name)} may hold lower-case letters, digits and _ only.")
    return block


def _seeds(block: Any, where: str) -> list[int]:
    good = isinstance(block, list) and block and all(type(seed) is int and 0 <= seed < 2**31 for seed in block)
    if not good or len(set(block)) < len(block):
        raise UserError(
            f"{where}: must be a list of different whole numbers from 0 to 2^31 - 1, as [0, 1, 2], not {brief(block)}."
        )
    return block
