"""The description of an archive: a mistake in it tells no secret."""

import pytest

from pipeline.plumbing.archive import Archive
from pipeline.plumbing.errors import UserError

BAD = "ftp://SECRETUSER:SECRETWORD@host/a?token=SECRETTOKEN#SECRETMARK"


@pytest.mark.parametrize(
    "block",
    [
        {"url": BAD},
        {"url": BAD.replace("ftp", "https").replace("/a?", "/?")},
        {"url": BAD.replace("ftp", "https").replace("SECRETWORD", "SECRET/WORD")},
        {"url": BAD.replace("ftp", "https").replace("host", "ho\u2100st")},
        {"url": "https://host/a", "mirrors": [BAD]},
        {"url": "https://host/a", "mirrors": BAD},
        {"url": [BAD]},
        {"url": {"of": BAD}},
        {"url": "https://host/a", "checksum": BAD},
        {"url": "https://host/a", "size": BAD},
        {"url": "https://host/a", "extra": BAD},
        BAD,
        [{"url": BAD}],
    ],
    ids=range(13),
)
def test_no_secret_stands_in_the_sentence_about_a_mistake(block):
    with pytest.raises(UserError, match=r"^camvid") as error:
        Archive.read(block, "camvid")
    assert "SECRET" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "size"), [("a" * 201, 201), ("%C3%A9" * 101, 202), ("a" * 300 + ".tar", 304)], ids=["201", "202", "304"]
)
def test_a_file_name_that_is_too_long_for_file_systems_is_refused_shortly(name, size):
    """255 bytes are theirs, as of ext4, and a transfer writes `.part.json` behind the name."""
    with pytest.raises(
        UserError, match=f"the file name at its end has {size} bytes, and at most 200 are taken"
    ) as error:
        Archive.read({"url": f"http://host/{name}"}, "camvid")
    assert len(str(error.value)) < 200


@pytest.mark.parametrize("name", ["a" * 200, "%C3%A9" * 100], ids=["letters", "encoded"])
def test_a_file_name_of_the_longest_length_is_taken(name):
    """Percent-encoded, it may be longer."""
    assert len(Archive.read({"url": f"http://host/{name}"}, "camvid").filename.encode()) == 200
