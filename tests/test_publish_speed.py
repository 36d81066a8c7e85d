"""How long it takes to publish hundreds of cells, to a file and to a server."""

import time

import pytest

from tests.exported_runs import runs
from tests.many_cells import multiply
from tests.miniature import Miniature
from tests.mlflow_server import Server

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("miniature b")]

LIMIT = 60  # seconds, on two cores that have nothing else to do


@pytest.fixture(scope="module")
def many(finished, tmp_path_factory) -> Miniature:
    """25 losses x 4 strategies x 3 seeds."""
    made = multiply(finished, tmp_path_factory.mktemp("many") / "work", losses=25, strategies=4, seeds=3)
    (made.root / "mlflow.db").unlink()
    return made


def seconds(workspace: Miniature, **environment: str) -> float:
    begun = time.perf_counter()
    workspace.run("pipeline.publish", BENCHMARK_WARM="", **environment)
    return time.perf_counter() - begun


def test_three_hundred_cells_are_published_in_a_minute(many):
    first, again = seconds(many), seconds(many)
    print(f"\n300 cells to a new file: {first:.0f} s; once more, with nothing to do: {again:.0f} s")
    kinds = [run["tags"]["kind"] for run in runs(many)]
    assert (kinds.count("cell"), kinds.count("summary")) == (300, 100)
    if first >= LIMIT:
        pytest.xfail(f"{first:.0f} s instead of {LIMIT}")


def test_three_hundred_cells_are_published_to_a_server_in_a_minute(many, tmp_path):
    """They are published; the minute is a target that is missed, and docs/performance.md says why."""
    with Server(tmp_path, workers=4) as server:
        first = seconds(many, MLFLOW_TRACKING_URI=server.uri)
        kinds = [run["tags"]["kind"] for run in runs(many, MLFLOW_TRACKING_URI=server.uri)]
    print(f"\n300 cells to a new server: {first:.0f} s")
    assert (kinds.count("cell"), kinds.count("summary")) == (300, 100)
    if first >= LIMIT:
        pytest.xfail(f"{first:.0f} s instead of {LIMIT}")
