"""The whole graph on real images, fetched from a real server: few iterations, every stage."""

import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipeline.plumbing.prepared import read_test_masks
from tests.miniature import Miniature

pytestmark = pytest.mark.xdist_group("real data")

PETS = [
    ("images.tar.gz", "md5:3ee30527c2e7d117bf0dde008a68b0b3"),
    ("annotations.tar.gz", "md5:b585ea2dae49bb61f4ac8d6bb1c02bf8"),
]
CAMVID = [("camvid_half.tar", "md5:ed6deb3d49dcc448716e4085308eff21")]
FIT = {"iterations": 3, "batch_size": 4, "validations": 1}


def archives(address: str, files: list[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"url": f"{address}/{name}", "checksum": checksum} for name, checksum in files]


def folder_of_cats(real_data: Path, root: Path) -> dict[str, Any]:
    """The pets again, as a person would keep them: images, and masks of class indices."""
    folder = {kind: root / "mine" / kind for kind in ("images", "masks")}
    for place in folder.values():
        place.mkdir(parents=True)
    with (
        tarfile.open(real_data / "oxford_pets_3breeds" / "images.tar.gz") as images,
        tarfile.open(real_data / "oxford_pets_3breeds" / "annotations.tar.gz") as annotations,
    ):
        for index in range(100, 130):
            name = f"Abyssinian_{index}"
            Image.open(images.extractfile(f"images/{name}.jpg")).convert("RGB").save(folder["images"] / f"{name}.jpg")
            trimap = np.array(Image.open(annotations.extractfile(f"annotations/trimaps/{name}.png")))
            Image.fromarray(np.choose(trimap - 1, [1, 0, 255]).astype(np.uint8)).save(folder["masks"] / f"{name}.png")
    entry = {"kind": "folder", "images": "../mine/images", "masks": "../mine/masks", "classes": ["background", "cat"]}
    return {**entry, "image_size": 48}


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory, real_data, real_archives) -> Miniature:
    """One benchmark of all three, run to its end."""
    root = tmp_path_factory.mktemp("real")
    workspace = Miniature.create(root / "work")
    datasets = {
        "oxford_pets": {"image_size": 64, "archives": archives(f"{real_archives}/oxford_pets_3breeds", PETS)},
        "camvid": {"image_size": [90, 120], "archives": archives(f"{real_archives}/camvid_half", CAMVID)},
        "cats": folder_of_cats(real_data, root),
    }
    strategies = {"none": {}, "rare_class_sampling": {}}
    workspace.edit_params(axes__dataset=datasets, axes__loss={"cross_entropy": {}}, axes__strategy=strategies, fit=FIT)
    workspace.dvc("repro")
    return workspace


def counts(workspace: Miniature, dataset: str) -> pd.DataFrame:
    return pd.read_parquet(workspace.root / f"results/counts/{dataset}-unet_tiny-cross_entropy-none-0/classes.parquet")


def test_all_come_from_their_archives_to_one_leaderboard(benchmark):
    assert benchmark.status() == set()
    board = pd.read_csv(benchmark.root / "results" / "leaderboard.csv")
    assert board.groupby("dataset", sort=False).size().to_dict() == {"oxford_pets": 2, "camvid": 2, "cats": 2}
    assert board["miou"].between(0, 1).all()


def test_oxford_pets_has_its_official_test_split(benchmark):
    assert counts(benchmark, "oxford_pets")["image"].nunique() == 298


def test_camvid_at_a_size_that_no_encoder_divides(benchmark):
    found = counts(benchmark, "camvid")
    assert found["image"].nunique() == 233
    masks = np.load(benchmark.root / "data/prepared/camvid/test_masks.npy")
    assert masks.shape == (233, 90, 120)
    assert found[["tp", "fn"]].sum().sum() == (masks != 255).sum(), "void is not judged"


@pytest.mark.slow  # a minute of counting; tests/plumbing and tests/learn have it on a few images
def test_every_pixel_of_the_original_masks_is_judged_at_the_original_size(benchmark, tmp_path):
    """Oxford pets differ in size, and one model is enough to see it."""
    workspace = benchmark.copy(tmp_path / "work")
    for cell in (workspace.root / "models").iterdir():
        if cell.name != "oxford_pets-unet_tiny-cross_entropy-none-0":
            shutil.rmtree(cell)
    workspace.edit_params(eval__size="original", axes__dataset__cats=None)  # its images lie beside the workspace
    for stage in ("check", "evaluate"):
        workspace.run(f"pipeline.{stage}")
    found = counts(workspace, "oxford_pets").groupby("image")[["tp", "fn"]].sum().sum(axis=1)
    masks = read_test_masks(workspace.root / "data/prepared/oxford_pets", "original")
    assert len({masks[at].shape for at in range(20)}) > 5
    assert found.tolist() == [int((masks[at] != 255).sum()) for at in range(len(masks))]


def test_a_folder_of_ones_own_is_split(benchmark):
    names = json.loads((benchmark.root / "data/prepared/cats/names.json").read_text())
    assert {split: len(each) for split, each in names.items()} == {"train": 20, "val": 4, "test": 6}
