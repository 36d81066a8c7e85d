"""The speed of the metrics, on small shapes: that the same numbers are timed, not how fast they are."""

import importlib.metadata

import numpy as np
import pytest
import torch
from sklearn.metrics import matthews_corrcoef

from pipeline.conformance import metrics_speed
from pipeline.conformance.metrics import CONTESTS, make_batches, our_calibration, our_region
from pipeline.conformance.metrics_speed import Speed, measure, page
from pipeline.learn.torchvision_schemas import declare_missing_operators
from pipeline.plumbing.labels import IGNORE

CPU = torch.device("cpu")
SMALL = ((3, 4, 40, 60), (2, 2, 64, 50))


@pytest.mark.parametrize("shape", SMALL)
@pytest.mark.parametrize("contest", CONTESTS, ids=lambda contest: contest.name)
def test_both_give_the_same_numbers_and_are_timed(contest, shape):
    """`measure` compares them before."""
    speed = measure(contest, make_batches(shape, CPU), shape[1], rounds=3)
    assert min(speed.ours, speed.theirs) > 0
    assert speed.least <= speed.ratio <= speed.most


@pytest.mark.parametrize("contest", CONTESTS, ids=lambda contest: contest.name)
def test_numbers_that_differ_stop_the_contest(contest):
    """Otherwise something else would be timed."""
    wrong = contest._replace(
        ours=lambda *arguments, **named: {
            name: value * 1.01 for name, value in contest.ours(*arguments, **named).items()
        }
    )
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        measure(wrong, make_batches(SMALL[0], CPU), SMALL[0][1], rounds=1)


def test_correlation_equals_scikit_learn():
    """Of all classes at once, which needs no confusion matrix."""
    batches = make_batches(SMALL[0], CPU)
    valid = [each.target != IGNORE for each in batches]
    truth, said = (
        np.concatenate([getattr(each, name)[where] for each, where in zip(batches, valid, strict=True)])
        for name in ("target", "predicted")
    )
    assert our_region(batches, 4)["MatthewsCorrCoef"] == pytest.approx(matthews_corrcoef(truth, said))


def test_single_precision_puts_torchmetrics_off_at_two_million_pixels():
    """Why calibration is compared on a part of the pixels; in double precision it agrees on all."""
    declare_missing_operators()
    from torchmetrics.functional.classification import binary_calibration_error

    (batch, *_) = batches = make_batches((32, 2, 256, 256), CPU)[:1]
    ours = our_calibration(batches, 2)["errors"][2]
    probability = batch.logits.softmax(dim=1)[:, 1]
    target = batch.target.long()
    single, double = (
        binary_calibration_error(each, target, 15, "l1", IGNORE).item() for each in (probability, probability.double())
    )
    assert ours == pytest.approx(double, rel=1e-5)
    assert ours != pytest.approx(single, rel=1e-3)


def test_the_command_times_all_and_writes_one_table(monkeypatch, tmp_path, capsys):
    """A row for each shape and contest."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BENCHMARK_DEVICE", "cpu")
    monkeypatch.setattr(metrics_speed, "SHAPES", SMALL)
    monkeypatch.setattr(metrics_speed, "measure", lambda *arguments: measure(*arguments, rounds=1))
    metrics_speed.main()
    text = (tmp_path / metrics_speed.PAGE).read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| (")]
    assert len(rows) == len(SMALL) * len(CONTESTS)
    assert all(line.count("|") == 7 for line in rows)
    assert f"torchmetrics {importlib.metadata.version('torchmetrics')}" in text
    assert capsys.readouterr().out.count("\n") == len(rows)


@pytest.mark.parametrize(("ratio", "verdict"), [(5.1, "met"), (4.9, "missed")])
def test_the_target_is_judged(ratio, verdict):
    text = page({((1, 2, 3, 4), "all"): Speed(51.0, 10.0, ratio, 4.0, 6.0)}, CPU)
    assert text.splitlines()[-1] == f"| (1, 2, 3, 4) | all | 51 | 10 | {ratio} (4.0 to 6.0) | {verdict} |"
