"""Text from outside in messages: without secrets, without control characters, and no longer than a person reads.

Outside is what a server, an archive, a file name or params.yaml says. A terminal obeys control characters, logs are
passed on, and an address may hold a password or a token.
"""

import re
import reprlib
from typing import Any
from urllib.parse import unquote

LONGEST = 300  # characters of a text
LONGEST_SEARCHED = 10_000  # characters of it that are looked at
SHORTEST_SECRET = 4  # characters; a shorter one is left, since it would be found in words
SECRET = "***"

_ADDRESS = re.compile(r"""(['"])([a-z][a-z0-9+.-]{0,30}://.*?)\1|[a-z][a-z0-9+.-]{0,30}://[^\s'"<>]*""", re.I | re.S)
# Of an address without scheme and host, as urllib3 tells it.
_QUERY = re.compile(r"(?<=[^\s?])\?[^\s'\"=?]{1,100}=[^\s'\"]*")


def shown(address: str) -> str:
    """An address as it may be printed: without user, password, query and fragment."""
    mark = "://" if "://" in address else ""
    scheme, rest = address.split(mark, 1) if mark else ("", address)
    ends = "?" if not mark or scheme == "sqlite" else "?#"  # a path of the disk may hold a #
    authority, slash, path = re.split(f"[{ends}]", rest, maxsplit=1)[0].partition("/")
    host = authority.rpartition("@")[2]
    port = host.rpartition("]")[2].partition(":")[2]  # behind the brackets of IPv6
    if mark and port and not port.isdecimal():
        return printable(f"{scheme}{mark}...")  # the beginning of a password that holds one of / ? #
    return printable(f"{scheme}{mark}{host}{slash}{path}")


def without_secrets(text: str, *addresses: str) -> str:
    """A text whose addresses are `shown`. Of the given `addresses` passwords and queries are found wherever they stand,
    also alone; of others as far as they can be told from the text around them."""
    for address in addresses:
        text = text.replace(address, shown(address))
        for secret in sorted(_secrets(address), key=len, reverse=True):
            text = text.replace(secret, SECRET)
    return _ADDRESS.sub(lambda found: found[0].replace(found[2] or found[0], shown(found[2] or found[0])), text)


def _secrets(address: str) -> set[str]:
    """Password, query and its values, and fragment of an address, as they stand there and decoded."""
    rest = address.partition("://")[2] or address
    password = rest.rpartition("@")[0].partition(":")[2]  # which may hold any of / ? #
    rest, _, fragment = rest.partition("#")
    query = rest.partition("?")[2]
    values = [field.partition("=")[2] for field in query.split("&")]
    found = {password, query, fragment, *values}
    return {form for each in found for form in (each, unquote(each)) if len(form) >= SHORTEST_SECRET}


def printable(text: object, but: str = "") -> str:
    r"""A text, such as a path, with escapes for all that is no printable character and not among `but`.

    As `\x1b` and `\u202e`; a byte of a file name that is not UTF-8, which Python reads as a surrogate, as `\xe9`.
    """
    return "".join(each if each.isprintable() or each in but else _escaped(each) for each in str(text))


def _escaped(sign: str) -> str:
    code = ord(sign)
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else sign.encode("unicode_escape").decode()


def told(text: object, *addresses: str) -> str:
    """What a server or a library says, in one line that may be printed."""
    return _cut(printable(_QUERY.sub("", without_secrets(str(text)[:LONGEST_SEARCHED], *addresses))))


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


class _Brief(reprlib.Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxlist, self.maxtuple, self.maxdict = 3, 10, 10, 10
        self.maxstring = self.maxother = 120

    def repr_str(self, text: str, level: int) -> str:
        return super().repr_str(without_secrets(text[:LONGEST_SEARCHED]), level)


def brief(value: Any) -> str:
    """`repr` of a value of params.yaml or of a name, without secrets and shortened: aliases of YAML make gigabytes."""
    return _cut(_Brief().repr(value))
