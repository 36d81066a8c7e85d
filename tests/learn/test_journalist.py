"""What a training writes into its journal."""

import pytest

from pipeline.learn import journalist
from pipeline.learn.journalist import Journalist
from pipeline.learn.trainer import Validation
from pipeline.plumbing import journal
from pipeline.plumbing.journal import Follower, Journal


@pytest.fixture(autouse=True)
def workspace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(journal, "EVERY", 0.0)


def test_the_speed_is_that_of_this_process_without_its_first_step(monkeypatch):
    """Eight images in a step that takes half a second, after the iteration at which an earlier process was killed."""
    clock = iter([0.0, 0.5, 1.0])
    monkeypatch.setattr(journalist.time, "perf_counter", lambda: next(clock))
    listener = Journalist(Journal("a", {}), iterations=20, batch_size=8)
    for iteration in (11, 12, 13):
        listener.progress(iteration)
    lines = Follower("a").new()[1:]
    assert [(line["iteration"], line["iterations"], line["images_per_second"]) for line in lines] == [
        (11, 20, 0.0),
        (12, 20, 16.0),
        (13, 20, 16.0),
    ]


@pytest.mark.parametrize(
    ("terms", "shown"),
    [({}, {}), ({"dice": 0.5, "focal": float("nan")}, {"train/loss/dice": 0.5})],
    ids=["one loss", "a sum with a term that had no weight"],
)
def test_a_validation_is_a_point(terms, shown):
    """MLflow draws no curve of NaN."""
    Journalist(Journal("a", {}), 20, 8).validated(Validation(5, 0.1, 0.7, 0.4, [0.3, 0.5], 99.0, terms))
    metrics = {"train/loss": 0.7, "val/miou": 0.4} | shown
    assert Follower("a").new()[1:] == [{"kind": "point", "metrics": metrics, "step": 5, "at": 99.0}]
