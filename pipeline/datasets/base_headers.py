"""What of an image file would be read in part, found in its header: Pillow drops much without a word.

The rule, for images and masks alike: a file is read whole or refused, with what was found and what to do.

- One frame. Refused: TIFFs of several pages, animated GIF, PNG and WebP, JPEGs of several views (stereo, panorama). Not
  counted are copies of the picture that the file calls smaller (a TIFF's NewSubfileType 1) and what cameras append to
  a JPEG and no viewer shows (previews, gain maps).
- Whole numbers of up to 8 bits in each band. More would lose their lower bits, whatever the mode. A mask of one band
  may have more: its values are not scaled.
- Every band is used: grey, palette, RGB, CMYK or YCbCr, the last two converted to RGB without a colour profile.
  Transparency alone is dropped, if the file calls it that.
- Upright: an orientation other than 1, in EXIF or XMP, is refused, since nothing tells whether a mask was drawn on the
  photo as viewers show it or on the pixels as stored.
- A mask keeps the values that were written: neither scaled, inverted nor compressed as JPEG.
- At most MEGAPIXELS, in a format of FORMATS; the content of the file decides about the format, not its name.
"""

from pathlib import Path
from typing import Any

from pipeline.datasets.base_contents import Content, content_of, unsupported_tiff
from pipeline.datasets.base_orientation import orientation_of

FORMATS = ("BMP", "GIF", "JPEG", "MPO", "PNG", "PPM", "TIFF", "WEBP")  # of Pillow; MPO is a JPEG with more behind it
MEGAPIXELS = 200  # such an image takes 2.7 GB while it is read, and each thread reads one
TURNS = {
    2: "mirrored left to right",
    3: "turned by 180 degrees",
    4: "mirrored top to bottom",
    5: "mirrored along its diagonal",
    6: "turned by 90 degrees clockwise",
    7: "mirrored along its other diagonal",
    8: "turned by 90 degrees counter-clockwise",
}
HEIC = {
    b"heic",
    b"heix",
    b"heim",
    b"heis",
    b"hevc",
    b"hevx",
    b"hevm",
    b"hevs",
    b"mif1",
    b"msf1",
}  # brands, ISO 23008-12
FOREIGN = {
    b"P7\n": "PAM",
    b"#?RADIANCE": "Radiance HDR",
    b"#?RGBE": "Radiance HDR",
    b"\x76\x2f\x31\x01": "OpenEXR",
    b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cJXL ": "JPEG XL",
    b"II\xbc": "JPEG XR",
    b"%PDF-": "PDF",
    b"PK\3\4": "ZIP",
}
MODES = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "RGBa", "CMYK", "YCbCr"}


def image_fault(image: Any, path: Path, published: bool = False) -> str:
    """What is wrong with an opened image file, and what to do; empty: nothing.

    Of a dataset that is `published`, masks are known to fit the first frame as it is stored.
    """
    if fault := _size_or_format(image):
        return fault
    content = content_of(image, path)
    if content.misread:
        return content.misread
    if content.number != "integer":
        return f"holds {content.number} values, a format that is not supported; convert it to 8-bit RGB or grey."
    if content.bits > 8:
        return (
            f"has {content.bits} bits in each band, and what is more than 8 bits would be cut; convert it to 8 bits, "
            "scaled as your data need it."
        )
    if image.mode not in MODES:
        return f"is in the colour mode {image.mode}, which is not supported; convert it to 8-bit RGB or grey."
    return _bands(content) or ("" if published else _frames(content) or _turned(image))


def mask_fault(image: Any, path: Path) -> str:
    """What is wrong with an opened mask file, beside its values, and what to do; empty: nothing."""
    if fault := _size_or_format(image):
        return fault
    content = content_of(image, path)
    if content.misread:
        return content.misread
    if content.number not in ("integer", "signed integer"):
        return f"holds {content.number} values; a mask has one channel of class indices, save it with 8-bit integers."
    if content.scaled:
        return "stores its grey levels in a form that programs scale or invert; save the class indices with 8 bits."
    return _bands(content) or _frames(content) or _turned(image) or _lossy(content)


def unreadable(path: Path) -> str:
    """Why Pillow recognises nothing in a file: a kind that it does not support, or damage."""
    with path.open("rb") as file:
        start = file.read(32)
    if start[:2] in (b"II", b"MM") and (content := unsupported_tiff(path)):
        return f"a TIFF file of {content}, a format that is not supported; convert it to 8-bit RGB or grey."
    if start.startswith(b"\xff\xd8\xff"):
        from PIL.JpegImagePlugin import JpegImageFile

        try:
            with JpegImageFile(path):
                pass
        except Exception as error:
            return f"a JPEG file that is damaged or not supported ({error}); convert it to an 8-bit PNG."
    return _foreign(start)


def _foreign(start: bytes) -> str:
    """Of a file that Pillow does not know, by its first bytes."""
    brand = start[8:12] if start[4:8] == b"ftyp" else b""
    known = "HEIC" if brand in HEIC else next((name for magic, name in FOREIGN.items() if start.startswith(magic)), "")
    if known:
        return f"a file of {known}, whatever its name says, which is not supported; convert it to PNG."
    return "not an image of a known format, or damaged from its first bytes."


def _size_or_format(image: Any) -> str:
    if image.format not in FORMATS:
        return f"is a {image.format} file; those that are read are {', '.join(FORMATS)}. Convert it to PNG."
    width, height = image.size
    if width * height > MEGAPIXELS * 10**6:
        return (
            f"has {width} x {height} pixels, {width * height / 1e6:.1f} megapixels, and at most {MEGAPIXELS} are read; "
            "cut image and mask into tiles, or make both smaller."
        )
    return ""


def _bands(content: Content) -> str:
    if content.bands:
        return (
            f"has {content.bands} bands, of which some are neither colour nor transparency and would be dropped; save "
            "those that you want as grey or RGB."
        )
    return ""


def _frames(content: Content) -> str:
    if content.frames > 1:
        return f"holds {content.frames} frames or pages, and one is used; save the right one in a file of its own."
    return ""


def _lossy(content: Content) -> str:
    """Lossy WebP needs no word: it is always in colour, and masks are not."""
    return "is compressed as JPEG, which changes values; save masks as PNG." if content.lossy else ""


def _turned(image: Any) -> str:
    """Whether viewers show an image other than it is stored."""
    orientation = orientation_of(image)
    if orientation not in TURNS:
        return ""
    return (
        f"is shown {TURNS[orientation]} (EXIF orientation {orientation}); if masks are drawn on photos as shown, turn "
        "the pixels (`magick mogrify -auto-orient`), if on the pixels as stored, remove the tag "
        "(`exiftool -Orientation=`)."
    )
