"""Keys of metrics, by the rules of a real store."""

import random

import pytest

from pipeline.measure.metrics.table import METRICS
from pipeline.mlflow_view.keys import metric_key, plain
from pipeline.plumbing.tracking import Point, Store

pytestmark = [
    pytest.mark.xdist_group("live"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of libraries that MLflow uses
]

BEFORE = ("test/iou/", "val/iou/", "decision/offset/")
SIGNS = "aA1_- ./\\:%?#'\"`{}=\n\t\x00\x1b\u202e\u0301é猫\ud800😀"


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("store"))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        return Store()


def keys(classes: list[str]) -> list[str]:
    return [f"{before}{name}" for before in BEFORE for name in plain(classes)]


@pytest.mark.parametrize(
    "classes",
    [
        ["", "road"],
        [" ", "  "],
        [".", ".."],
        ["a/b", "a:b"],
        ["x" * 5000, "x" * 5001],
        ["Car", "car"],
        ["e\u0301", "e\u0300"],
        ["=1+1", "\x1b[31m"],
        [str(index) for index in range(254)],
        ["x" * 5000] * 254,
        ["".join(random.Random(index).choices(SIGNS, k=index % 7)) for index in range(254)],
    ],
    ids=lambda classes: ascii(classes)[:30],
)
def test_every_class_has_a_key_of_its_own_that_mlflow_takes(store, classes):
    run = store.start(store.experiment("keys"), "run", 0.0, {})
    store.log(run, [Point(key, 0.5, 0, 0.0) for key in keys(classes)])
    found = store.client.get_run(run.info.run_id).data.metrics
    assert found.keys() == set(keys(classes))
    assert len({key.casefold() for key in found}) == len(BEFORE) * len(classes), "also for MySQL"


def test_a_name_that_mlflow_takes_stays_as_it_is():
    assert plain(["sky", "traffic light", "T-junction", "bär_2"]) == ["sky", "traffic light", "T-junction", "bär_2"]


def test_no_class_takes_the_key_of_a_metric():
    """Whatever it is called, also as one of our own."""
    own = [metric_key(name) for name in METRICS] + ["val/miou", "decision/val_miou", "decision/val_miou_before"]
    assert not set(own) & set(keys([*METRICS, *own, "val_miou", "iou"]))
