import shutil
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from pipeline.datasets.base_files import read_image
from pipeline.datasets.oxford_pets import OxfordPets
from pipeline.plumbing import prepared
from pipeline.plumbing.errors import UserError
from pipeline.plumbing.files import read_json
from pipeline.plumbing.labels import IGNORE

CHECKSUMS = {"images": "md5:3ee30527c2e7d117bf0dde008a68b0b3", "annotations": "md5:b585ea2dae49bb61f4ac8d6bb1c02bf8"}


@pytest.fixture(scope="module")
def block(real_archives):
    folder = f"{real_archives}/oxford_pets_3breeds"
    archives = [{"url": f"{folder}/{name}.tar.gz", "checksum": CHECKSUMS[name]} for name in CHECKSUMS]
    return {"kind": "oxford_pets", "image_size": 64, "archives": archives}


@pytest.fixture(scope="module")
def root(block, run_stages, tmp_path_factory):
    """A directory with three breeds, downloaded once and prepared for both tasks."""
    root = tmp_path_factory.mktemp("pets")
    run_stages(root, "pets", block)
    (root / "data/raw/trimap").symlink_to(root / "data/raw/pets")
    run_stages(root, "trimap", block | {"task": "trimap"}, stages=("prepare",))
    return root


@pytest.fixture(scope="module")
def raw(root):
    return root / "data/raw/pets"


def test_official_test_split_and_a_val_split_of_the_rest(root):
    names = read_json(root / "data/prepared/pets/names.json")
    assert {split: len(names[split]) for split in names} == {"train": 270, "val": 30, "test": 298}
    assert len(set(names["train"]) | set(names["val"]) | set(names["test"])) == 598
    official = (root / "data/raw/pets/annotations/test.txt").read_text().split("\n")
    assert names["test"] == [line.split()[0] for line in official if line]


def test_val_split_has_its_share_of_each_breed(root):
    names = read_json(root / "data/prepared/pets/names.json")["val"]
    assert (
        sorted(name.rpartition("_")[0] for name in names)
        == ["Abyssinian"] * 10 + ["Bengal"] * 10 + ["american_bulldog"] * 10
    )


def test_each_fold_has_its_share_of_each_breed(raw):
    """198 to 200 images of each in the pool of train, val and test."""
    splits = [OxfordPets(folds=5, fold=fold).splits(raw) for fold in range(5)]
    tested = [str(pair) for each in splits for pair in each["test"]]
    assert len(tested) == len(set(tested)) == 598
    for each in splits:
        breeds = Counter(str(pair).rpartition("_")[0] for pair in each["test"])
        assert len(breeds) == 3
        assert all(39 <= count <= 40 for count in breeds.values())


@pytest.mark.parametrize("option", [{"val_share": 0.2}, {"split_seed": 1}])
def test_options_of_the_official_split_do_not_act_with_folds(option):
    name = next(iter(option))
    with pytest.raises(UserError, match=f"'{name}' acts only with folds '0', not with '5'; remove it"):
        OxfordPets.read(option | {"folds": 5}, "test")


def test_masks_of_the_archive_can_be_judged_by(root, raw):
    """298 of many sizes, each as it is in its file."""
    place = root / "data/prepared/pets"
    pairs = OxfordPets().samples(raw)["test"]
    masks = prepared.read_test_masks(place, "original")
    for pair, mask in zip(pairs, masks, strict=True):
        np.testing.assert_array_equal(mask, OxfordPets().load(pair)[1])
    sizes = [(image.height, image.width) for image in prepared.read_test_images(place)]
    assert sizes == [mask.shape for mask in masks]
    assert len(set(sizes)) > 50
    spacing = prepared.read_test_spacing(place, "prepared")
    assert spacing == [(height / 64, width / 64) for height, width in sizes]


def test_arrays_have_not_moved(root):
    """A record, so that whoever changes how files are read sees what it changes."""
    assert read_json(root / "data/prepared/pets/meta.json")["digest"] == "aeb8d9c2a73b3d02f6c8a0f66b042544"


def test_frequencies_are_those_of_the_files(root):
    """Of all pixels 26.7 % are animal, 61.3 % background, 12.0 % border; the train split alone differs a little."""
    meta = read_json(root / "data/prepared/trimap/meta.json")
    assert meta["classes"] == ["background", "animal", "border"]
    assert meta["pixel_frequency"] == pytest.approx([0.613, 0.267, 0.120], abs=0.03)
    assert meta["ignored_share"] == 0
    binary = read_json(root / "data/prepared/pets/meta.json")
    assert binary["classes"] == ["background", "animal"]
    assert binary["ignored_share"] == pytest.approx(meta["pixel_frequency"][2], abs=1e-9)


def test_one_pixel_of_each_value(raw):
    trimap = np.asarray(Image.open(raw / "annotations/trimaps/Bengal_10.png"))
    pair = next(pair for split in OxfordPets().samples(raw).values() for pair in split if pair.name == "Bengal_10")
    expected = {"binary": {1: 1, 2: 0, 3: IGNORE}, "trimap": {1: 1, 2: 0, 3: 2}}
    for task, codes in expected.items():
        image, mask = OxfordPets(task=task).load(pair)
        assert image.shape == (*trimap.shape, 3)
        for value, index in codes.items():
            y, x = np.argwhere(trimap == value)[0]
            assert mask[y, x] == index


@pytest.mark.parametrize(("name", "format"), [("Abyssinian_34", "GIF"), ("Abyssinian_5", "PNG")])
def test_mislabelled_files_are_read_by_content(raw, name, format):
    path = raw / "images" / f"{name}.jpg"
    with Image.open(path) as image:
        assert image.format == format
        colour = image.convert("RGBA").getpixel((10, 20))[:3]
    pixels = read_image(path)
    assert pixels.shape[2] == 3
    assert tuple(pixels[20, 10]) == colour


def test_missing_files_are_all_named(raw, tmp_path):
    shutil.copytree(raw / "annotations", tmp_path / "annotations")
    (tmp_path / "images").mkdir()
    (tmp_path / "annotations/trimaps/Bengal_10.png").unlink()
    with pytest.raises(UserError, match="599 files of the split lists are missing") as error:
        OxfordPets().samples(tmp_path)
    assert "images/Abyssinian_100.jpg" in str(error.value)
    assert "and 549 more" in str(error.value)


def test_missing_and_broken_split_lists(tmp_path):
    with pytest.raises(UserError, match=r"trainval.txt: the split list cannot be read"):
        OxfordPets().samples(tmp_path)
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations/trainval.txt").write_text("# a comment\nBengal_1 6 1\n")
    with pytest.raises(UserError, match=r"trainval.txt: each line must hold"):
        OxfordPets().samples(tmp_path)


def test_official_archives_carry_checksums_and_mirrors():
    images, annotations = OxfordPets.official_archives
    assert images.size == 791918971
    assert images.checksum.startswith("sha256:67195c5e")
    assert annotations.checksum == "md5:95a8c909bbe2e81eed6a22bccdf3f68f"
    assert all(archive.mirrors[0].startswith("https://thor.robots.ox.ac.uk/") for archive in (images, annotations))


def test_archives_that_would_have_the_same_file_name_are_refused_by_check():
    """Also where only some file systems take them for one."""
    urls = ("https://host/images/content", "https://host/annotations/Content")
    archives = [{"url": url, "checksum": f"md5:{32 * '0'}"} for url in urls]
    with pytest.raises(
        UserError, match=r"archives: several end in the file name 'content'; each needs one of its own\."
    ):
        OxfordPets.read({"archives": archives}, "test")
