"""Make MLflow show exactly what the files say: the stage `publish`.

One MLflow experiment per dataset, with runs found by their fingerprints: one per row of the leaderboard, and below it
one per cell, also if that only judges the weights of another; one per trial of a search for a learning rate; one with
the page of the report. What a training showed live is completed, and what params.yaml no longer names stays, marked as
superseded. Doing it twice changes nothing, and after `mlflow.db` is deleted it brings everything back: `make publish`.
"""

import argparse
from typing import Any

from pipeline.measure.evidence import facts_of, read_meta, source_of
from pipeline.measure.pools import Pool, find_pools, pooled_cell
from pipeline.mlflow_view.best import best_cell, publish_best
from pipeline.mlflow_view.cells import CellJob
from pipeline.mlflow_view.keys import plain
from pipeline.mlflow_view.publishers import Publishers
from pipeline.mlflow_view.report import Report, names_of, page_exhibit
from pipeline.mlflow_view.showcase import Showcase
from pipeline.mlflow_view.summaries import summary_exhibit
from pipeline.mlflow_view.trials import trial_exhibits
from pipeline.mlflow_view.views import experiment_tags
from pipeline.plumbing.cells import Cell, combinations, repeats
from pipeline.plumbing.errors import run_stage
from pipeline.plumbing.files import read_json
from pipeline.plumbing.fingerprints import as_planned
from pipeline.plumbing.messages import shown
from pipeline.plumbing.plan import MODELS, read_plan
from pipeline.plumbing.tracking import Store, failures_explained, tracking_uri
from pipeline.plumbing.tracking_file import new_file


def main() -> None:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    plan, report = read_plan("report"), Report.read()
    metas = {name: read_meta(name) for name in plan["axes"]["dataset"]}
    uri = tracking_uri()  # before a new store is opened under a temporary name
    with failures_explained(), new_file(uri) as new, as_planned(read_plan("publish")):
        store = Store(new)
        for pool in find_pools(metas):
            for entry in pool.entries:
                classes, version = plain(metas[entry]["classes"]), store.mlflow.__version__
                tags = experiment_tags(entry, plan["primary_metric"], classes, version)
                publish_dataset(Showcase.open(store, entry, tags), plan, pool, entry, report)
    print(f"MLflow at {shown(uri)} shows what results/ says.")


def publish_dataset(showcase: Showcase, plan: dict[str, Any], pool: Pool, entry: str, report: Report) -> None:
    """Make one experiment of MLflow show the cells of its dataset, and nothing else as current.

    Of folds that are reported together, each has an experiment for its cells; what is said of all of them stands in
    that of the first.
    """
    cells, again = (shown_cells(each, pool, entry, report) for each in planned_cells(plan))
    experiments, images = by_experiment(cells), report.gallery.get(entry, [])
    board = [row for row in report.board.to_dict("records") if names_of(row) in experiments and entry == pool.first]
    rows = {names_of(row): row for row in board}
    winner = best_cell(rows.values(), experiments, plan["primary_metric"])
    trained = {cell: CellJob(cell, "cell", report.scores[name], images).exhibit() for cell, name in cells.items()}
    repeated = [CellJob(cell, "repeat", report.scores[name], images).exhibit() for cell, name in again.items()]
    with Publishers(showcase, sum(not showcase.has(each) for each in [*trained.values(), *repeated])) as publishers:
        # MLflow shows the last model first: so the best one.
        for names in [*(names for names in experiments if names not in rows), *reversed(rows)]:
            group = experiments[names]
            parent = showcase.show(summary_exhibit(rows[names], report, group)).info.run_id if names in rows else None
            below = {cell: trained[cell].below(parent) for cell in group}
            if winner in below:
                showcase.show(below.pop(winner))  # here, since it is registered while others are shown
            publishers.show(below.values())
        publishers.show(repeated)
        if winner:
            publish_best(showcase, pool.name, winner)
    for search in dict.fromkeys(cell.search for cell in combinations(plan["axes"]) if cell.dataset == entry):
        for exhibit in trial_exhibits(search):
            showcase.show(exhibit)
    if rows:
        showcase.show(page_exhibit(max(read_json(MODELS / cell.name / "provenance.json")["ended"] for cell in cells)))
    showcase.close()


def planned_cells(plan: dict[str, Any]) -> tuple[list[Cell], list[Cell]]:
    """Those of the axes, and the repeats of the control."""
    return combinations(plan["axes"]), repeats(plan["axes"], plan["control"], plan["noise_floor"])


def shown_cells(planned: list[Cell], pool: Pool, entry: str, report: Report) -> dict[Cell, tuple[str, ...]]:
    """The cells of a dataset that are trained and in the report, with their names there."""
    trained = [cell for cell in planned if cell.dataset == entry and source_of(facts_of(cell))]
    names = {cell: tuple(map(str, pooled_cell(cell, [pool]))) for cell in trained}
    return {cell: name for cell, name in names.items() if name in report.scores}


def by_experiment(cells: dict[Cell, tuple[str, ...]]) -> dict[tuple[str, ...], list[Cell]]:
    """The cells of each row of the leaderboard."""
    groups: dict[tuple[str, ...], list[Cell]] = {}
    for cell, name in cells.items():
        groups.setdefault(name[:4], []).append(cell)
    return groups


if __name__ == "__main__":
    run_stage(main)
