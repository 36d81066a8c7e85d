"""Archives as a stranger could make them: benign, hostile and damaged, all of them real files."""

import io
import re
import shutil
import subprocess
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from pipeline.plumbing import unpack as module
from pipeline.plumbing.errors import UserError
from pipeline.plumbing.files import whole
from pipeline.plumbing.unpack import unpack

TREE = {"images/a.jpg": b"a" * 70_000, "images/deep/ü b.jpg": b"b", "empty.txt": b"", f"{'long/' * 40}c.txt": b"c"}
MODES = ["tar", "tar:gz", "tar:bz2", "tar:xz", "zip"]


def tar_file(name: str, content: bytes = b"x", **fields) -> tuple[tarfile.TarInfo, io.BytesIO]:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(content), 0o4777
    for key, value in fields.items():
        setattr(info, key, value)
    return info, io.BytesIO(content)


def tar_directory(name: str) -> tuple[tarfile.TarInfo, None]:
    info = tarfile.TarInfo(name)
    info.type = tarfile.DIRTYPE
    return info, None


def zip_file(name: str, **fields) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("placeholder")
    info.filename = name  # the constructor would tidy some of the names
    for key, value in fields.items():
        setattr(info, key, value)
    return info


def write_tar(path: Path, members, mode: str = "") -> Path:
    with tarfile.open(path, f"w:{mode}") as archive:
        for info, content in members:
            archive.addfile(info, content)
    return path


def write_zip(path: Path, members) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for info in members:
            archive.NameToInfo.clear()  # zipfile warns of a second member of the same name
            archive.writestr(info, b"" if info.is_dir() else b"x")
    return path


def write(path: Path, mode: str, tree: dict[str, bytes]) -> Path:
    if mode.startswith("tar"):
        return write_tar(path, [tar_file(*item) for item in tree.items()], mode[4:])
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in tree.items():
            archive.writestr(name, content)
    return path


def tree_of(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def refuse(archive: Path, directory: Path, *words: str, **options) -> None:
    """Unpacking fails with one sentence that has the archive and all `words`, and gives no file called `bad`."""
    with pytest.raises(UserError) as refusal:
        unpack(archive, directory, **options)
    sentence = str(refusal.value)
    assert "\n" not in sentence
    assert all(word in sentence for word in [str(archive), *words]), sentence
    assert not list(directory.parent.rglob("bad"))


@pytest.mark.parametrize("mode", MODES)
def test_a_benign_archive_gives_exactly_its_tree(tmp_path, mode):
    archive = write(tmp_path / "archive.dat", mode, TREE)
    unpack(archive, tmp_path / "new" / "out")
    assert tree_of(tmp_path / "new" / "out") == TREE


@pytest.mark.parametrize("mode", MODES)
def test_an_archive_without_members_gives_an_empty_directory(tmp_path, mode):
    unpack(write(tmp_path / "archive.dat", mode, {}), tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_directories_may_be_listed_also_twice_and_the_root_too(tmp_path):
    members = [tar_directory("./"), tar_directory("a"), tar_file("a/b"), tar_directory("./a"), tar_directory("void")]
    unpack(write_tar(tmp_path / "x.tar", members), tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").rglob("*")} == {"a", "b", "void"}
    unpack(write_zip(tmp_path / "x.zip", map(zip_file, ["a/", "a/b", "a/", "void/"])), tmp_path / "zipped")
    assert {path.name for path in (tmp_path / "zipped").rglob("*")} == {"a", "b", "void"}


def test_permissions_are_not_taken_over(tmp_path):
    (tmp_path / "plain").write_bytes(b"")
    unpack(write_tar(tmp_path / "x.tar", [tar_file("a", mode=0o4777), tar_file("b", mode=0)]), tmp_path / "out")
    modes = {(tmp_path / "out" / name).stat().st_mode for name in "ab"}
    assert modes == {(tmp_path / "plain").stat().st_mode}


def test_content_counts_and_not_the_name(tmp_path):
    """A tar that starts like the words of a zip, and holds one at its end, is a tar."""
    inner = write(tmp_path / "inner.zip", "zip", {"evil": b""}).read_bytes()
    archive = write(tmp_path / "x.zip", "tar", {"PK/1": b"one", "PK/inner.zip": inner})
    unpack(archive, tmp_path / "out")
    assert tree_of(tmp_path / "out") == {"PK/1": b"one", "PK/inner.zip": inner}


BAD_PATHS = {
    "/bad": "absolute",
    "//host/share/bad": "absolute",
    "C:/bad": "drive letter",
    "c:bad": "drive letter",
    "../bad": "'..'",
    "good/../../bad": "'..'",
    "good/..": "'..'",
    "..\\bad": "backslash",
    "good\\bad": "backslash",
}


@pytest.mark.parametrize(("name", "reason"), BAD_PATHS.items())
def test_paths_that_could_leave_the_directory_are_refused(tmp_path, name, reason):
    tar = write_tar(tmp_path / "x.tar", [tar_file("first"), tar_file(name)])
    refuse(tar, tmp_path / "out", repr(name), reason)
    assert tree_of(tmp_path / "out") == {"first": b"x"}
    refuse(write_zip(tmp_path / "x.zip", [zip_file(name)]), tmp_path / "zipped", repr(name), reason)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (tarfile.SYMTYPE, "symbolic link"),
        (tarfile.LNKTYPE, "hard link"),
        (tarfile.CHRTYPE, "device"),
        (tarfile.BLKTYPE, "device"),
        (tarfile.FIFOTYPE, "fifo"),
        (b"V", "special file"),
    ],
)
def test_tar_members_that_are_no_plain_files_are_refused(tmp_path, kind, reason):
    members = [tar_file("good"), tar_file("bad", b"", type=kind, linkname="good")]
    refuse(write_tar(tmp_path / "x.tar", members), tmp_path / "out", "'bad'", reason)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"external_attr": 0o120777 << 16}, "symbolic link"),
        ({"external_attr": 0o010644 << 16}, "special file"),
        ({"external_attr": 0o020644 << 16}, "special file"),
        ({"compress_type": zipfile.ZIP_BZIP2}, "only deflate"),
        ({"compress_type": zipfile.ZIP_LZMA}, "only deflate"),
    ],
)
def test_zip_members_that_are_no_plain_files_are_refused(tmp_path, fields, reason):
    refuse(write_zip(tmp_path / "x.zip", [zip_file("bad", **fields)]), tmp_path / "out", "'bad'", reason)


def test_encrypted_zip_members_are_refused(tmp_path):
    archive = write_zip(tmp_path / "x.zip", [zip_file("bad")])
    content = bytearray(archive.read_bytes())
    content[6] |= 1  # the flags of the local header
    content[content.index(b"PK\1\2") + 8] |= 1  # and those of the central directory
    archive.write_bytes(content)
    refuse(archive, tmp_path / "out", "'bad'", "encrypted")


@pytest.mark.parametrize(
    ("names", "second"),
    [
        (["same", "same"], "same"),
        (["same", "./same"], "./same"),
        (["same", "same/bad"], "same/bad"),
        (["same/file", "same"], "same"),
        (["same", "same/"], "same"),
        (["same/", "same"], "same"),
        (["."], "."),
    ],
)
def test_a_path_is_written_once(tmp_path, names, second):
    members = [tar_directory(name) if name.endswith("/") else tar_file(name) for name in names]
    tar = write_tar(tmp_path / "x.tar", members)
    refuse(tar, tmp_path / "out", second, "earlier member")
    archive = write_zip(tmp_path / "x.zip", map(zip_file, names))
    refuse(archive, tmp_path / "zipped", second, "earlier member")


@pytest.mark.parametrize("mode", MODES)
def test_more_bytes_than_allowed_are_not_written(tmp_path, mode):
    archive = write(tmp_path / "archive", mode, {"a": bytes(600_000), "b": bytes(600_000)})
    unpack(archive, tmp_path / "out", largest=1_200_000)
    refuse(archive, tmp_path / "less", "'b'", "more than 1000000 bytes", largest=1_000_000)
    assert sum(map(len, tree_of(tmp_path / "less").values())) <= 1_000_000


def test_the_claimed_size_of_a_zip_member_is_not_believed(tmp_path):
    archive = write(tmp_path / "x.zip", "zip", {"liar": bytes(3_000_000)})
    honest = (3_000_000).to_bytes(4, "little")
    archive.write_bytes(archive.read_bytes().replace(honest, (10).to_bytes(4, "little")))
    refuse(archive, tmp_path / "out", "damaged")
    assert sum(map(len, tree_of(tmp_path / "out").values())) <= 10


@pytest.mark.parametrize("mode", ["tar:bz2", "tar:xz", "zip"])
def test_an_absurd_compression_ratio_is_refused(tmp_path, monkeypatch, mode):
    archive = write(tmp_path / "archive", mode, {"zeros": bytes(4_000_000)})
    unpack(archive, tmp_path / "out")  # small enough to be harmless
    monkeypatch.setattr(module, "RATIO_COUNTS_FROM", 2_000_000)
    monkeypatch.setattr(module, "HIGHEST_RATIO", 500)
    refuse(archive, tmp_path / "bomb", "'zeros'", "500 times")


def test_zeros_without_end_after_a_tar_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LONGEST_TAR_PADDING", 1_000_000)
    with tarfile.open(tmp_path / "x.tar.xz", "w:xz") as archive:
        archive.addfile(*tar_file("a"))
        archive.fileobj.write(bytes(3_000_000))
    refuse(tmp_path / "x.tar.xz", tmp_path / "out", "damaged", "more than 1000000 bytes after its end")


def test_a_long_name_that_would_fill_the_memory_is_refused(tmp_path):
    members = [tar_file("././@LongLink", bytes(2**21), type=tarfile.GNUTYPE_LONGNAME), tar_file("bad")]
    refuse(write_tar(tmp_path / "x.tar.gz", members, "gz"), tmp_path / "out", "headers of more than 1048576 bytes")


def pax(kind: bytes, keys: dict[str, str]) -> tuple[tarfile.TarInfo, io.BytesIO]:
    """A header of POSIX.1-2001: `LENGTH KEY=VALUE`, where the length counts its own digits."""

    def record(key: str, value: str) -> bytes:
        rest = f" {key}={value}\n".encode()
        length = next(size for size in range(len(rest), len(rest) + 9) if size == len(rest) + len(str(size)))
        return str(length).encode() + rest

    return tar_file("pax", b"".join(record(*item) for item in keys.items()), type=kind)


def numbered(count: int, prefix: str = "k") -> dict[str, str]:
    return {f"{prefix}{number}": "1" for number in range(count)}


def global_keys(count: int, prefix: str = "k") -> tuple[tarfile.TarInfo, io.BytesIO]:
    return pax(tarfile.XGLTYPE, numbered(count, prefix))


FILLING = {
    "many global keys": [global_keys(5_000), tar_file("first")],
    "many global headers": [global_keys(5_000, f"{header} ") for header in range(3)],
    "many small global headers": [global_keys(1, f"{header} ") for header in range(1000)],
    "global headers between members": [
        each for part in range(11) for each in (global_keys(10, f"{part} "), tar_file(f"good{part}"))
    ],
    "chained headers": [pax(tarfile.XHDTYPE, {"comment": "x"}) for _ in range(1000)],
    "chained long names": [tar_file("././@LongLink", b"n", type=tarfile.GNUTYPE_LONGNAME) for _ in range(1000)],
    "a large header": [pax(tarfile.XHDTYPE, {"comment": "x" * 2**21})],
    "several large headers": [pax(tarfile.XHDTYPE, {"comment": "x" * 2**19}) for _ in range(3)],
}


@pytest.mark.parametrize("mode", ["", "gz"])
@pytest.mark.parametrize("members", FILLING.values(), ids=FILLING)
def test_headers_that_would_fill_the_memory_are_refused(tmp_path, members, mode):
    for _, content in members:
        content.seek(0)
    archive = write_tar(tmp_path / "x.tar", [*members, tar_file("bad")], mode)
    refuse(archive, tmp_path / "out", "damaged", "headers")


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_header_of_negative_size_is_refused(tmp_path, kind):
    """Its size would be that of all the rest of the archive."""
    header = tarfile.TarInfo("header")
    header.type = kind
    block = bytearray(header.tobuf(tarfile.GNU_FORMAT))
    block[124:136] = (-1024).to_bytes(12, "big", signed=True)  # as GNU writes what octal digits cannot say
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    (tmp_path / "x.tar").write_bytes(bytes(block) + bytes(10240))
    refuse(tmp_path / "x.tar", tmp_path / "out", "damaged")


def test_a_map_of_holes_that_would_fill_the_memory_is_refused(tmp_path):
    """Of the old GNU form, whose map goes on as long as a byte says so."""
    header = tarfile.TarInfo("bad")
    header.type = tarfile.GNUTYPE_SPARSE
    block = bytearray(header.tobuf(tarfile.GNU_FORMAT))
    block[482] = 1
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    more = (b"%011o\0" % 1) * 42 + b"\1" + bytes(7)
    (tmp_path / "x.tar").write_bytes(bytes(block) + more * 1000 + bytes(10240))
    refuse(tmp_path / "x.tar", tmp_path / "out", "damaged", "40 parts")


def test_the_headers_of_all_members_count_for_the_ratio(tmp_path, monkeypatch):
    """A million members without content, each with a header of a megabyte."""
    monkeypatch.setattr(module, "RATIO_COUNTS_FROM", 2_000_000)
    monkeypatch.setattr(module, "HIGHEST_RATIO", 100)
    members = [
        each for name in "abcdefgh" for each in (pax(tarfile.XHDTYPE, {"comment": "x" * 900_000}), tar_file(name))
    ]
    refuse(write_tar(tmp_path / "x.tar.xz", members, "xz"), tmp_path / "out", "100 times")


def test_headers_that_tools_write_pass(tmp_path):
    """git's comment, the attributes of macOS and of bsdtar, the times of GNU tar, long and foreign names."""
    attributes = {
        "mtime": "1700000000.123456789",
        "LIBARCHIVE.creationtime": "1700000000",
        "SCHILY.dev": "16777220",
        **{f"SCHILY.xattr.com.apple.{number}": "x" * 4096 for number in range(20)},
        **{f"LIBARCHIVE.xattr.com.apple.{number}": "eA" * 2048 for number in range(20)},
    }
    members = [pax(tarfile.XGLTYPE, {"comment": "0" * 40})]
    for number in range(20):
        members += [pax(tarfile.XHDTYPE, attributes), tar_file(f"PaxHeader/{number}")]
    members += [pax(tarfile.XHDTYPE, {"path": f"{'long/' * 40}{'ü' * 100}"}), tar_file("short")]
    unpack(write_tar(tmp_path / "x.tar.gz", members, "gz"), tmp_path / "out")
    assert len(tree_of(tmp_path / "out")) == 21
    assert f"{'long/' * 40}{'ü' * 100}" in tree_of(tmp_path / "out")


@pytest.mark.skipif(not shutil.which("git"), reason="no git here")
def test_an_archive_of_git_is_unpacked(tmp_path):
    git = ["git", "-C", str(tmp_path), "-c", "user.name=x", "-c", "user.email=x"]
    (tmp_path / "a.txt").write_text("a")
    for command in (["init", "-q"], ["add", "a.txt"], ["commit", "-qm", "x"], ["archive", "-o", "x.tar.gz", "HEAD"]):
        subprocess.run([*git, *command], check=True)
    with tarfile.open(tmp_path / "x.tar.gz") as archive:
        assert "comment" in archive.pax_headers
    unpack(tmp_path / "x.tar.gz", tmp_path / "out")
    assert tree_of(tmp_path / "out") == {"a.txt": b"a"}


@pytest.mark.skipif(not shutil.which("tar"), reason="no tar here")
@pytest.mark.parametrize("form", ["gnu", "posix"])
def test_a_sparse_archive_of_tar_is_unpacked(tmp_path, form):
    with (tmp_path / "holes").open("wb") as file:
        for place in range(0, 10_000_000, 500_000):
            file.seek(place)
            file.write(b"x" * 4096)
    command = ["tar", "-C", str(tmp_path), f"--format={form}", "-Sczf", str(tmp_path / "x.tgz"), "holes"]
    subprocess.run(command, check=True)
    unpack(tmp_path / "x.tgz", tmp_path / "out")
    assert (tmp_path / "out" / "holes").read_bytes() == (tmp_path / "holes").read_bytes()


def test_the_memory_does_not_grow_with_the_members(tmp_path):
    """Each has a header of its own, of which none is kept."""
    members = [
        each for n in range(100) for each in (pax(tarfile.XHDTYPE, {"comment": "x" * 500_000}), tar_file(str(n)))
    ]
    archive = write_tar(tmp_path / "x.tar", members)
    tracemalloc.start()
    unpack(archive, tmp_path / "out")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 25_000_000, "50 MB were read, and at the end, in one piece, what follows the last member"


def test_folders_too_deep_are_refused(tmp_path):
    """At 1,500, neither the making nor the removing of them ends well."""
    for name in ("d/" * 1500 + "bad", "d/" * 101 + "bad", "d/" * 1500):
        for archive in (
            write_tar(tmp_path / "x.tar", [tar_file(name) if name.endswith("bad") else tar_directory(name)]),
            write_zip(tmp_path / "x.zip", [zip_file(name)]),
        ):
            with pytest.raises(UserError, match="100 folders deep") as refusal, whole(tmp_path / "out") as part:
                unpack(archive, part)
            assert len(str(refusal.value)) < 1000
            assert not list(tmp_path.glob("*out*"))
    unpack(write_tar(tmp_path / "x.tar", [tar_file("d/" * 100 + "good")]), tmp_path / "deep")
    assert (tmp_path / "deep" / ("d/" * 100) / "good").is_file()


@pytest.mark.parametrize("length", [256, 5000, 500_000])
@pytest.mark.parametrize("form", ["tar", "zip"])
def test_a_name_too_long_is_one_short_sentence(tmp_path, length, form):
    name = "n" * min(length, 65_535 if form == "zip" else length)
    archive = tmp_path / "x"
    write_tar(archive, [tar_file(name)]) if form == "tar" else write_zip(archive, [zip_file(name)])
    with pytest.raises(UserError, match="File name too long") as refusal:
        unpack(archive, tmp_path / "out")
    assert len(str(refusal.value)) < 1000


@pytest.mark.parametrize("name", ["../\x1b[2Jbad", "../a\nb", "../\u202egpj.bad", "../\x9b"])
def test_control_characters_of_a_name_are_escaped(tmp_path, name):
    for archive in (
        write_tar(tmp_path / "x.tar", [tar_file(name)]),
        write_zip(tmp_path / "x.zip", [zip_file(name)]),
    ):
        with pytest.raises(UserError) as refusal:
            unpack(archive, tmp_path / "out")
        assert str(refusal.value).isprintable()
        assert name.encode("unicode_escape").decode() in str(refusal.value)


@pytest.mark.parametrize("mode", MODES)
def test_more_members_than_allowed_are_refused(tmp_path, monkeypatch, mode):
    monkeypatch.setattr(module, "MOST_MEMBERS", len(TREE))
    unpack(write(tmp_path / "enough", mode, TREE), tmp_path / "out")
    refuse(write(tmp_path / "more", mode, TREE | {"bad": b""}), tmp_path / "less", "'bad'", "more than 4 members")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kept", [0.3, 0.9])
def test_a_truncated_archive_is_refused(tmp_path, mode, kept):
    noise = bytes(range(256)) * 100
    archive = write(tmp_path / "archive", mode, {f"{number:03}": noise for number in range(10)})
    content = archive.read_bytes()
    archive.write_bytes(content[: int(len(content) * kept)])
    refuse(archive, tmp_path / "out", "damaged", "fetch it again")


@pytest.mark.parametrize("size", [2 * 1024, 2 * 1024 + 100])
def test_a_tar_cut_between_members_is_not_taken_for_whole(tmp_path, size):
    archive = write(tmp_path / "x.tar", "tar", dict.fromkeys("abc", b"x"))
    archive.write_bytes(archive.read_bytes()[:size])
    refuse(archive, tmp_path / "out", "damaged", "byte 2048")


def test_an_unreadable_header_is_not_taken_for_the_end(tmp_path):
    archive = write(tmp_path / "x.tar", "tar", dict.fromkeys("abc", b"x"))
    content = bytearray(archive.read_bytes())
    content[1024] ^= 0xFF
    archive.write_bytes(content)
    refuse(archive, tmp_path / "out", "damaged", "byte 1024")


@pytest.mark.parametrize("mode", ["tar:gz", "tar:xz", "zip"])
def test_a_wrong_trailing_checksum_is_noticed(tmp_path, mode):
    archive = write(tmp_path / "archive", mode, {"a": b"content" * 100})
    content = bytearray(archive.read_bytes())
    place = {"tar:gz": len(content) - 8, "tar:xz": len(content) - 40, "zip": content.find(b"PK\1\2") + 16}
    content[place[mode]] ^= 0xFF
    archive.write_bytes(content)
    refuse(archive, tmp_path / "out", "damaged")


@pytest.mark.parametrize("content", [b"", b"<html>Not found</html>", b"PK\3\4 and no more"])
def test_what_is_no_archive_is_refused(tmp_path, content):
    (tmp_path / "page.tar.gz").write_bytes(content)
    refuse(tmp_path / "page.tar.gz", tmp_path / "out", "neither tar nor zip")


def test_trouble_with_the_disk_is_told_as_such(tmp_path):
    refuse(tmp_path / "absent.tar", tmp_path / "out", "No such file")
    archive = write(tmp_path / "x.tar", "tar", {"n" * 300: b""})
    refuse(archive, tmp_path / "out", "File name too long")


def test_inside_whole_a_refused_archive_leaves_nothing(tmp_path):
    archive = write_tar(tmp_path / "x.tar", [tar_file("first"), tar_file("../bad")])
    with pytest.raises(UserError, match=re.escape("'../bad'")), whole(tmp_path / "out") as part:
        unpack(archive, part)
    assert list(tmp_path.iterdir()) == [archive]
