"""A person's own images and masks, seeded."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def own_data(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """A function that writes images and masks into `tmp_path` and returns the block of params.yaml for them."""

    def write(images: int = 20, classes: int = 3, void: int | None = None) -> dict[str, Any]:
        rng = np.random.default_rng(0)
        for index in range(images):
            image = rng.integers(256, size=(30, 40, 3), dtype=np.uint8)
            mask = rng.integers(classes - 1, size=(30, 40), dtype=np.uint8)
            mask[:10] = classes - 1 if index % 4 == 0 else 0  # the last class is rare
            if void is not None:
                mask[-1] = void
            for directory, name, pixels in (("images", f"{index:02}.jpg", image), ("masks", f"{index:02}.png", mask)):
                (tmp_path / directory).mkdir(exist_ok=True)
                Image.fromarray(pixels).save(tmp_path / directory / name)
        names = [f"class {index}" for index in range(classes)]
        return {"kind": "folder", "images": "images", "masks": "masks", "classes": names, "image_size": [24, 32]}

    return write
