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
