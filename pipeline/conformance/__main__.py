"""Writes docs/conformance.md. Needs the libraries of the extra `peers`."""

from importlib.metadata import PackageNotFoundError
from pathlib import Path

import torch

from pipeline.conformance.page import page
from pipeline.learn.torchvision_schemas import declare_missing_operators
from pipeline.plumbing.errors import UserError, run_stage
from pipeline.plumbing.files import write_text

PAGE = Path("docs/conformance.md")


def main() -> None:
    torch.set_num_threads(1)  # the number of threads may change the last digits
    declare_missing_operators()
    try:
        text = page()
    except PackageNotFoundError as missing:
        raise UserError(
            f"{missing.name} is not installed; run `make conformance`, or `pip install '.[benchmark,peers]'`."
        ) from None
    write_text(PAGE, text)


if __name__ == "__main__":
    run_stage(main)
