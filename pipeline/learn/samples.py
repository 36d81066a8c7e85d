"""Prepared images in the order and form in which a seed meets them."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset

from pipeline.learn.augmentation import Augmentation
from pipeline.learn.distances import signed_distances
from pipeline.plumbing.arrays import open_array
from pipeline.plumbing.machine import folder_of_sockets
from pipeline.plumbing.random_streams import small_seed, stream
from pipeline.strategies.base import NONE, Draws


def open_split(prepared: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Images `n h w 3` and masks `n h w` of a split, uint8, memory-mapped."""
    return tuple(open_array(prepared / f"{split}_{kind}.npy") for kind in ("images", "masks"))


def shuffled_passes(seed: int, draws: int, images: int) -> np.ndarray:
    """Index of the train image of each draw, as far as no strategy chooses others: shuffled passes over all images."""
    generator = stream(seed, "order")
    passes = -(-draws // images)
    return np.concatenate([generator.permutation(images) for _ in range(passes)])[:draws]


class TrainSamples(Dataset):
    """One augmented train image per draw.

    Its randomness is seeded by the number of the draw, not by a worker, so neither the number of workers nor a restart
    in the middle changes what is seen.
    """

    def __init__(
        self, prepared: Path, stretches: Sequence[tuple[Draws, Augmentation]], seed: int, distances_to: int = 0
    ) -> None:
        """`stretches` follow each other; with `distances_to` that many classes, each draw has signed distance maps."""
        self.images, self.masks = open_split(prepared, "train")
        self.draws = Draws(*map(np.concatenate, zip(*(draws for draws, _ in stretches), strict=True)))
        self.augmentations = [augmentation for _, augmentation in stretches]
        self.ends = np.cumsum([len(draws.images) for draws, _ in stretches])
        self.seed, self.distances_to = seed, distances_to

    def __len__(self) -> int:
        return len(self.draws.images)

    def __getitem__(self, draw: int) -> tuple[Tensor, ...]:
        """Image `3 h w` and mask `h w`, uint8, and where they are asked for distances `c h w`, float32."""
        index, focus, donor, pasted = (int(array[draw]) for array in self.draws)
        augmentation = self.augmentations[np.searchsorted(self.ends, draw, side="right")]
        seed = small_seed(self.seed, "augmentation", draw)
        donated = None if donor == NONE else (*self._train_image(donor), pasted)
        image, mask = augmentation(*self._train_image(index), seed, focus, donated)
        arrays = [image.transpose(2, 0, 1), mask]
        if self.distances_to:
            arrays.append(signed_distances(mask, self.distances_to))
        return tuple(map(torch.from_numpy, arrays))

    def _train_image(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        return np.array(self.images[index]), np.array(self.masks[index])  # copies: the files are read-only


def batches(
    samples: TrainSamples, batch_size: int, workers: int, device: torch.device, iteration: int = 0
) -> DataLoader:
    """Batches of images `b 3 h w`, masks `b h w` and distances where there are any, in the order of the draws.

    From an `iteration` on, counted from 0.
    """
    if workers:
        tempfile.tempdir = folder_of_sockets()  # through which workers send batches
    return DataLoader(
        Subset(samples, range(iteration * batch_size, len(samples))),
        batch_size=batch_size,
        num_workers=workers,
        pin_memory=device.type == "cuda",
        persistent_workers=workers > 0,
    )
