"""What of an image file would be read in part, found in its header: Pillow drops much without a word.

The rule, for images and masks alike: a file is read whole or refused, with what was found and what to do.

- One frame. Refused: TIFFs of several pages, animated GIF, PNG and WebP, JPEGs of several views (stereo, panorama). Not
  counted are copies of the picture that the file calls smaller (a TIFF's NewSubfileType 1) and what cameras append to
  a JPEG and no viewer shows (previews, gain maps).
- Whole numbers of up to 8 bits in each band. More would lose their lower bits, whatever the mode. A mask of one band
  may have more: its values are not scaled.
- Every band is used: grey, palette, RGB, CMYK or YCbCr, the last two converted to RGB without a colour profile.
  Transparency alone is dropped, if the file calls it that.
- Upright: an EXIF orientation other than 1 is refused, since nothing tells whether a mask was drawn on the photo as
  viewers show it or on the pixels as stored.
- At most MEGAPIXELS, in a format of FORMATS; the content of the file decides about the format, not its name.
"""

import struct
from pathlib import Path
from typing import Any, NamedTuple

FORMATS = ("BMP", "GIF", "JPEG", "MPO", "PNG", "PPM", "TIFF", "WEBP")  # of Pillow; MPO is a JPEG with more behind it
MEGAPIXELS = 200  # such an image takes 2.7 GB while it is read, and each thread reads one
ORIENTATION = 0x0112
TURNS = {
    2: "mirrored left to right",
    3: "turned by 180 degrees",
    4: "mirrored top to bottom",
    5: "mirrored along its diagonal",
    6: "turned by 90 degrees clockwise",
    7: "mirrored along its other diagonal",
    8: "turned by 90 degrees counter-clockwise",
}
MODES = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "RGBa", "CMYK", "YCbCr"}
COLOURS = {"MINISWHITE": 1, "MINISBLACK": 1, "PALETTE": 1, "RGB": 3, "YCBCR": 3, "CIELAB": 3, "SEPARATED": 4}
NUMBERS = {1: "integer", 2: "signed integer", 3: "floating-point", 5: "complex", 6: "complex"}  # a TIFF's SampleFormat


class Content(NamedTuple):
    """What a file holds, whether or not Pillow would read all of it."""

    frames: int = 1
    bits: int = 8  # of the deepest band
    number: str = "integer"
    bands: int | None = None  # where some of them are neither colour nor transparency: all of them
    scaled: bool = False  # grey levels that Pillow stretches or inverts, as for display


def image_fault(image: Any, path: Path, published: bool = False) -> str:
    """What is wrong with an opened image file, and what to do; empty: nothing.

    Of a dataset that is `published`, masks are known to fit the first frame as it is stored.
    """
    if fault := _size_or_format(image):
        return fault
    content = _content(image, path)
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
    content = _content(image, path)
    if content.number not in ("integer", "signed integer"):
        return f"holds {content.number} values; a mask has one channel of class indices, save it with 8-bit integers."
    if content.scaled:
        return "stores its grey levels in a form that programs scale or invert; save the class indices with 8 bits."
    return _bands(content) or _frames(content) or _turned(image)


def unreadable(path: Path) -> str:
    """Why Pillow recognises nothing in a file: a kind that it does not support, or damage."""
    with path.open("rb") as file:
        start = file.read(4)
    if start[:2] in (b"II", b"MM") and (content := _unsupported_tiff(path)):
        return f"a TIFF file of {content}, a format that is not supported; convert it to 8-bit RGB or grey."
    if start.startswith(b"\xff\xd8\xff"):
        from PIL.JpegImagePlugin import JpegImageFile

        try:
            with JpegImageFile(path):
                pass
        except Exception as error:
            return f"a JPEG file that is damaged or not supported ({error}); convert it to an 8-bit PNG."
    return "not an image, or damaged from its first bytes."


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


def _turned(image: Any) -> str:
    """Whether viewers show an image other than it is stored."""
    if image.format == "PNG":
        image.load()  # its EXIF may stand behind the pixels
    try:
        orientation = image.getexif().get(ORIENTATION, 1)
    except (SyntaxError, LookupError, TypeError, ValueError, EOFError, struct.error):
        return ""  # viewers cannot read it either
    if orientation not in TURNS:
        return ""
    return (
        f"is shown {TURNS[orientation]} (EXIF orientation {orientation}); if masks are drawn on photos as shown, turn "
        "the pixels (`magick mogrify -auto-orient`), if on the pixels as stored, remove the tag "
        "(`exiftool -Orientation=`)."
    )


def _content(image: Any, path: Path) -> Content:
    match image.format:
        case "PNG":
            return _png(image, path)
        case "PPM":
            return _pnm(image)
        case "TIFF":
            return _tiff(path)
        case "MPO":
            kinds = [entry["Attribute"]["MPType"] for entry in image.mpinfo[0xB002]]
            return Content(image.n_frames if any("Multi-Frame" in kind for kind in kinds) else 1)
        case "GIF" | "WEBP":
            return Content(image.n_frames)
    return Content()


def _png(image: Any, path: Path) -> Content:
    """By the header chunk, which always comes first."""
    with path.open("rb") as file:
        bits, colour = file.read(26)[24:]
    return Content(getattr(image, "n_frames", 1), bits, scaled=colour == 0 and bits in (2, 4))


def _pnm(image: Any) -> Content:
    """Its highest value stands among what Pillow hands to its decoder."""
    codec, _, _, arguments = image.tile[0]
    if image.mode == "F":
        return Content(number="floating-point")
    highest = 65535 if image.mode == "I" else 255
    if codec != "raw" and not isinstance(arguments, str):
        highest = arguments[1]
    return Content(bits=max(8, highest.bit_length()), scaled=highest not in (255, 65535))


def _tiff(path: Path) -> Content:
    """By its tags; a page that is a smaller version of another one is no page."""
    with _tiff_file(path) as file:
        page, *others = file.pages
        frames = 1 + sum(page.is_reduced or not other.is_reduced for other in others)
        bits = max(page.bitspersample) if isinstance(page.bitspersample, tuple) else page.bitspersample
        photometric = getattr(page.photometric, "name", "")
        colours = COLOURS.get(photometric, page.samplesperpixel)
        transparency = any(kind in (1, 2) for kind in page.extrasamples)
        dropped = page.samplesperpixel > colours + transparency
        number = NUMBERS.get(int(page.sampleformat), "unknown")
        scaled = (photometric == "MINISWHITE" and bits > 1) or (photometric == "MINISBLACK" and bits in (2, 4))
        return Content(frames, bits, number, page.samplesperpixel if dropped else None, scaled)


def _unsupported_tiff(path: Path) -> str:
    """What a TIFF holds that Pillow does not open; empty: it is damaged."""
    try:
        with _tiff_file(path) as file:
            page = file.pages[0]
            number = NUMBERS.get(int(page.sampleformat), "unknown")
            compression = getattr(page.compression, "name", page.compression)
            packed = "" if compression == "NONE" else f", compressed by {compression}"
            return f"{page.samplesperpixel} bands of {page.bitspersample}-bit {number} values{packed}"
    except Exception:
        return ""


def _tiff_file(path: Path) -> Any:
    """An opened TIFF whose tags can be read even where Pillow has no mode for its pixels."""
    import tifffile

    tifffile.logger().setLevel("CRITICAL")  # oddities of tags that are of no matter here
    return tifffile.TiffFile(path)
