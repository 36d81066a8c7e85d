"""What the report reads of cells, some of which judge the weights of others, from files as the stages write them."""

import shutil

import pytest

from pipeline.measure.evidence import (
    counts_of,
    learning_curves,
    origins,
    read_facts,
    reused_strategies,
    searches,
    state_of,
    trained,
)
from pipeline.measure.pools import Pool
from pipeline.plumbing.cells import Cell
from pipeline.plumbing.files import write_json
from pipeline.plumbing.plan import COUNTS, MODELS, TUNED
from tests.measure.recorded import ORIGIN, record_cell
from tests.measure.tables.measuring import counts_of as counts_from
from tests.measure.tables.measuring import region

SOURCE, REUSED, NEVER = (Cell("d", "m", "dice", strategy, 0) for strategy in ("none", "thresholds", "oversample"))
POOLS = [Pool("d", {"d": 0})]


@pytest.fixture(autouse=True)
def files(tmp_path, monkeypatch) -> None:
    """A finished cell, and a second one that judges its weights once more; both are evaluated. A third is missing."""
    monkeypatch.chdir(tmp_path)
    record_cell(SOURCE, counts_from(region(3, 5)))
    record_cell(REUSED, counts_from(region(4, 5)), status="reused", weights_of=SOURCE.name)
    write_json(MODELS / REUSED.name / "provenance.json", {"seconds": 0.0, "validated": []})


def facts() -> dict:
    return read_facts([SOURCE, REUSED, NEVER])


def state(cell: Cell) -> str:
    return state_of(cell, facts()[cell])


def test_a_reused_cell_has_finished_with_counts_of_its_own():
    assert (state(SOURCE), state(REUSED)) == ("finished", "finished")
    found = {cell: counts_of(cell, facts()[cell]) for cell in (SOURCE, REUSED)}
    assert {cell: each.classes["tp"].tolist() for cell, each in found.items()} == {SOURCE: [[3, 3]], REUSED: [[4, 4]]}


def test_a_reused_cell_cost_what_its_source_did():
    """It trained nothing itself. Batches of 4 images in half a second."""
    of_training = {name: ORIGIN[name] for name in ("seconds", "seconds_per_iteration", "loss_share", "peak_memory")}
    for cell in (SOURCE, REUSED):
        assert counts_of(cell, facts()[cell]).cost == of_training | {"images_per_second": 8.0}


def test_a_reused_cell_has_diverged_where_its_source_has():
    """Even if counts of an earlier run still lie there."""
    record_cell(SOURCE, status="diverged", diverged_at=7)
    assert (state(SOURCE), state(REUSED)) == ("diverged at iteration 7", "diverged at iteration 7")


def test_a_reused_cell_is_missing_without_its_source():
    (MODELS / SOURCE.name / "cell.json").unlink()
    assert state(REUSED) == "missing"


@pytest.mark.parametrize("cell", [SOURCE, REUSED], ids=lambda cell: cell.strategy)
def test_a_cell_is_missing_until_it_is_evaluated(cell):
    shutil.rmtree(COUNTS / cell.name)
    assert state(cell) == "missing"


def test_a_cell_that_is_not_trained_is_missing():
    assert facts()[NEVER] is None
    assert state(NEVER) == "missing"


def test_a_reused_cell_has_no_curve_and_no_training_behind_it():
    assert list(trained(facts())) == [SOURCE]
    assert learning_curves(facts(), POOLS)["strategy"].tolist() == ["none"]
    assert origins(facts()) == [ORIGIN]
    assert reused_strategies(facts()) == {"thresholds": "none"}


def test_the_curve_of_a_fold_is_named_as_in_the_report():
    (curve,) = learning_curves(facts(), [Pool("all", {"d": 3, "e": 4})]).to_dict("records")
    assert (curve["dataset"], curve["seed"], curve["val_miou"]) == ("all", "fold 3 seed 0", 0.5)


@pytest.mark.parametrize("cells", [[REUSED, NEVER], []], ids=["reused and missing", "none"])
def test_without_a_training_curves_are_empty(cells):
    curves = learning_curves(read_facts(cells), POOLS)
    assert curves.columns.tolist() == [*Cell._fields, "iteration", "lr", "train_loss", "val_miou"]
    assert curves.empty


def test_training_that_diverged_before_its_first_validation_has_an_empty_curve():
    record_cell(SOURCE, status="diverged", diverged_at=1)
    assert learning_curves(facts(), POOLS).empty


def test_searches_are_read_where_they_are_done():
    axes = {"dataset": ["d"], "model": ["m"], "loss": ["dice", "focal"], "strategy": ["none"], "seed": ["0", "1"]}
    write_json(TUNED / "d-m-focal" / "search.json", {"lr": 0.1})
    assert searches(axes) == {("d", "m", "focal"): {"lr": 0.1}}
