import os

import pytest

from pipeline.datasets.base_listing import list_images
from pipeline.plumbing.errors import UserError
from pipeline.plumbing.messages import printable


def touch(*paths):
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_files_are_sorted_and_of_any_case(tmp_path):
    names = ["a/2.PNG", "a/10.jpg", "a.tif", "b.JPeG", "c/d/e/f.webp"]
    touch(*(tmp_path / name for name in names))
    found = [path.relative_to(tmp_path).as_posix() for path in list_images(tmp_path).files]
    assert found == ["a/10.jpg", "a/2.PNG", "a.tif", "b.JPeG", "c/d/e/f.webp"]


def test_the_directory_itself_may_be_hidden_or_a_link(tmp_path):
    """A dot in the path to it says nothing about what lies in it."""
    touch(tmp_path / ".store/images/1.png")
    (tmp_path / "link").symlink_to(".store/images")
    for directory in (tmp_path / ".store/images", tmp_path / "link"):
        assert list_images(directory).files == [directory / "1.png"]


def test_a_link_to_a_hidden_folder_is_followed(tmp_path):
    """It is used under the name of the link, which is not hidden."""
    touch(tmp_path / "images/1.png", tmp_path / ".store/2.png")
    (tmp_path / "images/b").symlink_to("../.store")
    assert list_images(tmp_path / "images").files == [tmp_path / "images/1.png", tmp_path / "images/b/2.png"]


def test_two_links_to_one_folder_are_one(tmp_path):
    """Or a photo would be in train and in test. The first by name is followed, on any file system."""
    touch(tmp_path / "images/1.png", tmp_path / "other/2.png", tmp_path / "other/deep/3.png")
    for name, target in {"c": "other", "b": "other", "d": "other/deep"}.items():
        (tmp_path / "images" / name).symlink_to(tmp_path / target)
    listing = list_images(tmp_path / "images")
    assert [path.relative_to(tmp_path / "images").as_posix() for path in listing.files] == [
        "1.png",
        "b/2.png",
        "b/deep/3.png",
    ]
    assert listing.not_used() == f"{tmp_path}/images: folders seen before (2: c, d)"


def test_links_in_a_circle_end(tmp_path):
    touch(tmp_path / "images/1.png", tmp_path / "x/2.png", tmp_path / "y/3.png")
    (tmp_path / "images/x").symlink_to(tmp_path / "x")
    (tmp_path / "x/y").symlink_to(tmp_path / "y")
    (tmp_path / "y/x").symlink_to(tmp_path / "x")
    (tmp_path / "images/loop.png").symlink_to("loop.png")
    listing = list_images(tmp_path / "images")
    assert len(listing.files) == 3
    assert listing.not_used().endswith("broken links or no files (1: loop.png), folders seen before (1: x/y/x)")


def test_what_is_no_file_is_named(tmp_path):
    touch(tmp_path / "1.png")
    os.mkfifo(tmp_path / "2.png")
    assert list_images(tmp_path).not_used() == f"{tmp_path}: broken links or no files (1: 2.png)"


def test_a_folder_that_cannot_be_read_is_an_error_and_not_empty(tmp_path):
    """A path that the system refuses stands for missing rights, which an administrator never misses."""
    deep = tmp_path
    for _ in range(40):
        deep = deep / ("x" * 120)
    with pytest.raises(OSError, match="File name too long"):
        os.listdir(deep)
    (tmp_path / "1.png").touch()
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(40):
        os.mkdir("x" * 120, dir_fd=here)
        inner = os.open("x" * 120, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)
    with pytest.raises(UserError, match=r"x: cannot be read \(File name too long\)\.$"):
        list_images(tmp_path)


@pytest.mark.parametrize("there", [[], ["a.txt"], [".hidden/1.png"]])
def test_a_directory_without_an_image_is_told_with_what_lies_there(tmp_path, there):
    touch(*(tmp_path / name for name in there))
    ends = {"": "It is empty.", "a.txt": "other suffixes (1: a.txt).", ".hidden/1.png": "hidden (1: .hidden)."}
    with pytest.raises(UserError) as error:
        list_images(tmp_path)
    assert str(error.value).startswith(f"{tmp_path}: holds no image, .bmp, .gif, ")
    assert str(error.value).endswith(ends["".join(there)])


def test_names_that_are_not_utf8_are_refused_in_folders_too(tmp_path):
    os.mkdir(os.fsencode(tmp_path) + b"/\xfcber")
    with open(os.fsencode(tmp_path) + b"/\xfcber/1.png", "wb"):
        pass
    with pytest.raises(UserError, match=r"names of 1 files are not UTF-8, .*/\\xfcber/1\.png\. Rename them: `convmv"):
        list_images(tmp_path)


def test_names_that_are_not_utf8_do_not_matter_where_they_are_not_used(tmp_path):
    touch(tmp_path / "1.png")
    with open(os.fsencode(tmp_path) + b"/caf\xe9.txt", "wb"):
        pass
    assert list_images(tmp_path).not_used() == rf"{tmp_path}: other suffixes (1: caf\xe9.txt)"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain/\u00e9\u571f.png", "plain/\u00e9\u571f.png"),
        (os.fsdecode(b"caf\xe9.png"), r"caf\xe9.png"),
        ("\x1b[31m\n", r"\x1b[31m\n"),
        ("gnp\u202ejpg", r"gnp\u202ejpg"),
    ],
)
def test_what_is_printed_can_be_printed(text, shown):
    assert printable(text) == shown
    shown.encode()
