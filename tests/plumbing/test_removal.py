"""How much room files take, and that they go at once."""

import os

import pytest

from pipeline.plumbing.removal import in_words, remove, sizes


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1_400, "1.4 KB"),
        (1_450_000, "1.4 MB"),
        (791_918_971, "791.9 MB"),
        (2.5e12, "2500.0 GB"),
    ],
)
def test_sizes_in_words(size, words):
    assert in_words(size) == words


def test_a_directory_is_as_large_as_its_files(tmp_path):
    """Hidden ones and those of inner folders too; a folder itself counts nothing."""
    (tmp_path / "a" / "inner").mkdir(parents=True)
    (tmp_path / "a" / "inner" / "file").write_bytes(bytes(30))
    (tmp_path / "a" / ".hidden").write_bytes(bytes(4))
    (tmp_path / "b").write_bytes(bytes(500))
    assert sizes([tmp_path / "a", tmp_path / "b"]) == [34, 500]


def test_a_file_with_two_names_counts_once_and_a_link_not_as_its_target(tmp_path):
    """Removing a link frees nothing of what it points to."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    (tmp_path / "a" / "file").write_bytes(bytes(3000))
    os.link(tmp_path / "a" / "file", tmp_path / "b" / "again")
    (tmp_path / "b" / "link").symlink_to("../a/file")
    assert sizes([tmp_path / "a", tmp_path / "b"]) == [3000, len("../a/file")]


def test_a_directory_a_file_and_a_link_go_and_nothing_else(tmp_path):
    """A link to a directory goes, the directory stays."""
    (tmp_path / "stays").mkdir()
    (tmp_path / "stays" / "file").write_text("")
    (tmp_path / "directory" / "inner").mkdir(parents=True)
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to("stays")
    for name in ("directory", "file", "link"):
        remove(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["stays"]
    assert (tmp_path / "stays" / "file").is_file()


def test_a_directory_that_cannot_be_emptied_is_gone_under_its_name(tmp_path, monkeypatch):
    """What is there is whole, also when removing is cut short."""
    (tmp_path / "directory").mkdir()
    (tmp_path / "directory" / "file").write_text("")

    def cut_short(path):
        raise KeyboardInterrupt

    monkeypatch.setattr("shutil.rmtree", cut_short)
    with pytest.raises(KeyboardInterrupt):
        remove(tmp_path / "directory")
    assert [path.name for path in tmp_path.iterdir()] == [f".directory.{os.getpid()}.part"]
