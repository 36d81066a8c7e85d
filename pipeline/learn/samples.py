"""Prepared images in the order and form in which a seed meets them."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from pipeline.learn.augmentation import Augmentation
from pipeline.learn.distances import signed_distances
from pipeline.plumbing.random_streams import small_seed, stream


def open_split(prepared: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Images `n h w 3` and masks `n h w` of a split, uint8, memory-mapped."""
    return tuple(np.load(prepared / f"{split}_{kind}.npy", mmap_mode="r") for kind in ("images", "masks"))


def draw_order(seed: int, draws: int, images: int, weights: np.ndarray | None) -> np.ndarray:
    """Index of the train image of each draw: shuffled passes over all images, or independent weighted draws."""
    generator = stream(seed, "order")
    if weights is not None:
        return generator.choice(images, size=draws, p=weights)
    passes = -(-draws // images)
    return np.concatenate([generator.permutation(images) for _ in range(passes)])[:draws]


class Draws(Dataset):
    """One augmented train image per draw.

    Its randomness is seeded by the number of the draw, not by a worker, so neither the number of workers nor a restart
    in the middle changes what is seen.
    """

    def __init__(
        self, prepared: Path, order: np.ndarray, augmentation: Augmentation, seed: int, distances_to: int = 0
    ) -> None:
        """With `distances_to` that many classes, each draw also has its signed distance maps."""
        self.images, self.masks = open_split(prepared, "train")
        self.order, self.augmentation, self.seed, self.distances_to = order, augmentation, seed, distances_to

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, draw: int) -> tuple[Tensor, ...]:
        """Image `3 h w` and mask `h w`, uint8, and where they are asked for distances `c h w`, float32."""
        index = self.order[draw]
        image, mask = np.array(self.images[index]), np.array(self.masks[index])  # copies: the files are read-only
        image, mask = self.augmentation(image, mask, small_seed(self.seed, "augmentation", draw))
        arrays = [image.transpose(2, 0, 1), mask]
        if self.distances_to:
            arrays.append(signed_distances(mask, self.distances_to))
        return tuple(map(torch.from_numpy, arrays))


def batches(draws: Draws, batch_size: int, workers: int, device: torch.device) -> DataLoader:
    """Batches of images `b 3 h w`, masks `b h w` and distances where there are any, in the order of the draws."""
    return DataLoader(
        draws,
        batch_size=batch_size,
        num_workers=workers,
        pin_memory=device.type == "cuda",
        persistent_workers=workers > 0,
    )
