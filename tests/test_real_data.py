"""The whole graph on real images, fetched from a real server: few iterations, every stage."""

import json

import numpy as np
import pandas as pd
from PIL import Image

from tests.miniature import Miniature

PETS = [
    ("images.tar.gz", "md5:3ee30527c2e7d117bf0dde008a68b0b3"),
    ("annotations.tar.gz", "md5:b585ea2dae49bb61f4ac8d6bb1c02bf8"),
]
CAMVID = [("camvid_half.tar", "md5:ed6deb3d49dcc448716e4085308eff21")]
FIT = {"iterations": 3, "batch_size": 4, "validations": 1}


def archives(address: str, files: list[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"url": f"{address}/{name}", "checksum": checksum} for name, checksum in files]


def finished(workspace: Miniature, dataset: dict, losses: dict, strategies: dict) -> pd.DataFrame:
    """The leaderboard of a workspace that compares these on one dataset."""
    workspace.edit_params(axes__dataset=dataset, axes__loss=losses, axes__strategy=strategies, fit=FIT)
    workspace.run("pipeline.run", "-j", "2")
    assert workspace.status() == set()
    return pd.read_csv(workspace.root / "results" / "leaderboard.csv")


def test_oxford_pets_from_its_archives_to_a_leaderboard(tmp_path, real_archives):
    workspace = Miniature.create(tmp_path / "work")
    entry = {"image_size": 64, "archives": archives(f"{real_archives}/oxford_pets_3breeds", PETS)}
    board = finished(
        workspace, {"oxford_pets": entry}, {"cross_entropy": {}, "dice": {}}, {"none": {}, "class_weights": {}}
    )
    assert len(board) == 4
    assert board["miou"].between(0.05, 1).all()
    counts = pd.read_parquet(next((workspace.root / "results" / "counts").iterdir()))
    assert counts["image"].nunique() == 298


def test_camvid_at_a_size_that_no_encoder_divides(tmp_path, real_archives):
    workspace = Miniature.create(tmp_path / "work")
    entry = {"image_size": [90, 120], "archives": archives(f"{real_archives}/camvid_half", CAMVID)}
    board = finished(workspace, {"camvid": entry}, {"cross_entropy": {}}, {"none": {}})
    assert board["miou"].between(0, 1).all()
    counts = pd.read_parquet(next((workspace.root / "results" / "counts").iterdir()))
    assert counts["image"].nunique() == 233
    masks = np.load(workspace.root / "data/prepared/camvid/test_masks.npy")
    assert masks.shape == (233, 90, 120)
    assert counts[["tp", "fn"]].sum().sum() == (masks != 255).sum(), "void is not judged"


def test_a_folder_of_ones_own(tmp_path, real_data):
    """The pets again, as a person would keep them: images, and masks of class indices."""
    import tarfile

    folder = {kind: tmp_path / "mine" / kind for kind in ("images", "masks")}
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
    workspace = Miniature.create(tmp_path / "work")
    entry = {"kind": "folder", "images": "../mine/images", "masks": "../mine/masks", "classes": ["background", "cat"]}
    board = finished(workspace, {"cats": {**entry, "image_size": 48}}, {"cross_entropy": {}}, {"none": {}})
    assert board["dataset"].tolist() == ["cats"]
    names = json.loads((workspace.root / "data/prepared/cats/names.json").read_text())
    assert {split: len(each) for split, each in names.items()} == {"train": 20, "val": 4, "test": 6}
