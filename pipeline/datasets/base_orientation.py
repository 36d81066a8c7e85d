"""How viewers turn an image, by its EXIF or XMP data, wherever they stand in the file."""

import re
import struct
from typing import Any

ORIENTATION = 0x0112
UNREADABLE = (SyntaxError, LookupError, TypeError, ValueError, EOFError, struct.error)
_IN_XMP = re.compile(rb"""tiff:Orientation\s*(?:=\s*["']|>)\s*([0-9])""")


def orientation_of(image: Any) -> int:
    """The EXIF orientation of an opened image; 1, upright, where it is missing or viewers cannot read it either."""
    if image.format == "PNG":
        image.load()  # its EXIF may stand behind the pixels
    try:
        exif = image.getexif()
        if ORIENTATION in exif:
            return exif[ORIENTATION]
    except UNREADABLE:
        return 1
    for content in _metadata(image.info):
        if found := _in_exif(content) if content.startswith(b"Exif\0\0") else _in_xmp(content):
            return found
    return 1


def _metadata(info: dict[Any, Any]) -> list[bytes]:
    """XMP, and what ImageMagick writes into PNG files: EXIF or XMP as hexadecimal text below three lines."""
    found = [info.get("xmp", b""), info.get("XML:com.adobe.xmp", b"")]
    for key in ("Raw profile type APP1", "Raw profile type xmp"):
        try:
            found.append(bytes.fromhex("".join(info.get(key, "").split("\n")[3:])))
        except ValueError:  # no hexadecimal digits
            continue
    return [content.encode() if isinstance(content, str) else content for content in found]


def _in_exif(content: bytes) -> int:
    from PIL.Image import Exif

    exif = Exif()
    try:
        exif.load(content)
        return exif.get(ORIENTATION, 0)
    except UNREADABLE:
        return 0


def _in_xmp(content: bytes) -> int:
    found = _IN_XMP.search(content.replace(b"\0", b""))  # also in UTF-16
    return int(found[1]) if found else 0
