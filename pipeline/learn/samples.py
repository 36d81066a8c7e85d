"""Prepared images in the order and form in which a seed meets them."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from pipeline.learn.augmentation import Augmentation
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

    def __init__(self, prepared: Path, order: np.ndarray, augmentation: Augmentation, seed: int) -> None:
        self.images, self.masks = open_split(prepared, "train")
        self.order, self.augmentation, self.seed = order, augmentation, seed

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, draw: int) -> tuple[Tensor, Tensor]:
        """Image `3 h w` and mask `h w`, uint8."""
        index = self.order[draw]
        image, mask = np.array(self.images[index]), np.array(self.masks[index])  # copies: the files are read-only
        image, mask = self.augmentation(image, mask, small_seed(self.seed, "augmentation", draw))
        return torch.from_numpy(image).permute(2, 0, 1), torch.from_numpy(mask)


def batches(draws: Draws, batch_size: int, workers: int, device: torch.device) -> DataLoader:
    """Batches of images `b 3 h w` and masks `b h w`, uint8, in the order of the draws."""
    return DataLoader(
        draws,
        batch_size=batch_size,
        num_workers=workers,
        pin_memory=device.type == "cuda",
        persistent_workers=workers > 0,
    )
