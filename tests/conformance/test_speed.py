"""The speed of the losses, on tiny shapes: that what is measured is what the page says, not how fast it is."""

import importlib.metadata
import itertools

import pytest
import torch
from torch.nn.functional import cross_entropy

from pipeline.conformance import speed
from pipeline.conformance.cost import Cost, make_batch, measure
from pipeline.conformance.speed import Contender, contenders, page
from pipeline.plumbing import plugins

CPU = torch.device("cpu")
SMALL = ((2, 3, 24, 40), (2, 2, 24, 24))


@pytest.fixture(scope="module")
def batch():
    return make_batch(SMALL[0], CPU)


@pytest.fixture
def installed_only(monkeypatch):
    """As if the extra were not installed, wherever this runs."""
    version = importlib.metadata.version
    missing = importlib.metadata.PackageNotFoundError

    def found(library):
        if library in ("monai", "kornia", "pytorch_toolbelt"):
            raise missing(library)
        return version(library)

    monkeypatch.setattr(speed, "version", found)


def test_times_are_ratios_to_cross_entropy(batch, monkeypatch):
    """By a clock that only these calls move; the first call of a loss, which may compile, is not counted."""
    now, takes = [0.0], itertools.cycle([10.0, 20.0, 60.0])
    monkeypatch.setattr("time.process_time", lambda: now[0])

    def taking(seconds):
        def call(*pair, **more):
            now[0] += next(seconds)
            return cross_entropy(*pair, **more)

        return call

    monkeypatch.setattr("pipeline.conformance.cost.cross_entropy", taking(itertools.repeat(2.0)))
    found = measure(taking(takes), batch, rounds=3)
    assert (found.least, found.ratio, found.most) == (5, 10, 30)


def test_peak_of_memory_is_what_is_held_at_once(batch):
    """log-softmax and the gradient of the logits; ten tensors that are kept for the gradient add their size."""
    size = batch.logits.numel() * 4 / 2**20
    plain = measure(cross_entropy, batch, rounds=1).mebibytes
    assert size < plain < 4 * size
    more = measure(lambda x, y: cross_entropy(x, y) + sum((x * k).exp().mean() for k in range(10)), batch, rounds=1)
    assert more.mebibytes > plain + 9 * size


def test_every_loss_of_ours_and_those_of_others_that_are_installed(installed_only):
    """Found by their files; each of another library stands after ours of the same kind."""
    found = contenders()
    assert [each.kind for each in found if each.library == speed.OURS] == plugins.kinds("losses")
    others = [each for each in found if each.library != speed.OURS]
    assert {each.library for each in others} == {"torch", "segmentation_models_pytorch"}
    assert {"dice", "cross_entropy", "lovasz_softmax"} <= {each.kind for each in others}


def test_the_command_measures_all_and_writes_one_table(installed_only, monkeypatch, tmp_path, capsys):
    """A row for each, at both shapes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BENCHMARK_DEVICE", "cpu")
    monkeypatch.setattr(speed, "SHAPES", SMALL)
    monkeypatch.setattr(speed, "LARGE", (1, 5, 24, 24))
    monkeypatch.setattr(speed, "measure", lambda call, batch, rounds=1: measure(call, batch, rounds=1))
    speed.main()
    text = (tmp_path / speed.PAGE).read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| ") and " MiB " in line]
    assert len(rows) == len(contenders())
    assert all(line.count(" MiB ") == 2 for line in rows)
    assert f"torch {speed.version('torch')}" in text
    large = text.partition("## Many classes")[2]
    assert [line.split()[1] for line in large.splitlines() if line.startswith("| ")][1:] == plugins.kinds("losses")
    assert capsys.readouterr().out.count("\n") == 2 * len(rows) + len(plugins.kinds("losses"))


def test_large_alone_prints_its_table_and_writes_no_page(installed_only, monkeypatch, tmp_path, capsys):
    """What one looks at while working on a loss."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BENCHMARK_DEVICE", "cpu")
    monkeypatch.setattr(speed, "LARGE", (1, 5, 24, 24))
    monkeypatch.setattr(speed, "measure", lambda *_: Cost(2.0, 1.0, 3.0, 0.5))
    speed.main(large_alone=True)
    assert "| dice | 2.00 (1.00 to 3.00) | 45.5 | missed: above 16 times the logits |" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("kind", "ratio", "logits", "verdict"),
    [
        ("dice", 10.0, 16.0, "met"),
        ("dice", 10.1, 1.0, "missed: above 10 times cross-entropy"),
        ("cl_dice", 99.0, 17.0, "as it says: above 10 times cross-entropy, above 16 times the logits"),
    ],
)
def test_target_with_many_classes(kind, ratio, logits, verdict):
    """150 MiB of logits; a loss may take more where it says so."""
    text = speed.large_table({kind: Cost(ratio, ratio, ratio, 150 * logits)})
    assert text.endswith(f"| {kind} | {ratio:.2f} ({ratio:.2f} to {ratio:.2f}) | {logits:.1f} | {verdict} |\n")


@pytest.mark.parametrize(
    ("ours", "other", "verdict"),
    [
        (1.5, 1.6, "met"),
        (2.1, 2.5, f"missed: above 2 at {speed.SHAPES[0]}"),
        (1.5, 1.2, f"missed: another takes 1.20 at {speed.SHAPES[0]}"),
    ],
)
def test_target_is_judged_at_every_shape(ours, other, verdict):
    """Dice is a loss by overlap, so two limits hold."""
    good = Cost(1.0, 1.0, 1.0, 3.0)
    costs = {
        Contender("dice", speed.OURS, "`dice`", None): [Cost(ours, 1.0, 3.0, 5.0), good],
        Contender("dice", "torch", "`other`", None): [Cost(other, 1.0, 3.0, 5.0), good],
    }
    row = next(line for line in page(costs, CPU).splitlines() if line.startswith("| dice | this project"))
    assert row.endswith(f"| {verdict} |")


def test_a_loss_of_two_classes_is_not_measured_with_more():
    """Its cell says so, and it is no rival there."""
    costs = {
        Contender("unified_focal", speed.OURS, "`unified_focal`", None): [Cost(1.5, 1.0, 2.0, 5.0)] * 2,
        Contender("unified_focal", "monai", "`other`", None, 2): [None, Cost(3.0, 2.0, 4.0, 5.0)],
    }
    text = page(costs, CPU)
    assert "| two classes only |  | 3.00 (2.00 to 4.00) | 5 MiB |" in text
    assert text.rstrip().splitlines()[-2].endswith("| met |")
