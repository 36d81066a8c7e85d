"""Known defects of the libraries, from `cases.yaml`. Whether the installed version has one is found by running it."""

import math
from pathlib import Path

from ruamel.yaml import YAML

from pipeline.conformance.experiment import observe, printed, written
from pipeline.conformance.peer import IMPORTS
from pipeline.plumbing.options import Options

FILE = Path(__file__).with_suffix(".yaml")


class Case(Options):
    """Something that a loss does and its name does not say."""

    library: str
    claim: str
    given: str
    measured: str
    number: int | None = None
    thread: str | None = None
    """Issue or pull request, as owner/repository#number."""
    so: str | None = None
    """A condition on the numbers measured, by which the defect is there."""
    raises: str | None = None
    """Or the exception that is the defect."""

    def judged(self) -> tuple[bool, str]:
        """Whether the installed version does what the claim says, and what was observed."""
        seen = observe(None, f"{self._imports}; {self.given}", self.measured)
        if isinstance(seen, str):
            return self.raises is not None and seen.startswith(self.raises), written(seen)
        names = dict(zip("abcd", seen, strict=False)) | {"near": _near, "isnan": math.isnan}
        return self.so is not None and bool(eval(self.so, names)), written(seen)

    def lines(self, observed: str) -> list[str]:
        """The reproduction."""
        return [f"import torch; {self._imports}", self.given, f"{printed(self.measured)}  # {observed}"]

    @property
    def _imports(self) -> str:
        return IMPORTS[self.library]


def read_cases() -> list[Case]:
    """All of them, in the order of the file."""
    content = YAML(typ="safe", pure=True).load(FILE.read_text(encoding="utf-8"))
    inputs = {name: content[name] for name in ("batch", "pair")}
    return [
        Case.read(
            {**block, "given": block["given"].replace("{batch}", inputs["batch"]).replace("{pair}", inputs["pair"])},
            FILE.name,
        )
        for block in content["cases"]
    ]


def _near(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=1e-3)
