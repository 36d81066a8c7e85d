"""What becomes of a person's odd folders, through the real stages."""

import os

import numpy as np
import pytest
from PIL import Image

from pipeline.datasets.base_files import read_mask
from pipeline.plumbing import plugins
from pipeline.plumbing.errors import UserError
from pipeline.plumbing.files import read_json
from pipeline.plumbing.labels import IGNORE
from tests.datasets import odd_folders


@pytest.fixture
def stages(tmp_path, run_stages):
    """A function that makes a folder of a kind and runs `download` and `prepare` on it."""

    def run(kind: str, **options):
        return run_stages(tmp_path, "mine", odd_folders.make(kind, tmp_path) | options)

    return run


def source(block):
    """What `check` asks."""
    return plugins.build("datasets", "mine", block, "params.yaml: axes.dataset.mine").source()


def names_in(prepared) -> list[str]:
    return sorted(name for names in read_json(prepared / "names.json").values() for name in names)


SIXTEEN = "has 16 bits in each band, and what is more than 8 bits would be cut; convert it to 8 bits, scaled as your data need it."
PAGES = "holds 2 frames or pages, and one is used; save the right one in a file of its own."
TURNED = "is shown turned by 180 degrees (EXIF orientation 3); if masks are drawn on photos as shown, turn the pixels (`magick mogrify -auto-orient`), if on the pixels as stored, remove the tag (`exiftool -Orientation=`)."
HUGE = "has 20100 x 10000 pixels, 201.0 megapixels, and at most 200 are read; cut image and mask into tiles, or make both smaller."
FLOAT = "a TIFF file of 3 bands of 32-bit floating-point values, a format that is not supported; convert it to 8-bit RGB or grey."


@pytest.mark.parametrize(
    ("kind", "count", "first"),
    [
        ("rgb16", 12, f"00: images/00.png: {SIXTEEN}"),
        ("pages", 12, f"00: images/00.tif: {PAGES}"),
        ("mask_frames", 12, f"00: masks/00.gif: {PAGES}"),
        ("exif_180", 12, f"00: images/00.jpg: {TURNED}"),
        ("float_tiff", 12, f"00: images/00.tif: {FLOAT}"),
        ("huge", 1, f"00: images/00.ppm: {HUGE}"),
    ],
)
def test_files_that_would_be_read_in_part_are_refused_each_by_name(stages, tmp_path, kind, count, first):
    with pytest.raises(UserError) as error:
        stages(kind)
    title, *faults = str(error.value).split("\n")
    assert title == f"data/raw/mine: {count} samples cannot be used:"
    assert len(faults) == count
    assert min(faults) == first
    assert not (tmp_path / "data/prepared/mine").exists()


NO_IMAGE = "images: holds no image, .bmp, .gif, .jpeg, .jpg, .png, .ppm, .tif, .tiff, .webp, nor do its subfolders."
TOO_FEW = "but train, val and test need one each, at least 3 in all. Add images with their masks."


@pytest.mark.parametrize("options", [{}, {"folds": 3}])
@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("latin1_names", "images: names of 12 files are not UTF-8, which tables and reports are written in: images/caf\\xe900.png, images/caf\\xe901.png, images/caf\\xe902.png, and 9 more. Rename them: `convmv -f latin1 -t utf8 -r --notest images`."),
        ("empty", f"{NO_IMAGE} It is empty."),
        ("nothing_but_arrays", f"{NO_IMAGE} What lies there is not used: images: other suffixes (12: 00.npy, 01.npy, 02.npy, 03.npy, and 8 more)."),
        ("two_pairs", f"images: holds 2 images, {TOO_FEW}"),
        ("one_pair", f"images: holds 1 image, {TOO_FEW}"),
    ],
)  # fmt: skip
def test_what_names_tell_is_refused_by_check_in_one_sentence(tmp_path, monkeypatch, kind, sentence, options):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as error:
        source(odd_folders.make(kind, tmp_path) | options)
    assert str(error.value) == sentence
    str(error.value).encode()


@pytest.mark.parametrize("kind", ["latin1_names", "empty", "two_pairs"])
def test_download_refuses_it_as_well(stages, tmp_path, kind):
    """Whoever runs it by hand, or has emptied the folder since."""
    with pytest.raises(UserError, match=r"^images: (names|holds)"):
        stages(kind)
    assert not (tmp_path / "data/raw/mine").exists()


HIDDEN, SEEN, GONE, OTHER = (
    f"Not used: images: {each}; masks: {each}."
    for each in (
        "hidden (2: ._00.png, .ipynb_checkpoints)",
        "folders seen before (4: a, m, self, up)",
        "broken links or no files (1: gone.png)",
        "other suffixes (3: 20.jp2, 21.JP2, notes.txt)",
    )
)


@pytest.fixture
def downloaded(tmp_path, run_stages, monkeypatch):
    """A function that makes a folder of a kind, runs `download` on it and returns the names of the samples."""

    def run(kind: str) -> list[str]:
        block = odd_folders.make(kind, tmp_path)
        run_stages(tmp_path, "mine", block, stages=("download",))
        monkeypatch.chdir(tmp_path)
        samples = plugins.build("datasets", "mine", block, "test").samples(tmp_path / "data/raw/mine")
        return sorted(str(sample) for split in samples for sample in samples[split])

    return run


@pytest.mark.parametrize(
    ("kind", "count", "rest"),
    [
        ("plain", 12, ""),
        ("hidden_folder_pairs", 12, HIDDEN),
        ("linked_subfolder", 20, ""),
        ("links_in_circles", 15, SEEN),
        ("linked_files", 12, GONE),
        ("unknown_suffixes", 12, OTHER),
        ("two_unicode_forms", 12, ""),
        ("signs_in_names", 12, ""),
        ("some_in_lists", 5, "7 more are in no split list."),
    ],
)
def test_one_line_says_what_is_used_and_what_is_not(downloaded, capsys, kind, count, rest):
    names = downloaded(kind)
    line = capsys.readouterr().out.splitlines()[0]
    assert line == f"images, masks: {count} pairs are used. {rest}".rstrip()
    assert len(names) == count
    assert not [name for name in names if "/." in f"/{name}"]


def test_each_folder_is_taken_where_it_lies_and_not_where_links_lead_to_it(downloaded):
    assert [name for name in downloaded("links_in_circles") if "/" in name] == ["z/00", "z/01", "z/02"]


def test_an_image_finds_the_mask_of_the_other_unicode_form(downloaded):
    """The names of the samples are those of the images."""
    assert downloaded("two_unicode_forms") == [f"caf\u00e9{index:02}" for index in range(12)]


@pytest.mark.parametrize("kind", ["hidden_folder_pairs", "two_unicode_forms", "signs_in_names"])
def test_odd_names_go_through_prepare(stages, kind):
    assert len(names_in(stages(kind))) == 12


def test_two_images_whose_names_look_the_same_are_refused(tmp_path, monkeypatch, run_stages):
    block = odd_folders.make("two_unicode_forms", tmp_path)
    image = tmp_path / "images" / "caf\u00e900.png"
    image.with_name("cafe\u030100.png").write_bytes(image.read_bytes())
    with pytest.raises(UserError, match="1 problems:\ncaf\u00e900: several files of this name: "):
        run_stages(tmp_path, "mine", block)


def test_what_does_not_pair_is_told_with_what_was_not_looked_at(tmp_path, run_stages):
    """A mask whose image has a suffix that is not read."""
    block = odd_folders.make("plain", tmp_path)
    (tmp_path / "images/03.png").rename(tmp_path / "images/03.jp2")
    with pytest.raises(UserError) as error:
        run_stages(tmp_path, "mine", block, stages=("download",))
    assert str(error.value).split("\n")[1:] == [
        "03: mask without image",
        "Not used: images: other suffixes (1: 03.jp2).",
    ]


def test_control_characters_of_names_do_not_reach_the_terminal(tmp_path, run_stages):
    block = odd_folders.make("signs_in_names", tmp_path)
    for path in odd_folders.files(tmp_path, "masks", 6):
        path.write_bytes(b"")
    with pytest.raises(UserError) as error:
        run_stages(tmp_path, "mine", block)
    _, *faults = str(error.value).split("\n")
    assert sorted(faults)[0].startswith(r"\x1b[31m00\n<b>': masks/\x1b[31m00\n<b>'.png: not an image")
    assert len(faults) == 2


def test_source_knows_of_changes_behind_links(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    block = odd_folders.make("linked_subfolder", tmp_path)
    before = source(block)
    os.utime(tmp_path / "other/masks/03.png", (1, 1))
    touched = source(block)
    Image.new("RGB", (32, 24)).save(tmp_path / "other/images/99.png")
    assert len({each["listing"] for each in (before, touched, source(block))}) == 3


def test_source_does_not_change_with_what_is_not_used(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    block = odd_folders.make("plain", tmp_path)
    before = source(block)
    (tmp_path / "images/.DS_Store").write_text("x")
    (tmp_path / "masks/notes.txt").write_text("x")
    assert source(block) == before


def void_sentence(count: int, value: int, names: str) -> str:
    return (
        f"masks: {count} of 12 masks hold {value} but no class besides 'wall' ({names}), and `ignore: {value}` makes "
        f"{value} void, neither trained on nor judged. If it stands for a class, write the index of the class in its "
        "place in these files, 1 for 'crack'."
    )


@pytest.mark.parametrize(
    ("kind", "value"), [("masks_0_255", 255), ("masks_0_9_ignoring_9", 9), ("all_void", 255), ("void_or_nothing", 255)]
)
@pytest.mark.parametrize("options", [{}, {"folds": 3}])
def test_a_dataset_whose_foreground_is_void_is_refused_with_the_cure(stages, kind, value, options):
    with pytest.raises(UserError) as error:
        stages(kind, **options)
    count, names = (6, "00, 02, 04, and 3 more") if kind == "void_or_nothing" else (12, "00, 01, 02, and 9 more")
    assert str(error.value) == void_sentence(count, value, names)


def test_masks_of_void_beside_others_are_a_warning(stages, capsys):
    """Half of the foreground: a negative image with a void margin looks the same, so it is no error."""
    stages("masks_0_255_half")
    assert capsys.readouterr().err == f"warning: {void_sentence(6, 255, '00, 02, 04, and 3 more')}\n"


@pytest.mark.parametrize("kind", ["plain", "void_beside_classes", "negatives"])
def test_void_where_it_belongs_is_no_warning(stages, capsys, kind):
    """Borders around objects as in Pascal VOC; images without any object and without void."""
    prepared = stages(kind)
    assert capsys.readouterr().err == ""
    assert (read_json(prepared / "meta.json")["ignored_share"] > 0) == (kind == "void_beside_classes")


def test_the_cure_works(tmp_path, run_stages):
    block = odd_folders.make("masks_0_255", tmp_path)
    for path in odd_folders.files(tmp_path, "masks"):
        Image.fromarray(np.asarray(Image.open(path)) // 255).save(path)
    assert read_json(run_stages(tmp_path, "mine", block) / "meta.json")["ignored_share"] == 0


LOST = r"no pixel of the train split is of class crack, so it cannot be learned: 8 train images hold it and lose it when they are resized to `image_size: {}`; set (.*) or more, where all of them keep it\."


@pytest.mark.parametrize("size", [32, [24, 48]])
def test_a_class_lost_by_resizing_is_told_with_the_size_that_keeps_it(stages, tmp_path, run_stages, size):
    """And that size does."""
    with pytest.raises(UserError, match=LOST.format(str(size).replace("[", r"\[").replace("]", r"\]"))) as error:
        stages("thin_lost", image_size=size)
    words = str(error.value).partition("set ")[2].partition(" or more")[0]
    enough = [int(word) for word in words.strip("[]").split(",")]
    enough = enough[0] if isinstance(size, int) else enough
    block = odd_folders.OPTIONS | {"image_size": enough}
    prepared = run_stages(tmp_path, "mine", block)
    assert read_json(prepared / "meta.json")["image_frequency"] == [1, 1]


def test_images_that_lose_a_class_are_counted(stages, capsys):
    stages("thin_lost_in_some")
    said = "Resized to 32 x 32, images lose every pixel of crack (2 of 12). A larger `image_size` or tiles keep them."
    assert said in capsys.readouterr().out.splitlines()


def test_a_split_that_loses_a_class_is_named(stages, capsys):
    """Train keeps it, so the benchmark goes on."""
    stages("thin_in_val", image_size=32)
    said = "Resized to 32 x 32, images lose every pixel of crack (2 of 12). None is left of crack in val. A larger `image_size` or tiles keep them."
    assert said in capsys.readouterr().out.splitlines()


def test_a_class_that_val_alone_holds_is_a_matter_of_the_split(stages):
    with pytest.raises(UserError) as error:
        stages("class_of_val_alone")
    assert str(error.value) == (
        "no pixel of the train split is of class stain, so it cannot be learned: 1 of the val and test images hold it; "
        "split so that train has some of it."
    )


@pytest.mark.parametrize("name", ["", " "])
def test_a_class_without_a_name_is_refused_when_the_entry_is_read(tmp_path, name):
    with pytest.raises(
        UserError, match=rf"^params.yaml: axes.dataset.mine: classes: the name of class 1, '{name}', is empty"
    ):
        source(odd_folders.make("plain", tmp_path) | {"classes": ["wall", name]})


def test_the_arrays_are_those_of_the_files(stages, tmp_path):
    """Behind a link, too."""
    prepared = stages("linked_subfolder", image_size=[24, 32])
    names = read_json(prepared / "names.json")["train"]
    linked = next(name for name in names if name.startswith("b/"))
    mask = np.load(prepared / "train_masks.npy")[names.index(linked)]
    np.testing.assert_array_equal(mask, read_mask(tmp_path / "masks" / f"{linked}.png", {0: 0, 1: 1, 255: IGNORE}))
