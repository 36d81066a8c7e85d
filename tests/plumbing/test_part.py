"""What lies beside the place of a file is continued only if an attempt has left it."""

import os

import pytest

from pipeline.plumbing.part import Part

GOOD = b'{"validator": "\\"abc\\""}'


@pytest.fixture
def part(tmp_path) -> Part:
    """Five bytes of a known version."""
    part = Part(tmp_path / "x")
    part.start_over('"abc"')
    part.append([b"12", b"345"], "x", 5)
    return part


def assert_nothing_received_and_begun_anew(part: Part) -> None:
    assert part.received() == (0, "")
    part.start_over("date")
    part.append([b"new"], "x", None)
    assert part.received() == (3, "date")
    assert part.path.read_bytes() == b"new"
    part.discard()
    assert list(part.path.parent.glob("x.*")) == []


def test_what_an_attempt_has_left_is_known(part):
    assert part.received() == (5, '"abc"')
    part.note.write_bytes(GOOD)
    assert part.received() == (5, '"abc"')


@pytest.mark.parametrize(
    "note",
    [
        b"",
        GOOD[:-1],
        b"[1]",
        b"{}",
        b"5",
        b"null",
        b'"validator"',
        b'["validator"]',
        b"[" * 100_000,
        b'{"validator": null}',
        b'{"validator": ""}',
        b'{"validator": 5}',
        b'{"validator": ["a"]}',
        b'{"validator": "a\\nb"}',
        b'{"validator": " a"}',
        '{"validator": "ü"}'.encode(),
        b"\x00\xff\xfe\x80",
    ],
    ids=range(17),
)
def test_a_damaged_note_counts_as_none(part, note):
    part.note.write_bytes(note)
    assert_nothing_received_and_begun_anew(part)


@pytest.mark.parametrize("which", ["note", "path"])
def test_a_directory_in_its_place_counts_as_none(part, which):
    place = getattr(part, which)
    place.unlink()
    (place / "inner").mkdir(parents=True)
    assert_nothing_received_and_begun_anew(part)


@pytest.mark.parametrize("which", ["note", "path"])
@pytest.mark.parametrize("link", [os.symlink, os.link], ids=["symbolic", "hard"])
def test_nothing_is_written_through_a_link(part, tmp_path, which, link):
    theirs, place = tmp_path / "theirs", getattr(part, which)
    theirs.write_bytes(place.read_bytes())
    before = theirs.read_bytes()
    place.unlink()
    link(theirs, place)
    part.start_over("date")
    part.append([b"new"], "x", None)
    assert theirs.read_bytes() == before
    assert not part.path.is_symlink()


@pytest.mark.parametrize("link", [os.symlink, os.link], ids=["symbolic", "hard"])
def test_a_part_that_is_a_link_counts_as_none(part, tmp_path, link):
    part.path.rename(tmp_path / "theirs")
    link(tmp_path / "theirs", part.path)
    assert_nothing_received_and_begun_anew(part)
    assert (tmp_path / "theirs").read_bytes() == b"12345"


@pytest.mark.skipif(not hasattr(os, "O_NOFOLLOW"), reason="links are always followed here")
def test_a_link_planted_in_between_is_not_followed(part, tmp_path):
    (tmp_path / "theirs").write_bytes(b"theirs")
    part.path.unlink()
    part.path.symlink_to(tmp_path / "theirs")
    with pytest.raises(OSError, match=r"x\.part"):
        part.append([b"new"], "x", None)
    assert (tmp_path / "theirs").read_bytes() == b"theirs"
