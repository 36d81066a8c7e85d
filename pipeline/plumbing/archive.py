"""What names an archive: its addresses, and how to know that a file is it."""

import re
from typing import Annotated
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, PositiveInt

from pipeline.plumbing.options import Options


def _check_address(url: str) -> str:
    parts = urlsplit(url)
    local = parts.scheme == "file" and parts.netloc in ("", "localhost")
    if not parts.path or not (local or (parts.scheme in ("http", "https") and parts.hostname)):
        raise ValueError(f"{url!r} must be http://HOST/PATH, https://HOST/PATH or file:///PATH.")
    return url


def _check_filename(url: str) -> str:
    name = _last_component(url)
    if name in ("", ".", "..") or "/" in name or "\\" in name or not name.isprintable():
        raise ValueError(f"the last path component of {url!r} must be a file name, not {name!r}.")
    return url


def _check_checksum(text: str) -> str:
    if not re.fullmatch(r"md5:[0-9a-f]{32}|sha256:[0-9a-f]{64}", text.lower()):
        raise ValueError(f"{text!r} must be 'md5:' and 32, or 'sha256:' and 64 hexadecimal digits.")
    return text.lower()


def _last_component(url: str) -> str:
    return unquote(urlsplit(url).path.rpartition("/")[2])


class Archive(Options):
    """A file to fetch: where it lies, and how to know it."""

    url: Annotated[str, AfterValidator(_check_address), AfterValidator(_check_filename)]
    """http(s):// or file://; its last path component, percent-decoded, names the file."""
    checksum: Annotated[str, AfterValidator(_check_checksum)] | None = None
    """`md5:` or `sha256:` and the hexadecimal digest. Without one, a file is taken as it comes."""
    mirrors: list[Annotated[str, AfterValidator(_check_address)]] = []
    """Further addresses of the same file, tried in this order after `url`."""
    size: PositiveInt | None = None
    """Bytes."""

    @property
    def filename(self) -> str:
        return _last_component(self.url)
