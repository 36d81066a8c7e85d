"""A small dataset that is made of nothing but a seed, and what tests of `prepare` do to it."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pydantic import Field

from pipeline import prepare
from pipeline.datasets.base import SPLITS, Dataset
from pipeline.plumbing.labels import IGNORE

IDENTITY = {"dataset": "toy", "kind": "toy"}


class Usage(NamedTuple):
    """What `shutil.disk_usage` tells of a disk."""

    free: int


class Toy(Dataset):
    """Random images; what a test wants to be wrong about a sample stands in `load`."""

    license = "none"
    citation = "none"

    classes: list[str] = ["ground", "common", "rare"]
    counts: dict[str, int] = Field(default={"train": 12, "val": 3, "test": 5})
    seeds: dict[str, int] = {"train": 0, "val": 1, "test": 2}

    def samples(self, raw: Path) -> dict[str, list[Any]]:
        return {split: [f"{split} {index}" for index in range(self.counts[split])] for split in SPLITS}

    def load(self, sample: str) -> tuple[np.ndarray, np.ndarray]:
        split, index = sample.split()
        rng = np.random.default_rng([self.seeds[split], int(index)])
        mask = rng.choice([0, 1, IGNORE], size=(40, 60), p=[0.7, 0.2, 0.1]).astype(np.uint8)
        if int(index) % 5 == 0:
            mask[:20, :20] = 2
        return rng.integers(256, size=(40, 60, 3), dtype=np.uint8), mask


def prepared_toy(tmp_path: Path, name: str, **options: Any) -> Path:
    """`Toy` prepared in `tmp_path / name`. Of its 12 train images 0, 5 and 10 hold the class `rare`."""
    out = tmp_path / name
    prepare.prepare(Toy(**{"image_size": [20, 30], **options}), IDENTITY, tmp_path, out)
    return out


def faulty(monkeypatch, faults):
    """`Toy` whose `load` fails, or returns something else, for the samples named in `faults`."""
    load = Toy.load

    def failing(self, sample):
        fault = faults.get(sample)
        if isinstance(fault, Exception):
            raise fault
        return fault(*load(self, sample)) if fault else load(self, sample)

    monkeypatch.setattr(Toy, "load", failing)
