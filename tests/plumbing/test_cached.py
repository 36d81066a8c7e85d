"""What is kept to save time is whole, or it is none."""

import json

import pytest

from pipeline.plumbing.cached import is_sealed, read_cached, seal, write_cached

CONTENT = {"lr": 0.001, "val_miou": None, "history": [1, 2.5]}


def test_a_value_comes_back(tmp_path):
    write_cached(tmp_path / "a" / "b.json", CONTENT)
    assert read_cached(tmp_path / "a" / "b.json") == CONTENT


def test_nothing_kept_is_none(tmp_path):
    assert read_cached(tmp_path / "b.json") is None


@pytest.mark.parametrize(
    "text", ["", "{", "[1]", "{}", "null", '{"content": 1}', '{"content": 1, "digest": "x"}', "\udcff"]
)
def test_a_value_that_is_damaged_is_none(tmp_path, text):
    (tmp_path / "b.json").write_text(text, errors="surrogateescape")
    assert read_cached(tmp_path / "b.json") is None


def test_another_number_in_a_value_is_damage(tmp_path):
    write_cached(tmp_path / "b.json", CONTENT)
    text = (tmp_path / "b.json").read_text()
    (tmp_path / "b.json").write_text(text.replace("0.001", "0.003"))
    assert json.loads((tmp_path / "b.json").read_text())["content"]["lr"] == 0.003
    assert read_cached(tmp_path / "b.json") is None


@pytest.fixture
def sealed(tmp_path):
    (tmp_path / "counts").mkdir()
    (tmp_path / "counts" / "classes").write_bytes(b"1234")
    (tmp_path / "masks").write_bytes(b"5678")
    seal(tmp_path)
    return tmp_path


def test_a_directory_as_it_was_sealed_is_whole(sealed):
    assert is_sealed(sealed)


DAMAGES = {
    "cut": lambda it: (it / "masks").write_bytes(b"56"),
    "a flipped bit": lambda it: (it / "counts" / "classes").write_bytes(b"1235"),
    "gone": lambda it: (it / "masks").unlink(),
    "one more": lambda it: (it / "counts" / "more").touch(),
    "no seal": lambda it: (it / "digests.json").unlink(),
    "half a seal": lambda it: (it / "digests.json").write_text("{"),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_directory_that_was_damaged_is_none(sealed, damage):
    damage(sealed)
    assert not is_sealed(sealed)


def test_a_directory_that_is_not_there_is_none(tmp_path):
    assert not is_sealed(tmp_path / "absent")
