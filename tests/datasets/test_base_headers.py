"""Every kind of file that Pillow reads in part, and its neighbours that are read whole."""

import struct
import zlib
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from pipeline.datasets.base_files import read_image, read_mask

H, W = 20, 24
RNG = np.random.default_rng(0)
RGB = RNG.integers(256, size=(H, W, 3), dtype=np.uint8)
INDICES = RNG.integers(2, size=(H, W), dtype=np.uint8)
CODES = {0: 0, 1: 1, 3: 2}
MULTIPLIED, ALPHA, NONE = 1, 2, 0  # TIFF's ExtraSamples


def bands(count: int, dtype: type = np.uint8) -> np.ndarray:
    return np.concatenate([RGB, RGB, RGB], axis=2)[..., :count].astype(dtype)


def tiff(path: Path, pixels: np.ndarray, photometric: str = "rgb", **options) -> None:
    tifffile.imwrite(
        path, pixels, photometric=photometric, planarconfig="contig" if pixels.ndim == 3 else None, **options
    )


def pages(path: Path, kinds: tuple[int, ...]) -> None:
    """A TIFF with a page for each of these values of NewSubfileType."""
    with tifffile.TiffWriter(path) as file:
        for at, kind in enumerate(kinds):
            file.write(RGB[:: at + 1, :: at + 1], photometric="rgb", subfiletype=kind)


def encoded(path: Path, pixels: np.ndarray, suffix: str) -> None:
    """By OpenCV, which takes BGR."""
    done, content = cv2.imencode(suffix, pixels)
    assert done
    path.write_bytes(content.tobytes())


def png(path: Path, bits: int, colour: int, rows: list[bytes], palette: bytes = b"") -> None:
    """Chunk by chunk, for depths that no library here writes."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", len(rows[0]) * 8 // bits, len(rows), bits, colour, 0, 0, 0)
    body = chunk(b"IHDR", header) + (chunk(b"PLTE", palette) if palette else b"")
    content = zlib.compress(b"".join(b"\0" + row for row in rows))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body + chunk(b"IDAT", content) + chunk(b"IEND", b""))


def text(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def frames(path: Path, format: str, count: int = 2) -> None:
    rest = [Image.fromarray(RGB[::-1])] * (count - 1)
    Image.fromarray(RGB).save(path, format, save_all=True, append_images=rest)


def two_pictures(path: Path, first: bytes, second: bytes) -> None:
    """A JPEG with a second picture behind it, of the given MP types."""
    frames(path, "MPO")
    content = bytearray(path.read_bytes())
    at = content.index(b"\0\0\x03\0", content.index(b"\2\xb0\7\0"))
    content[at : at + 4], content[at + 16 : at + 20] = first, second
    path.write_bytes(content)


def turned(path: Path, format: str, orientation: object) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(RGB).save(path, format, exif=exif)


def twelve_bits(path: Path) -> None:
    """A JPEG whose header says 12 bits, as of a scanner or in DICOM."""
    Image.fromarray(RGB).save(path, "JPEG")
    content = bytearray(path.read_bytes())
    content[content.index(b"\xff\xc0") + 4] = 12
    path.write_bytes(content)


def compressed(path: Path, code: int) -> None:
    """A TIFF that says it is compressed in another way."""
    tiff(path, RGB)
    with tifffile.TiffFile(path, mode="r+") as file:
        file.pages[0].tags["Compression"].overwrite(code)


def bmp(path: Path, pixels: np.ndarray, bits: int, levels: list[int]) -> None:
    """With a palette of grey levels that has no more entries than these."""
    palette = b"".join(bytes((level, level, level, 0)) for level in levels)
    rows = [row.tobytes() if bits == 8 else (row[::2] << 4 | row[1::2]).tobytes() for row in pixels[::-1]]
    content = b"".join(row + bytes(-len(row) % 4) for row in rows)
    height, width = pixels.shape
    start = 54 + len(palette)
    header = struct.pack("<2sIIIIiiHHIIiiII", b"BM", start + len(content), 0, start, 40, width, height, 1, bits, 0, len(content), 0, 0, len(levels), 0)  # fmt: skip
    path.write_bytes(header + palette + content)


XMP = "<rdf:Description xmlns:tiff='http://ns.adobe.com/tiff/1.0/' {}/>"


def turned_by_xmp(path: Path, format: str, said: str) -> None:
    xmp = XMP.format(said).encode()
    chunks = PngInfo()
    chunks.add_itxt("XML:com.adobe.xmp", xmp.decode())
    options = {"TIFF": {"tiffinfo": {700: xmp}}, "PNG": {"pnginfo": chunks}}
    Image.fromarray(RGB).save(path, format, **options.get(format, {"xmp": xmp}))


def raw_profile(path: Path, key: str, content: bytes) -> None:
    """As ImageMagick writes it into a PNG."""
    chunks = PngInfo()
    chunks.add_text(f"Raw profile type {key}", f"\n{key}\n{len(content):8}\n{content.hex()}\n", zip=True)
    Image.fromarray(RGB).save(path, "PNG", pnginfo=chunks)


def exif_of(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()


def damaged_exif(path: Path) -> None:
    turned(path, "JPEG", 6)
    content = bytearray(path.read_bytes())
    at = content.index(b"Exif\0\0")
    content[at + 6 : at + 10] = b"????"
    path.write_bytes(content)


BITS = "has 16 bits in each band, and what is more than 8 bits would be cut"
FRAMES = r"holds 2 frames or pages, and one is used; save the right one in a file of its own\."
DROPPED = "bands, of which some are neither colour nor transparency and would be dropped"
REFUSED = {
    "16-bit RGB PNG": (partial(encoded, pixels=bands(3, np.uint16), suffix=".png"), BITS),
    "16-bit RGBA PNG": (partial(encoded, pixels=bands(4, np.uint16), suffix=".png"), BITS),
    "16-bit grey PNG": (partial(encoded, pixels=bands(1, np.uint16), suffix=".png"), BITS),
    "16-bit grey and alpha PNG": (partial(png, bits=16, colour=4, rows=[b"\1\2\3\4" * 4] * 3), BITS),
    "16-bit RGB TIFF": (partial(tiff, pixels=bands(3, np.uint16)), BITS),
    "16-bit RGBA TIFF": (partial(tiff, pixels=bands(4, np.uint16), extrasamples=[ALPHA]), BITS),
    "16-bit grey TIFF": (partial(tiff, pixels=RGB[..., 0].astype(np.uint16), photometric="minisblack"), BITS),
    "16-bit CMYK TIFF": (partial(tiff, pixels=bands(4, np.uint16), photometric="separated"), BITS),
    "16-bit big-endian TIFF": (partial(tiff, pixels=bands(3, np.uint16), byteorder=">"), BITS),
    "16-bit PPM": (partial(encoded, pixels=bands(3, np.uint16), suffix=".ppm"), BITS),
    "12-bit PPM": (partial(text, content=b"P6 2 1 4095 " + b"\1\2" * 6), "has 12 bits in each band"),
    "12-bit plain PPM": (partial(text, content=b"P3 1 1 4095 4095 7 0 "), "has 12 bits in each band"),
    "16-bit PGM": (partial(encoded, pixels=bands(1, np.uint16), suffix=".pgm"), BITS),
    "12-bit JPEG": (twelve_bits, r"a JPEG file that is damaged or not supported \(cannot handle 12-bit layers\)"),
    "32-bit grey TIFF": (partial(tiff, pixels=bands(1, np.uint32)[..., 0], photometric="minisblack"), "has 32 bits in"),
    "8-bit signed TIFF": (partial(tiff, pixels=bands(3).astype(np.int8)), "3 bands of 8-bit signed integer values"),
    "grey float TIFF": (partial(tiff, pixels=RGB[..., 0].astype(np.float32), photometric="minisblack"), "holds floating-point values, a format that is not supported"),
    "RGB float TIFF": (partial(tiff, pixels=bands(3, np.float32)), "a TIFF file of 3 bands of 32-bit floating-point values, a format that is not supported; convert it"),
    "RGB double BigTIFF": (partial(tiff, pixels=bands(3, np.float64), bigtiff=True), "3 bands of 64-bit floating-point values"),
    "TIFF of JPEG XL": (partial(compressed, code=50002), "8-bit integer values, compressed by JPEGXL, a format that is not supported"),
    "three PPM images": (partial(text, content=b"P6 1 1 255 abc" * 3), "holds 3 frames or pages"),
    "two bitmaps": (partial(text, content=b"P4 9 1 ab\nP4 9 1 ab"), FRAMES),
    "two 16-bit PGM images": (partial(text, content=b"P5 1 1 65535 ab" * 2), BITS),
    "four slices": (lambda path: tifffile.imwrite(path, np.zeros((4, 16, 16), np.uint8), photometric="minisblack", volumetric=True, tile=(4, 16, 16)), "holds 4 frames or pages"),
    "BMP of 8 bits, black and white": (partial(bmp, pixels=INDICES, bits=8, levels=[0, 255]), "is a BMP file of 8-bit pixels with a short grey palette"),
    "BMP of 4 bits, grey": (partial(bmp, pixels=INDICES, bits=4, levels=[*range(16)]), "is a BMP file of 4-bit pixels with a short grey palette"),
    "HEIC": (partial(text, content=b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"), "a file of HEIC, whatever its name says"),
    "HEIF": (partial(text, content=b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic"), "a file of HEIC, whatever its name says"),
    "PAM": (partial(text, content=b"P7\nWIDTH 1\nHEIGHT 1\nDEPTH 1\nMAXVAL 255\nENDHDR\n\0"), "a file of PAM, whatever"),
    "Radiance": (partial(encoded, pixels=bands(3, np.float32), suffix=".hdr"), "a file of Radiance HDR, whatever"),
    "text": (partial(text, content=b"hello"), "not an image of a known format, or damaged from its first bytes"),
    "float PFM": (partial(text, content=b"Pf 1 1 -1.0\n" + b"\0\0\0\0"), "holds floating-point values"),
    "two TIFF pages": (partial(pages, kinds=(0, 0)), FRAMES),
    "small page first": (partial(pages, kinds=(1, 0)), FRAMES),
    "two GIF frames": (partial(frames, format="GIF"), FRAMES),
    "two PNG frames": (partial(frames, format="PNG"), FRAMES),
    "two WebP frames": (partial(frames, format="WEBP"), FRAMES),
    "stereo JPEG": (partial(two_pictures, first=b"\2\0\2\x20", second=b"\2\0\2\0"), FRAMES),
    "panorama JPEG": (partial(two_pictures, first=b"\0\0\3\x20", second=b"\1\0\2\0"), FRAMES),
    "RGB and near infrared": (partial(tiff, pixels=bands(4), extrasamples=[NONE]), f"has 4 {DROPPED}"),
    "six bands": (partial(tiff, pixels=bands(6), extrasamples=[NONE] * 3), f"has 6 {DROPPED}"),
    "RGBA and one": (partial(tiff, pixels=bands(5), extrasamples=[ALPHA, NONE]), f"has 5 {DROPPED}"),
    "grey and one": (partial(tiff, pixels=bands(2), photometric="minisblack", extrasamples=[NONE]), f"has 2 {DROPPED}"),
    "CMYK and a spot colour": (partial(tiff, pixels=bands(5), photometric="separated", extrasamples=[NONE]), f"has 5 {DROPPED}"),
    "nine bands": (partial(tiff, pixels=bands(9), photometric="minisblack"), "a TIFF file of 9 bands of 8-bit integer values"),
    "Lab": (partial(tiff, pixels=bands(3), photometric="cielab"), "is in the colour mode LAB, which is not supported"),
    "grey times transparency": (partial(tiff, pixels=bands(2), photometric="minisblack", extrasamples=[MULTIPLIED]), "is in the colour mode La, which is not supported"),
    "JPEG 2000": (lambda path: Image.fromarray(RGB).save(path, "JPEG2000"), "is a JPEG2000 file; those that are read are"),
    "icon": (lambda path: Image.fromarray(RGB).resize((16, 16)).save(path, "ICO"), "is a ICO file"),
    "201 megapixels": (partial(text, content=b"P6 20100 10000 255 "), r"has 20100 x 10000 pixels, 201\.0 megapixels, and at most 200 are read"),
    "GIF of 4 gigapixels": (partial(text, content=b"GIF89a\xff\xff\xff\xff\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\2\2L\1\0;"), r"4294\.8 megapixels"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_what_would_be_read_in_part_is_refused_with_what_to_do(tmp_path, kind):
    write, said = REFUSED[kind]
    write(tmp_path / "a.img")
    with pytest.raises(ValueError, match=rf"a\.img: .*{said}"):
        read_image(tmp_path / "a.img")


WHOLE = {
    "PNG": partial(encoded, pixels=RGB[..., ::-1], suffix=".png"),
    "PPM": partial(encoded, pixels=RGB[..., ::-1], suffix=".ppm"),
    "BMP": partial(encoded, pixels=RGB[..., ::-1], suffix=".bmp"),
    "lossless WebP": lambda path: Image.fromarray(RGB).save(path, "WEBP", lossless=True),
    "TIFF": partial(tiff, pixels=RGB),
    "big-endian TIFF": partial(tiff, pixels=RGB, byteorder=">"),
    "BigTIFF": partial(tiff, pixels=RGB, bigtiff=True),
    "TIFF of planes": lambda path: tifffile.imwrite(
        path, np.moveaxis(RGB, 2, 0), photometric="rgb", planarconfig="separate"
    ),
    "TIFF with transparency": partial(
        tiff, pixels=np.dstack([RGB, np.full((H, W), 9, np.uint8)]), extrasamples=[ALPHA]
    ),
    "pyramid": partial(pages, kinds=(0, 1, 1)),
    "one GIF frame": lambda path: Image.fromarray(RGB // 64 * 64).save(path, "GIF"),
    "PPM with a line end behind it": lambda path: path.write_bytes(b"P6 %d %d 255 " % (W, H) + RGB.tobytes() + b"\n"),
    "one APNG frame": partial(frames, format="PNG", count=1),
}


@pytest.mark.parametrize("kind", WHOLE)
def test_what_is_read_whole_keeps_every_value(tmp_path, kind):
    """OpenCV and tifffile have written it."""
    WHOLE[kind](tmp_path / "a.img")
    expected = RGB // 64 * 64 if kind == "one GIF frame" else RGB
    np.testing.assert_array_equal(read_image(tmp_path / "a.img"), expected)


@pytest.mark.parametrize(("photometric", "kind"), [("rgb", MULTIPLIED), ("rgb", ALPHA), ("minisblack", ALPHA)])
def test_transparency_is_dropped_and_colour_is_what_it_was(tmp_path, photometric, kind):
    """Also of colours that were multiplied by it, here by 1."""
    colours = RGB if photometric == "rgb" else RGB[..., :1]
    tiff(tmp_path / "a.tif", np.dstack([colours, np.full((H, W), 255, np.uint8)]), photometric, extrasamples=[kind])
    expected = np.broadcast_to(colours, (H, W, 3))
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), expected)


@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
def test_grey_is_as_viewers_show_it(tmp_path, photometric):
    tiff(tmp_path / "a.tif", RGB[..., 0], photometric)
    shown = RGB[..., 0] if photometric == "minisblack" else 255 - RGB[..., 0]
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), np.dstack([shown] * 3))


@pytest.mark.parametrize("second", [b"\0\0\0\0", b"\1\0\1\0", b"\2\0\1\0"], ids=["gain map", "VGA", "full HD"])
def test_of_a_photo_with_a_preview_behind_it_the_photo_is_used(tmp_path, second):
    """As all viewers do; phones and cameras write such files without being asked."""
    two_pictures(tmp_path / "a.jpg", b"\0\0\3\0", second)
    with Image.open(tmp_path / "a.jpg") as both:
        assert both.n_frames == 2
    Image.fromarray(RGB).save(tmp_path / "alone.jpg")
    np.testing.assert_array_equal(read_image(tmp_path / "a.jpg"), read_image(tmp_path / "alone.jpg"))


TURNS = {2: "mirrored", 3: "turned by 180", 4: "mirrored", 5: "mirrored", 6: "turned by 90 degrees clock", 7: "mirrored", 8: "turned by 90 degrees counter"}  # fmt: skip


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", TURNS)
def test_what_viewers_turn_is_refused_as_image_and_as_mask(tmp_path, format, orientation):
    turned(tmp_path / "a.img", format, orientation)
    said = rf"a\.img: is shown {TURNS[orientation]}.* \(EXIF orientation {orientation}\); if masks are drawn on photos"
    for read in (read_image, partial(read_mask, codes=CODES)):
        with pytest.raises(ValueError, match=said):
            read(tmp_path / "a.img")


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize(
    "said", ["tiff:Orientation='3'", 'tiff:Orientation = "3"', "><tiff:Orientation>\n3</tiff:Orientation><rdf:li"]
)
def test_orientation_is_found_in_xmp_however_it_is_written(tmp_path, format, said):
    turned_by_xmp(tmp_path / "a.img", format, said)
    with pytest.raises(ValueError, match=r"is shown turned by 180 degrees"):
        read_image(tmp_path / "a.img")
    turned_by_xmp(tmp_path / "a.img", format, said.replace("3", "1"))
    assert read_image(tmp_path / "a.img").shape == RGB.shape


@pytest.mark.parametrize("key", ["APP1", "exif", "xmp"])
def test_orientation_is_found_in_raw_profiles(tmp_path, key):
    def content(orientation: int) -> bytes:
        return XMP.format(f"tiff:Orientation='{orientation}'").encode() if key == "xmp" else exif_of(orientation)

    raw_profile(tmp_path / "a.png", key, content(6))
    with pytest.raises(ValueError, match=r"is shown turned by 90 degrees clockwise"):
        read_image(tmp_path / "a.png")
    raw_profile(tmp_path / "a.png", key, content(1))
    assert read_image(tmp_path / "a.png").shape == RGB.shape


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", [0, 1, 9])
def test_what_no_viewer_turns_is_read(tmp_path, format, orientation):
    """Cameras write 0 for unknown."""
    turned(tmp_path / "a.img", format, orientation)
    Image.fromarray(RGB).save(tmp_path / "b.img", format)
    np.testing.assert_array_equal(read_image(tmp_path / "a.img"), read_image(tmp_path / "b.img"))


def test_an_orientation_that_cannot_be_read_is_none(tmp_path):
    damaged_exif(tmp_path / "a.jpg")
    assert read_image(tmp_path / "a.jpg").shape == (H, W, 3)


def test_the_masks_of_a_published_dataset_fit_the_pixels_as_stored(tmp_path):
    turned(tmp_path / "a.jpg", "JPEG", 6)
    frames(tmp_path / "b.gif", "GIF")
    assert read_image(tmp_path / "a.jpg", published=True).shape == (H, W, 3)
    assert read_image(tmp_path / "b.gif", published=True).shape == (H, W, 3)


def test_size_alone_is_no_fault_below_the_limit(tmp_path):
    """Pillow warns of a bomb from 89 megapixels on; here nothing is wrong but that the pixels are missing."""
    text(tmp_path / "a.ppm", b"P5 10000 9000 255 ")
    with pytest.raises(ValueError, match=r"a\.ppm: .*(truncated|not enough)"):
        read_mask(tmp_path / "a.ppm", CODES)


MASKS = {
    "8-bit PNG": partial(encoded, pixels=INDICES, suffix=".png"),
    "16-bit PNG": partial(encoded, pixels=INDICES.astype(np.uint16), suffix=".png"),
    "1-bit PNG": lambda path: Image.fromarray(INDICES.astype(bool)).save(path, "PNG"),
    "8-bit TIFF": partial(tiff, pixels=INDICES, photometric="minisblack"),
    "16-bit TIFF": partial(tiff, pixels=INDICES.astype(np.uint16), photometric="minisblack"),
    "32-bit TIFF": partial(tiff, pixels=INDICES.astype(np.int32), photometric="minisblack"),
    "16-bit PGM": partial(encoded, pixels=INDICES.astype(np.uint16), suffix=".pgm"),
    "BMP of 4 bits with a palette": partial(bmp, pixels=INDICES, bits=4, levels=[0, 255, 9]),
    "BMP of 1 bit": lambda path: Image.fromarray(INDICES.astype(bool)).save(path, "BMP"),
    "1-bit TIFF": partial(tiff, pixels=INDICES.astype(bool), photometric="minisblack"),
    "palette of 2 bits": partial(
        png, bits=2, colour=3, rows=[np.packbits(np.unpackbits(row[:, None], axis=1)[:, 6:]).tobytes() for row in INDICES], palette=bytes(12)
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", MASKS)
def test_masks_of_any_depth_keep_their_values(tmp_path, kind):
    """They are looked up, not scaled."""
    MASKS[kind](tmp_path / "a.img")
    np.testing.assert_array_equal(read_mask(tmp_path / "a.img", CODES), INDICES)


GREY = "stores its grey levels in a form that programs scale or invert; save the class indices with 8 bits"
ONE = "a mask has one channel of class indices"
REFUSED_MASKS = {
    "grey of 2 bits": (partial(png, bits=2, colour=0, rows=[b"\x55"] * 4), GREY),
    "grey of 4 bits": (partial(png, bits=4, colour=0, rows=[b"\xff"] * 4), GREY),
    "PGM of 3 levels": (partial(text, content=b"P5 2 1 3 \0\3"), GREY),
    "white is zero": (partial(tiff, pixels=INDICES, photometric="miniswhite"), GREY),
    "white is zero, of 1 bit": (partial(tiff, pixels=INDICES.astype(bool), photometric="miniswhite"), GREY),
    "bitmap": (partial(text, content=b"P4 8 1 \x0f"), GREY),
    "bitmap in plain text": (partial(text, content=b"P1 2 1 0 1 "), GREY),
    "PGM of two images": (partial(text, content=b"P5 1 1 255 \0P5 1 1 255 \1"), FRAMES),
    "BMP of 8 bits, black and white": (partial(bmp, pixels=INDICES, bits=8, levels=[0, 255]), "save it as PNG"),
    "JPEG": (lambda path: Image.fromarray(INDICES).save(path, "JPEG"), "JPEG, which changes values; save masks as PNG"),
    "TIFF compressed as JPEG": (lambda path: Image.fromarray(INDICES).save(path, "TIFF", compression="jpeg"), "JPEG, which changes values; save masks as PNG"),
    "float TIFF": (partial(tiff, pixels=INDICES.astype(np.float32), photometric="minisblack"), f"holds floating-point values; {ONE}"),
    "double TIFF": (partial(tiff, pixels=INDICES.astype(np.float64), photometric="minisblack"), "a TIFF file of 1 bands of 64-bit floating"),
    "16-bit RGB PNG": (partial(encoded, pixels=bands(3, np.uint16), suffix=".png"), f"{ONE}, this file is RGB"),
    "grey and alpha": (lambda path: Image.fromarray(INDICES).convert("LA").save(path, "PNG"), f"{ONE}, this file is LA"),
    "grey and one": (partial(tiff, pixels=bands(2), photometric="minisblack", extrasamples=[NONE]), f"has 2 {DROPPED}"),
    "two pages": (partial(pages, kinds=(0, 0)), FRAMES),
    "two frames": (partial(frames, format="GIF"), FRAMES),
    "JPEG 2000": (lambda path: Image.fromarray(INDICES).save(path, "JPEG2000"), "is a JPEG2000 file"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED_MASKS)
def test_masks_whose_values_are_not_those_of_the_file_are_refused(tmp_path, kind):
    write, said = REFUSED_MASKS[kind]
    write(tmp_path / "a.img")
    with pytest.raises(ValueError, match=rf"a\.img: .*{said}"):
        read_mask(tmp_path / "a.img", CODES)
