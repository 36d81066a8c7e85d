"""What the tests of speed share: a prepared dataset and a plan, both small."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.datasets.base_statistics import count_classes, count_components
from pipeline.learn.settings import Fit, UNet
from pipeline.plumbing.files import write_json
from pipeline.plumbing.labels import IGNORE

CLASSES, SIDE = 3, 32
FIT = Fit(iterations=50, batch_size=2, lr=1e-3, augmentation="none", horizontal_flip=False, validations=4)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Several would wait for each other, and for what else the machine does."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def small(tmp_path, monkeypatch, one_thread) -> Path:
    """A workspace, entered, with the dataset `squares`, whose images show their masks, and the network `tiny`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BENCHMARK_DEVICE", "cpu")
    monkeypatch.delenv("BENCHMARK_WORKERS", raising=False)
    prepared, random = tmp_path / "data" / "prepared" / "squares", np.random.default_rng(0)
    prepared.mkdir(parents=True)
    for split, images in (("train", 6), ("val", 4), ("test", 5)):
        masks = random.integers(0, CLASSES, (images, 4, 4)).repeat(SIDE // 4, 1).repeat(SIDE // 4, 2).astype(np.uint8)
        masks[:, 0] = IGNORE
        noise = random.integers(0, 40, (*masks.shape, 3))
        np.save(prepared / f"{split}_images.npy", (noise + np.minimum(masks, CLASSES)[..., None] * 60).astype(np.uint8))
        np.save(prepared / f"{split}_masks.npy", masks)
    train = np.load(prepared / "train_masks.npy")
    np.save(prepared / "train_class_pixels.npy", pixels := count_classes(train, CLASSES))
    np.save(prepared / "train_class_components.npy", count_components(train, pixels))
    meta = {"classes": ["a", "b", "c"], "image_size": [SIDE, SIDE], "mean": [0.3, 0.3, 0.3], "std": [0.2, 0.3, 0.4]}
    write_json(prepared / "meta.json", meta | {"digest": "squares 1"})
    write_json(prepared / "about.json", {"spacing": [1.0, 1.0]})
    plan = tmp_path / "data" / "plan"
    write_json(plan / "report.json", {"axes": {"dataset": ["squares"], "model": ["tiny"]}})
    write_json(plan / "train" / "dataset" / "squares.json", {"fit": FIT.model_dump()})
    unet = UNet(encoder="tu-resnet10t", depth=3, decoder_width=4)
    write_json(plan / "train" / "model" / "tiny.json", unet.model_dump())
    write_json(plan / "evaluate.json", {"batch_size": 3, "size": "prepared", "tolerance": 2.0})
    return tmp_path
