"""What names an archive: its addresses, and how to know that a file is it."""

import re
from typing import Annotated
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, PositiveInt

from pipeline.plumbing.messages import brief, shown
from pipeline.plumbing.options import Options

LARGEST = 20 * 2**30  # bytes of a file whose size is not stated, and of what an archive unpacks to
LONGEST_NAME = 200  # bytes of a file name: file systems take 255, and `.part.json` stands behind it


def _check_address(url: str) -> str:
    if not _is_address(url):
        raise ValueError(f"'{shown(url)}' must be http://HOST/PATH, https://HOST/PATH or file:///PATH.")
    return url


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        of_server = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # brackets or a port that cannot be; its words may hold the password
        return False
    local = parts.scheme == "file" and parts.netloc in ("", "localhost")
    return bool(parts.path and (local or of_server))


def _check_filename(url: str) -> str:
    name = _last_component(url)
    if name in ("", ".", "..") or "/" in name or "\\" in name or not name.isprintable():
        raise ValueError(f"the last path component of '{shown(url)}' must be a file name, not {brief(name)}.")
    if (size := len(name.encode())) > LONGEST_NAME:
        raise ValueError(f"the file name at its end has {size} bytes, and at most {LONGEST_NAME} are taken.")
    return url


def _check_checksum(text: str) -> str:
    if not re.fullmatch(r"md5:[0-9a-f]{32}|sha256:[0-9a-f]{64}", text.lower()):
        raise ValueError(f"{brief(text)} must be 'md5:' and 32, or 'sha256:' and 64 hexadecimal digits.")
    return text.lower()


def _last_component(url: str) -> str:
    return unquote(urlsplit(url).path.rpartition("/")[2])


class Archive(Options):
    """A file to fetch: where it lies, and how to know it."""

    url: Annotated[str, AfterValidator(_check_address), AfterValidator(_check_filename)]
    """http(s):// or file://; its last path component, percent-decoded, names the file. A user, a password or a query in
    it is never printed, but stands in params.yaml and the plan: `~/.netrc` is a better place for a password."""
    checksum: Annotated[str, AfterValidator(_check_checksum)] | None = None
    """`md5:` or `sha256:` and the hexadecimal digest. Without one, a file is taken as it comes."""
    mirrors: list[Annotated[str, AfterValidator(_check_address)]] = []
    """Further addresses of the same file, tried in this order after `url`."""
    size: PositiveInt | None = None
    """Bytes. Without it, a file of more than LARGEST is refused."""

    @property
    def filename(self) -> str:
        return _last_component(self.url)
