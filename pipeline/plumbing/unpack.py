"""Unpacking of archives from strangers: plain files and directories inside one tree, or a refusal that says why."""

import bz2
import gzip
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path, PureWindowsPath
from typing import IO, NamedTuple, NoReturn

from pipeline.plumbing.archive import LARGEST
from pipeline.plumbing.errors import UserError
from pipeline.plumbing.messages import brief, told

CHUNK = 2**16  # bytes
MOST_MEMBERS = 1_000_000
HIGHEST_RATIO = 1000  # unpacked bytes per byte of the archive; real data sets stay far below
RATIO_COUNTS_FROM = 100 * 2**20  # unpacked bytes
DEEPEST = 100  # folders; what walks through a tree calls itself at each
LARGEST_TAR_HEADERS = 2**20  # bytes before one member; tarfile holds long names, pax headers and maps in memory
MOST_TAR_READS = 40  # for them; each header takes two, and tarfile calls itself at each
MOST_GLOBAL_KEYS = 100  # of pax headers that hold for all members, each of which gets a copy; git writes one
LONGEST_TAR_PADDING = 2**24  # bytes after the end; tar fills its last record, of 10 KiB unless told otherwise

_DAMAGED = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, ValueError, NotImplementedError)
_TAR_LINKS = {tarfile.SYMTYPE: "it is a symbolic link", tarfile.LNKTYPE: "it is a hard link"}
_COMPRESSED = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open, b"\x5d\0\0": lzma.open}


class _Member(NamedTuple):
    name: str
    is_directory: bool
    fault: str | None  # why a member of its kind is refused, if it is
    open: Callable[[], IO[bytes]]
    headers: int = 0  # bytes before it that are no content


def unpack(archive: Path, directory: Path, largest: int = LARGEST) -> None:
    """Write the files of a tar (plain, gzip, bzip2, xz) or zip archive, told by its content, into a new `directory`.

    Permissions, owners and times are not taken over. Raises UserError for a damaged archive; before it is written, for
    a member that is neither a plain file nor a directory, or whose path leaves the directory, is taken or lies deeper
    than DEEPEST; and for more than MOST_MEMBERS members, more than `largest` bytes, more than HIGHEST_RATIO times the
    archive's size, or headers that would fill the memory. What was written before the error stays: unpack into
    `files.whole`.
    """
    try:
        with archive.open("rb") as file:
            is_zip = file.read(4) in (b"PK\3\4", b"PK\5\6")  # a member, or the end of an empty archive
        directory.mkdir(parents=True, exist_ok=True)
        unpacking = _Unpacking(archive, directory, largest)
        with closing((_zip_members if is_zip else _tar_members)(archive)) as members:
            for member in members:
                unpacking.add(member)
    except (OSError, *_DAMAGED) as failure:
        raise UserError(f"{archive}: {_explain(failure)}") from failure


def _explain(failure: Exception) -> str:
    if isinstance(failure, OSError) and failure.errno:  # without a number it comes from a decompressor
        return f"not unpacked ({told(failure)}). Mend this and run again."
    reason = told((str(failure) or type(failure).__name__).splitlines()[0]).rstrip(".:")
    return f"damaged, or neither tar nor zip ({reason}). Delete the file and fetch it again."


class _Unpacking:
    """One archive on its way into a directory. It counts what really comes out, whatever the headers claim."""

    def __init__(self, archive: Path, directory: Path, largest: int) -> None:
        self.archive, self.directory, self.largest = archive, directory, largest
        self.unpacked = self.headers = self.members = 0
        self.ratio_limit = max(RATIO_COUNTS_FROM, HIGHEST_RATIO * archive.stat().st_size)

    def add(self, member: _Member) -> None:
        self.members += 1
        if self.members > MOST_MEMBERS:
            self.refuse(member.name, f"the archive has more than {MOST_MEMBERS} members")
        self.headers += member.headers
        self.count(member.name, 0)
        if fault := _path_fault(member.name) or member.fault:
            self.refuse(member.name, fault)
        path = self.directory / member.name
        try:
            (path if member.is_directory else path.parent).mkdir(parents=True, exist_ok=True)
            file = None if member.is_directory else path.open("xb")
        except (FileExistsError, NotADirectoryError):
            # Asked of the disk, which may hold A and a for the same name.
            self.refuse(member.name, "an earlier member has taken its path")
        if file:
            with file, member.open() as content:
                while chunk := content.read(CHUNK):
                    self.count(member.name, len(chunk))
                    file.write(chunk)

    def count(self, place: str, size: int) -> None:
        self.unpacked += size
        if self.unpacked > self.largest:
            self.refuse(place, f"the archive unpacks to more than {self.largest} bytes")
        if self.unpacked + self.headers > self.ratio_limit:
            self.refuse(place, f"the archive unpacks to more than {HIGHEST_RATIO} times its size")

    def refuse(self, place: str, reason: str) -> NoReturn:
        advice = "Use an archive of plain files and directories that stay inside it."
        raise UserError(f"{self.archive}: refused at {brief(place)}: {reason}. {advice}")


def _path_fault(name: str) -> str | None:
    if "\\" in name or "\0" in name:
        return "its path has a backslash or a null character"
    if PureWindowsPath(name).anchor:  # of /x, //host/x, C:/x and C:x
        return "its path is absolute or has a drive letter"
    if name.count("/") > DEEPEST:
        return f"its path is more than {DEEPEST} folders deep"
    return "its path has a '..' component" if ".." in name.split("/") else None


def _zip_members(archive: Path) -> Iterator[_Member]:
    with zipfile.ZipFile(archive) as file:
        for info in file.infolist():
            yield _Member(info.filename, info.is_dir(), _zip_fault(info), partial(file.open, info))


def _zip_fault(info: zipfile.ZipInfo) -> str | None:
    if info.flag_bits & 1:
        return "it is encrypted"
    if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "it is a symbolic link or a special file"
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        # zipfile expands a block of the other methods in one piece: a few bytes could fill the memory.
        return f"it is compressed by method {info.compress_type}, and only deflate is allowed"
    return None


def _tar_members(archive: Path) -> Iterator[_Member]:
    with _decompressed(archive) as file:
        stream = _TarStream(file)
        tar = tarfile.TarFile(fileobj=stream)
        while info := tar.next():
            if len(tar.pax_headers) > MOST_GLOBAL_KEYS:
                raise tarfile.ReadError(f"more than {MOST_GLOBAL_KEYS} keys in headers for all members")
            special = _TAR_LINKS.get(info.type, "it is a device, a fifo or another special file")
            fault = None if info.isreg() or info.isdir() else special
            headers = stream.end_headers()
            yield _Member(info.name, info.isdir(), fault, partial(tar.extractfile, info), headers)
            tar.members.clear()  # where tarfile keeps what it has read
            stream.begin_headers()
        stream.end_headers()
        # tarfile takes a header it cannot read for the end, and checks no trailing checksum of the compressed stream.
        stream.seek(tar.offset)
        if stream.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError(f"no header and no end of the archive at byte {tar.offset}")
        if len(stream.read(LONGEST_TAR_PADDING + 1)) > LONGEST_TAR_PADDING:
            raise tarfile.ReadError(f"more than {LONGEST_TAR_PADDING} bytes after its end")


def _decompressed(archive: Path) -> IO[bytes]:
    """A tar as tarfile reads it, which must not look into a compressed one before `_TarStream` is there."""
    with archive.open("rb") as file:
        start = file.read(tarfile.BLOCKSIZE)
    is_plain = start[257:262] == b"ustar"  # or a name that begins like a compressed file
    openers = [opener for magic, opener in _COMPRESSED.items() if start.startswith(magic) and not is_plain]
    return openers[0](archive, "rb") if openers else archive.open("rb")


class _TarStream:
    """The bytes of a tar, of which the headers before one member are limited, whatever their kind."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.seek, self.tell = file, file.seek, file.tell
        self.begin_headers()

    def begin_headers(self) -> None:
        self.in_headers, self.headers, self.reads = True, 0, 0

    def end_headers(self) -> int:
        """Bytes that they took."""
        self.in_headers = False
        return self.headers

    def read(self, size: int) -> bytes:
        if self.in_headers:
            self.headers, self.reads = self.headers + size, self.reads + 1
            if size < 0 or self.headers > LARGEST_TAR_HEADERS or self.reads > MOST_TAR_READS:
                raise ValueError(f"headers of more than {LARGEST_TAR_HEADERS} bytes or {MOST_TAR_READS} parts")
        return self.file.read(size)
