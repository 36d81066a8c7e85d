"""The matrix of other libraries: what is always installed is run, and the page is what the code gives where all is."""

import contextlib
import importlib.metadata
import io
import re
import tomllib
import warnings
from pathlib import Path

import pytest

from pipeline.conformance import __main__ as command
from pipeline.conformance.cases import read_cases
from pipeline.conformance.page import page
from pipeline.conformance.peer import IMPORTS, version
from pipeline.conformance.peers import PEERS
from pipeline.conformance.properties import PROPERTIES, judge
from pipeline.learn.torchvision_schemas import declare_missing_operators
from pipeline.plumbing.errors import UserError

ROOT = Path(__file__).parents[2]
ALWAYS = ("torch", "torchvision", "segmentation_models_pytorch")
INSTALLED = [peer for peer in PEERS if peer.library in ALWAYS]


@pytest.fixture(scope="module")
def verdicts():
    """Of the losses that are always installed, by name and property."""
    return {peer.name: judge(peer.subject()) for peer in INSTALLED}


@pytest.fixture(scope="module")
def extra():
    """Skips where the libraries of the extra are not those that the page speaks of."""
    for line in pinned():
        name, wanted = line.split("==")
        try:
            found = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            pytest.skip(f"the extra `peers` is not installed: no {name}")
        if found != wanted:
            pytest.skip(f"{name} is {found}, not {wanted}")


def pinned() -> list[str]:
    """The extra, from pyproject.toml."""
    content = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return content["project"]["optional-dependencies"]["peers"]


def shown(lines: list[str]) -> str:
    """What lines of Python print, or the exception they end with."""
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exec("\n".join(lines), {})
    except Exception as error:
        return f"{type(error).__name__}: "
    return printed.getvalue()


@pytest.mark.parametrize(
    ("name", "fails"),
    [
        ("nn.CrossEntropyLoss()", {"all void", "float16"}),
        ("smp.SoftCrossEntropyLoss(smooth_factor=0.0)", {"void: mean"}),
        ("smp.FocalLoss('multiclass')", {"value", "all void", "absent: scale"}),
        ("smp.DiceLoss('multiclass')", {"absent: scale", "float16"}),
        ("smp.LovaszLoss('multiclass')", {"all void", "float16", "gradcheck", "options"}),
        ("smp.DiceLoss('binary')", {"empty mask"}),
        ("smp.MCCLoss()", {"float16"}),
    ],
)
def test_known_defects_are_found(verdicts, name, fails):
    """And nothing else in these losses."""
    assert {head for head, verdict in verdicts[name].items() if verdict.outcome == "fail"} == fails


def test_every_failure_is_shown_by_three_lines_that_run(verdicts):
    """What a reader pastes prints what the page says."""
    declare_missing_operators()
    count = 0
    for peer in INSTALLED:
        for verdict in verdicts[peer.name].values():
            if verdict.outcome == "fail":
                lines = [peer.source, verdict.given, verdict.shown]
                assert not any("\n" in line for line in lines)
                assert_same_numbers(shown(lines), verdict.observed.split("; ")[0])
                count += 1
    assert count > 20


def assert_same_numbers(printed: str, observed: str) -> None:
    if re.match(r"\w+: ", observed):
        assert printed == observed.split(": ")[0] + ": "
    else:
        expected = [float(word) for word in observed.split()]
        assert [float(word) for word in printed.split()] == pytest.approx(expected, rel=0.06, nan_ok=True)


def test_names_of_losses_are_unlike():
    """A row of the table is known by library and name."""
    assert len({(peer.library, peer.name) for peer in PEERS}) == len(PEERS)
    assert not [peer.name for peer in PEERS if "**" in peer.name or ("255" in peer.name and not peer.title)]


def test_every_case_has_a_library_and_a_condition():
    """A case without one could never be found to be fixed."""
    cases = read_cases()
    assert all(case.library in IMPORTS and (case.so is None) != (case.raises is None) for case in cases)
    assert {case.number for case in cases} >= {1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 18, 19, 25}


def test_cases_of_installed_libraries_are_still_so():
    """At the versions that are pinned."""
    declare_missing_operators()
    judged = {case.claim: case.judged() for case in read_cases() if case.library in ALWAYS}
    assert len(judged) > 10
    assert {claim: observed for claim, (there, observed) in judged.items() if not there} == {}


def test_the_lock_of_the_extra_is_the_extra():
    """Two places name the versions: pip reads one, `make conformance` the other."""
    lock = (ROOT / "requirements-peers.lock").read_text(encoding="utf-8").replace("_", "-").splitlines()
    assert set(pinned()) <= set(lock)


def test_without_the_extra_the_command_says_what_to_install(monkeypatch, tmp_path):
    """No traceback, and no page."""

    def missing(library):
        raise importlib.metadata.PackageNotFoundError(library)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("pipeline.conformance.page.version", missing)
    with pytest.raises(UserError, match=r"torch is not installed; run `make conformance`"):
        command.main()
    assert list(tmp_path.iterdir()) == []


def test_the_committed_page_is_what_the_code_gives(extra):
    """It names no day and no machine, so making it again changes nothing."""
    committed = (ROOT / "docs" / "conformance.md").read_text(encoding="utf-8")
    declare_missing_operators()
    assert page() == committed


def test_the_committed_page_has_a_row_for_every_loss_and_a_column_for_every_property():
    """Also where the extra is not installed."""
    committed = (ROOT / "docs" / "conformance.md").read_text(encoding="utf-8")
    assert all(f"| {peer.library} | `{peer.name}` |" in committed for peer in PEERS)
    assert f"| {' | '.join(PROPERTIES)} |" in committed
    assert all(case.claim in committed for case in read_cases())
    assert all(f"{library} {version(library)}" in committed for library in ALWAYS)
