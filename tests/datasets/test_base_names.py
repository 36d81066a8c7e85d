import pytest
from mlflow.utils.validation import _validate_metric_name

from pipeline.datasets.base import Dataset
from pipeline.mlflow_view.keys import plain
from pipeline.plumbing.errors import UserError

WHERE = "params.yaml: axes.dataset.mine"


class Named(Dataset):
    """Classes are all it has."""

    classes: list[str] = ["ground", "rest"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "'', is empty. Give it one."),
        (" \t", r"' \t', is empty. Give it one."),
        ("a\nb", r"'a\nb', holds '\n', which cannot be printed. Remove it."),
        ("a\x1b[31mb", r"'a\x1b[31mb', holds '\x1b', which cannot be printed. Remove it."),
        ("gnp\u202ejpg", r"'gnp\u202ejpg', holds '\u202e', which cannot be printed. Remove it."),
        ("a\u200bb", r"'a\u200bb', holds '\u200b', which cannot be printed. Remove it."),
        ("a\u00a0b", r"'a\xa0b', holds '\xa0', which cannot be printed. Remove it."),
        ("caf\udce9", r"'caf\udce9', holds '\udce9', which cannot be printed. Remove it."),
        (" crack", "' crack', begins or ends with a blank. Remove it."),
        ("crack ", "'crack ', begins or ends with a blank. Remove it."),
        ("$^$", "'$^$', holds more than one $, between which figures would see a formula. Write it with one at most."),
    ],
)
def test_names_that_a_later_stage_cannot_take_are_refused(name, reason):
    """The sentence itself can be printed anywhere."""
    with pytest.raises(UserError) as error:
        Named.read({"classes": ["ground", name]}, WHERE)
    assert str(error.value) == f"{WHERE}: classes: the name of class 1, {reason}"
    assert str(error.value).isascii()


def test_long_names_are_refused_where_mlflow_is_far_from_its_limit():
    """MLflow's own check of a key, with the longest name, the longest number and the longest beginning."""
    names = ["x" * 100, *(f"{index}" for index in range(254))]
    assert Named.read({"classes": names}, WHERE).classes == names
    _validate_metric_name(f"decision/offset/254 {plain(names)[0]}")
    with pytest.raises(UserError, match="has 101 characters; 100 are allowed, so that it fits into tables and keys"):
        Named.read({"classes": ["ground", "x" * 101]}, WHERE)


def test_names_that_differ_in_their_unicode_form_alone_are_refused():
    with pytest.raises(UserError) as error:
        Named.read({"classes": ["caf\u00e9", "cafe\u0301"]}, WHERE)
    sentence = r"classes: 'caf\xe9' and 'cafe\u0301' differ in their Unicode form alone. Rename one of them."
    assert str(error.value) == f"{WHERE}: {sentence}"


@pytest.mark.parametrize(
    "names",
    [["a.b", "a_b", "a/b"], ["=1+1", "$5"], ["\u571f", "\u0440\u0456\u0447"], ["\U0001f431", "NaN"], ["_x", "None"]],
)
def test_all_other_names_are_kept_and_have_keys_of_their_own(names):
    """Also those that become equal without the signs that MLflow refuses."""
    assert Named.read({"classes": names}, WHERE).classes == names
    keys = [f"test/iou/{name}" for name in plain(names)]
    assert len(set(keys)) == len(names)
    for key in keys:
        _validate_metric_name(key)
