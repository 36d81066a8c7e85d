"""Saved views, whose tags MLflow limits."""

import json

import pytest
from mlflow.utils.validation import MAX_EXPERIMENT_TAG_VAL_LENGTH

from pipeline.mlflow_view.keys import plain
from pipeline.mlflow_view.views import experiment_tags

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of libraries that MLflow uses


def shown(classes: list[str]) -> list[str]:
    """The columns of the view of classes; all tags fit."""
    tags = experiment_tags("digits", "miou", plain(classes), "3.17.2")
    assert max(map(len, tags.values())) <= MAX_EXPERIMENT_TAG_VAL_LENGTH
    return json.loads(json.loads(tags["mlflow.sharedViewState.classes"])["state"])["selectedColumns"]


@pytest.mark.parametrize("name", ["class", "ä" * 300, "猫\n" * 90], ids=["short", "long", "signs"])
def test_a_view_of_more_classes_than_a_tag_holds_shows_the_first(name):
    classes = [f"{index} {name}" for index in range(254)]
    columns = [f"metrics.`test/iou/{each}`" for each in plain(classes)]
    found = shown(classes)
    assert 5 < len(found) < 254
    assert found[1:] == columns[: len(found) - 1]


def test_a_view_of_few_classes_shows_all():
    assert len(shown([f"class {index}" for index in range(50)])) == 51
