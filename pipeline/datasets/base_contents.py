"""What the headers of image files say of their content, where Pillow does not tell."""

from pathlib import Path
from typing import Any, NamedTuple

COLOURS = {"MINISWHITE": 1, "MINISBLACK": 1, "PALETTE": 1, "RGB": 3, "YCBCR": 3, "CIELAB": 3, "SEPARATED": 4}
NUMBERS = {1: "integer", 2: "signed integer", 3: "floating-point", 5: "complex", 6: "complex"}  # a TIFF's SampleFormat


class Content(NamedTuple):
    """What a file holds, whether or not Pillow would read all of it."""

    frames: int = 1
    bits: int = 8  # of the deepest band
    number: str = "integer"
    bands: int | None = None  # where some of them are neither colour nor transparency: all of them
    scaled: bool = False  # grey levels that Pillow stretches or inverts, as for display
    lossy: bool = False  # compressed so that values change
    misread: str = ""  # what Pillow does not decode as it is stored, and what to do


def content_of(image: Any, path: Path) -> Content:
    """What the header of an opened image file says."""
    match image.format:
        case "BMP":
            return _bmp(image, path)
        case "JPEG":
            return Content(lossy=True)
        case "PNG":
            return _png(image, path)
        case "PPM":
            return _pnm(image, path)
        case "TIFF":
            return _tiff(path)
        case "MPO":
            kinds = [entry["Attribute"]["MPType"] for entry in image.mpinfo[0xB002]]
            return Content(image.n_frames if any("Multi-Frame" in kind for kind in kinds) else 1, lossy=True)
        case "GIF" | "WEBP":
            return Content(image.n_frames)
    return Content()


def _png(image: Any, path: Path) -> Content:
    """By the header chunk, which always comes first."""
    with path.open("rb") as file:
        bits, colour = file.read(26)[24:]
    return Content(getattr(image, "n_frames", 1), bits, scaled=colour == 0 and bits in (2, 4))


def _bmp(image: Any, path: Path) -> Content:
    """Of a grey palette Pillow makes mode 1 or L by its length alone, whatever the depth of the pixels is."""
    with path.open("rb") as file:
        header = file.read(30)
    old = int.from_bytes(header[14:18], "little") == 12  # bytes of the header of OS/2
    bits = int.from_bytes(header[24:26] if old else header[28:30], "little")
    if {"1": 1, "L": 8}.get(image.mode, bits) == bits:
        return Content()
    return Content(
        misread=f"is a BMP file of {bits}-bit pixels with a short grey palette, not supported; save it as PNG."
    )


def _pnm(image: Any, path: Path) -> Content:
    """Its highest value stands among what Pillow hands to its decoder. In a bitmap 1 is black, which is read as 0."""
    if image.mode == "F":
        return Content(number="floating-point")
    highest = _highest(image)
    scaled = image.mode == "1" or highest not in (255, 65535)
    return Content(_pnm_images(image, path), max(8, highest.bit_length()), scaled=scaled)


def _highest(image: Any) -> int:
    codec, _, _, arguments = image.tile[0]
    if codec != "raw" and not isinstance(arguments, str):
        return arguments[1]
    return 65535 if image.mode == "I" else 255


def _pnm_images(image: Any, path: Path) -> int:
    """How many images stand one after another, as the formats but for those in plain text allow."""
    from PIL.PpmImagePlugin import PpmImageFile

    count = 1
    with path.open("rb") as file:
        while image.tile[0][0] != "ppm_plain":
            end = _pnm_end(image)
            file.seek(end)
            between = file.read(16)  # some writers end with a blank line
            file.seek(end + len(between) - len(between.lstrip()))
            try:
                image = PpmImageFile(file)
            except (SyntaxError, ValueError, OSError):  # the end, or what no reader takes for an image
                break
            count += 1
    return count


def _pnm_end(image: Any) -> int:
    """Bytes of the file up to the end of this image, whose rows begin with whole bytes."""
    width, height = image.size
    bits = 1 if image.mode == "1" else len(image.getbands()) * (16 if _highest(image) > 255 else 8)
    return image.tile[0][2] + (width * bits + 7) // 8 * height


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
        scaled = photometric == "MINISWHITE" or (photometric == "MINISBLACK" and bits in (2, 4))
        bands, lossy = page.samplesperpixel if dropped else None, "JPEG" in getattr(page.compression, "name", "")
        return Content(frames * page.imagedepth, bits, number, bands, scaled, lossy)


def unsupported_tiff(path: Path) -> str:
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
