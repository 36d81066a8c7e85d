import os
import shutil

import numpy as np
import pytest
from PIL import Image

from pipeline.datasets.base import SPLITS
from pipeline.datasets.folder import Folder
from pipeline.plumbing import plugins
from pipeline.plumbing.errors import UserError
from pipeline.plumbing.files import read_json
from pipeline.plumbing.labels import IGNORE


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def build(block) -> Folder:
    return plugins.build("datasets", "mine", block, "params.yaml: axes.dataset.mine")


def names_of(block, raw) -> dict[str, list[str]]:
    """The names in each split, after a new download."""
    dataset = build(block)
    shutil.rmtree(raw, ignore_errors=True)
    dataset.download(raw, raw.parent)
    samples = dataset.samples(raw)
    return {split: [str(sample) for sample in samples[split]] for split in SPLITS}


def with_lists(block, tmp_path, **lists):
    """The block with split lists of the given lines."""
    for split, lines in lists.items():
        (tmp_path / f"{split}.txt").write_text("\n".join(lines) + "\n")
    return block | {split: f"{split}.txt" for split in lists}


def test_from_params_to_arrays(own_data, run_stages, tmp_path):
    block = own_data(images=20, void=9) | {"ignore": 9, "image_size": [30, 40]}
    prepared = run_stages(tmp_path, "mine", block)
    names = read_json(prepared / "names.json")
    assert {split: len(names[split]) for split in SPLITS} == {"train": 13, "val": 3, "test": 4}
    image = np.asarray(Image.open(tmp_path / "images" / f"{names['val'][1]}.jpg"))
    mask = np.asarray(Image.open(tmp_path / "masks" / f"{names['val'][1]}.png"))
    assert (np.load(prepared / "val_images.npy")[1] == image).all()
    assert (np.load(prepared / "val_masks.npy")[1] == np.where(mask == 9, IGNORE, mask)).all()
    assert read_json(prepared / "meta.json")["ignored_share"] == pytest.approx(1 / 30)


def test_each_split_gets_images_of_the_rarest_class(own_data, tmp_path):
    names = names_of(own_data(images=20), tmp_path / "raw")
    rare = {split: sum(int(name) % 4 == 0 for name in names[split]) for split in SPLITS}
    assert rare == {"train": 3, "val": 1, "test": 1}


def test_each_fold_gets_images_of_the_rarest_class(own_data, tmp_path):
    """Five of 20 images hold it; the split by lists or by chance leaves no trace."""
    block = own_data(images=20) | {"folds": 5}
    build(block).download(tmp_path / "raw", tmp_path)
    splits = [build(block | {"fold": fold}).splits(tmp_path / "raw") for fold in range(5)]
    tests = [[int(str(pair)) for pair in each["test"]] for each in splits]
    assert sorted(number for each in tests for number in each) == list(range(20))
    assert [sum(number % 4 == 0 for number in each) for each in tests] == [1] * 5


@pytest.mark.parametrize("option", [{"val_share": 0.2}, {"test_share": 0.3}, {"split_seed": 1}])
def test_options_of_the_drawn_split_do_not_act_with_folds(own_data, option):
    name = next(iter(option))
    with pytest.raises(UserError, match=f"'{name}' acts only with folds '0', not with '5'; remove it"):
        build(own_data() | option | {"folds": 5})


def test_the_seed_alone_decides_about_the_split(own_data, tmp_path):
    block = own_data(images=20)
    assert names_of(block, tmp_path / "raw") == names_of(block, tmp_path / "raw")
    assert names_of(block, tmp_path / "raw") != names_of(block | {"split_seed": 1}, tmp_path / "raw")


@pytest.mark.parametrize("images", [3, 4, 7])
def test_few_images_suffice(own_data, tmp_path, images):
    assert all(names_of(own_data(images=images), tmp_path / "raw").values())


def test_split_lists_with_and_without_suffix(own_data, tmp_path):
    block = with_lists(own_data(images=6), tmp_path, train=["03", "00.jpg", "", "01.png"], val=["04"], test=["05"])
    assert names_of(block, tmp_path / "raw") == {"train": ["03", "00", "01"], "val": ["04"], "test": ["05"]}


def test_names_with_dots_and_subdirectories(own_data, tmp_path):
    block = own_data(images=4)
    for old, new in (("images/00.jpg", "images/a/frame.0001.jpg"), ("masks/00.png", "masks/a/frame.0001.png")):
        (tmp_path / new).parent.mkdir()
        (tmp_path / old).rename(tmp_path / new)
    block = with_lists(block, tmp_path, train=["a/frame.0001"], val=["01"], test=["02"])
    assert names_of(block, tmp_path / "raw")["train"] == ["a/frame.0001"]


def test_all_that_does_not_fit_is_named_in_one_error(own_data, tmp_path):
    block = own_data(images=8)
    (tmp_path / "masks/01.png").unlink()
    (tmp_path / "images/02.jpg").unlink()
    shutil.copy(tmp_path / "images/03.jpg", tmp_path / "images/03.jpeg")
    shutil.copy(tmp_path / "images/03.jpg", tmp_path / "images/._04.jpg")  # hidden: not used
    (tmp_path / "images/notes.txt").write_text("not an image: not used")
    block = with_lists(block, tmp_path, train=["04", "05", "nowhere"], val=["05"], test=["06", "06"])
    with pytest.raises(UserError) as error:
        names_of(block, tmp_path / "raw")
    assert str(error.value).split("\n") == [
        "images and masks do not fit together; 6 problems:",
        "train.txt: nowhere: no such image",
        "05: named more than once: in train.txt, val.txt",
        "06: named more than once: in test.txt, test.txt",
        "01: image without mask",
        "02: mask without image",
        "03: several files of this name: images/03.jpeg, images/03.jpg",
        "Not used: images: hidden (1: ._04.jpg), other suffixes (1: notes.txt).",
    ]


def test_all_unusable_files_are_named_in_one_error(own_data, run_stages, tmp_path):
    block = own_data(images=12)
    truncated = tmp_path / "images/01.jpg"
    truncated.write_bytes(truncated.read_bytes()[:600])
    Image.new("L", (7, 5)).save(tmp_path / "masks/02.png")
    Image.new("L", (40, 30), 77).save(tmp_path / "masks/03.png")
    Image.new("RGB", (40, 30)).save(tmp_path / "masks/04.png")
    (tmp_path / "masks/05.png").write_bytes(b"")
    with pytest.raises(UserError) as error:
        run_stages(tmp_path, "mine", block)
    title, *faults = str(error.value).split("\n")
    assert title == "data/raw/mine: 5 samples cannot be used:"
    assert sorted(faults) == [
        "01: images/01.jpg: Truncated File Read.",
        "02: image of (30, 40) and mask of (5, 7) pixels (height, width).",
        "03: masks/03.png: holds the values 77; allowed are 0, 1, 2, 255.",
        "04: masks/04.png: a mask has one channel of class indices, this file is RGB.",
        "05: masks/05.png: not an image of a known format, or damaged from its first bytes.",
    ]
    assert not (tmp_path / "data/prepared/mine").exists()


def test_manifest_knows_every_file(own_data, tmp_path):
    block = with_lists(own_data(images=4), tmp_path, train=["00"], val=["01"], test=["02"])
    names_of(block, tmp_path / "raw")
    before = read_json(tmp_path / "raw/manifest.json")
    assert {role: len(before[role]) for role in before} == {"images": 4, "masks": 4, "lists": 3}
    (tmp_path / "train.txt").write_text("03\n")
    names_of(block, tmp_path / "raw")
    after = read_json(tmp_path / "raw/manifest.json")
    assert [role for role in before if before[role] != after[role]] == ["lists"]


def test_source_changes_with_the_files(own_data, tmp_path):
    dataset = build(own_data(images=4))
    before = dataset.source()
    assert dataset.source() == before
    os.utime(tmp_path / "masks/00.png", (1, 1))
    assert dataset.source() != before


@pytest.mark.parametrize("change", [{"images": "imagse"}, {"masks": "nowhere"}])
def test_missing_directories_are_noticed_by_check(own_data, change):
    with pytest.raises(UserError, match=f"{next(iter(change.values()))}: no such directory"):
        build(own_data(images=1) | change).source()


def test_missing_lists_are_noticed_by_check(own_data, tmp_path):
    block = with_lists(own_data(images=1), tmp_path, train=["00"]) | {"val": "b.txt", "test": "c.txt"}
    with pytest.raises(UserError, match=r"^b.txt, c.txt: no such split list"):
        build(block).source()


@pytest.mark.parametrize("masks", ["images", "./images/", "other/../images", "link"])
def test_one_directory_for_images_and_masks_is_refused_by_check(own_data, tmp_path, masks):
    block = own_data(images=3)
    (tmp_path / "link").symlink_to("images")
    (tmp_path / "other").mkdir()
    with pytest.raises(
        UserError, match=r"^images: is the directory of both images and masks\. Give masks their own\.$"
    ):
        build(block | {"masks": masks}).source()


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "utf-16-le", "utf-32"])
def test_a_split_list_that_is_not_utf8_is_refused_by_check_in_one_sentence(own_data, tmp_path, encoding):
    block = with_lists(own_data(images=3), tmp_path, train=["00"], val=["01"], test=["02"])
    (tmp_path / "val.txt").write_text("café\n01\n", encoding)
    said = r"^val\.txt: is no text in UTF-8, as split lists must be\. Save it in that encoding\.$"
    with pytest.raises(UserError, match=said):
        build(block).source()


def test_a_line_that_is_the_name_of_a_file_means_this_file(own_data, tmp_path):
    """Not the one whose name it is but for the suffix, which still can be given whole."""
    block = own_data(images=4)
    shutil.copy(tmp_path / "images/00.jpg", tmp_path / "images/00.jpg.jpg")
    shutil.copy(tmp_path / "masks/00.png", tmp_path / "masks/00.jpg.png")
    block = with_lists(block, tmp_path, train=["00.jpg"], val=["00.jpg.jpg"], test=["02"])
    assert names_of(block, tmp_path / "raw") == {"train": ["00"], "val": ["00.jpg"], "test": ["02"]}


def test_control_characters_of_directories_do_not_reach_the_terminal(own_data, tmp_path, capsys):
    block = own_data(images=3) | {"images": "im\x1b[31mages", "masks": "ma\nsks"}
    (tmp_path / "images").rename(tmp_path / block["images"])
    (tmp_path / "masks").rename(tmp_path / block["masks"])
    (tmp_path / block["images"] / "notes.txt").touch()
    dataset = build(block)
    dataset.download(tmp_path / "raw", tmp_path)
    images, masks = r"im\x1b[31mages", r"ma\nsks"
    not_used = f"Not used: {images}: other suffixes (1: notes.txt)."
    assert capsys.readouterr().out == f"{images}, {masks}: 3 pairs are used. {not_used}\n"
    assert dataset.review({"00": {0, IGNORE}, "01": {1}}).startswith(f"{masks}: 1 of 2 masks hold 255")
    (tmp_path / block["masks"] / "00.png").unlink()
    with pytest.raises(UserError) as error:
        dataset.download(tmp_path / "raw", tmp_path)
    assert str(error.value).startswith(f"{images} and {masks} do not fit together; 1 problems:\n00: image without mask")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classes": ["cell"]}, "two or more different names"),
        ({"classes": ["cell", "cell"]}, "two or more different names"),
        ({"classes": [str(index) for index in range(256)]}, "at most 255"),
        ({"ignore": 1}, "ignore: 1 is the index of the class 'class 1'"),
        ({"train": "train.txt"}, "all of the split lists"),
        ({"val_share": 0.5, "test_share": 0.5}, "must leave images to train on"),
        ({"unit": "\x1b[31mmm"}, "holds what cannot be printed; remove it"),
        ({"unit": "m\nm"}, "holds what cannot be printed; remove it"),
        ({"clases": []}, "clases: unknown key. Did you mean 'classes'"),
    ],
)
def test_options_that_make_no_sense_are_refused(own_data, change, message):
    with pytest.raises(UserError, match=message):
        build(own_data(images=1) | change)


def test_description_restores_the_dataset(own_data):
    dataset = build(own_data(images=1))
    assert plugins.restore("datasets", dataset.described(), "test") == dataset
