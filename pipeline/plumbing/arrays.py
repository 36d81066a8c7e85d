"""The arrays that `prepare` has written, opened."""

from pathlib import Path

import numpy as np

from pipeline.plumbing.errors import UserError


def open_array(path: Path) -> np.ndarray:
    """An array of `data/prepared/`, memory-mapped and read-only. Raises UserError if it is missing, cut or damaged."""
    try:
        return np.lib.format.open_memmap(path, mode="r")
    except FileNotFoundError:
        raise UserError(f"{path}: missing. Run `dvc repro prepare`.") from None
    except (ValueError, EOFError) as reason:
        said = str(reason).rstrip(".")
        raise UserError(f"{path}: cut or damaged ({said}). Run `dvc repro prepare`, which brings it back.") from None
