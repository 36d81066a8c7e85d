"""Stage `publish`: makes MLflow show exactly what the files say.

One MLflow experiment per dataset, with runs found by their fingerprints: one per row of the leaderboard, and below it
one per cell, also if that only judges the weights of another; one per trial of a search for a learning rate; one with
the page of the report. What a training showed live is completed, and what params.yaml no longer names stays, marked as
superseded. Doing it twice changes nothing, and after `mlflow.db` is deleted it brings everything back: `make publish`.
"""

import sys
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any

from tqdm import tqdm

from pipeline.measure.evidence import facts_of, read_meta, source_of
from pipeline.measure.metrics.table import METRICS
from pipeline.measure.pools import Pool, find_pools, pooled_cell
from pipeline.mlflow_view.best import publish_best
from pipeline.mlflow_view.cells import publish_cell
from pipeline.mlflow_view.keys import plain
from pipeline.mlflow_view.report import Report, names_of, publish_page
from pipeline.mlflow_view.showcase import Showcase
from pipeline.mlflow_view.summaries import publish_summary
from pipeline.mlflow_view.trials import publish_trials
from pipeline.mlflow_view.views import experiment_tags
from pipeline.plumbing.cells import Cell, combinations, repeats
from pipeline.plumbing.errors import run_stage
from pipeline.plumbing.files import read_json
from pipeline.plumbing.plan import MODELS, read_plan
from pipeline.plumbing.tracking import Store, failures_explained, tracking_uri
from pipeline.running.warm import hand_over

AT_ONCE = 4  # cells; while one waits for a disk or a server, the others go on


def main() -> None:
    if (code := hand_over("pipeline.publish")) is not None:  # the best model is exported by torch
        sys.exit(code)
    plan, report = read_plan("report"), Report.read()
    metas = {name: read_meta(name) for name in plan["axes"]["dataset"]}
    with failures_explained():
        store = Store()
        for pool in find_pools(metas):
            for entry in pool.entries:
                classes, version = plain(metas[entry]["classes"]), store.mlflow.__version__
                tags = experiment_tags(entry, plan["primary_metric"], classes, version)
                publish_dataset(Showcase(store, entry, tags), plan, pool, entry, report)
    print(f"MLflow at {tracking_uri()} shows what results/ says.")


def publish_dataset(showcase: Showcase, plan: dict[str, Any], pool: Pool, entry: str, report: Report) -> None:
    """Make one experiment of MLflow show the cells of its dataset, and nothing else as current.

    Of folds that are reported together, each has an experiment for its cells; what is said of all of them stands in
    that of the first.
    """
    cells, again = (shown_cells(each, pool, entry, report) for each in planned_cells(plan))
    experiments = by_experiment(cells)
    rows = [row for row in report.board.to_dict("records") if names_of(row) in experiments and entry == pool.first]
    parents = {
        names_of(row): publish_summary(showcase, row, report, experiments[names_of(row)])
        for row in reversed(rows)  # MLflow shows the last model first: so the best one
    }
    images = report.gallery.get(entry, [])
    publish_cells(
        [
            *(
                (showcase, cell, "cell", parents.get(name[:4]), report.scores[name], images)
                for cell, name in cells.items()
            ),
            *((showcase, cell, "repeat", None, report.scores[name], images) for cell, name in again.items()),
        ]
    )
    for search in dict.fromkeys(cell.search for cell in combinations(plan["axes"]) if cell.dataset == entry):
        publish_trials(showcase, search)
    if rows:
        publish_page(showcase, max(read_json(MODELS / cell.name / "provenance.json")["ended"] for cell in cells))
        if winners := best_cells(rows, experiments, plan["primary_metric"]):
            publish_best(showcase, pool.name, winners)
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


def best_cells(rows: list[dict[str, Any]], experiments: dict[tuple[str, ...], list[Cell]], primary: str) -> list[Cell]:
    """The cells with weights of the experiment with the best primary metric; none if no experiment has one."""
    sign = 1 if METRICS[primary].higher_is_better else -1
    ranked = sorted((row for row in rows if row[primary] == row[primary]), key=lambda row: -sign * row[primary])
    cells = experiments[names_of(ranked[0])] if ranked else []
    return [cell for cell in cells if source_of(facts_of(cell))["status"] == "finished"]


def publish_cells(jobs: list[tuple[Any, ...]]) -> None:
    """`publish_cell` with the arguments of each job, several at a time."""
    with ThreadPoolExecutor(AT_ONCE) as threads:
        begun = [threads.submit(publish_cell, *job) for job in jobs]
        try:
            for done in tqdm(as_completed(begun), total=len(begun), unit="run", dynamic_ncols=True, disable=None):
                done.result()
        except BaseException:  # the first failure, or Ctrl-C: what has not begun must not begin
            threads.shutdown(cancel_futures=True)
            raise


if __name__ == "__main__":
    run_stage(main)
