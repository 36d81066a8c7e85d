"""The libraries whose version can change what a stage writes.

Every library that the code of a stage reaches by imports counts, and with it those of COMPUTING that it computes with.
Those of ASIDE never do: they check, carry or show what others have computed.
"""

import importlib.metadata
from collections.abc import Iterable
from functools import cache

from pipeline.plumbing.errors import UserError

# By the name that is imported: the distribution it comes from, then those that change its results.
COMPUTING = {
    "PIL": ("pillow",),
    "albumentations": ("albumentations", "albucore", "opencv-python-headless", "simsimd", "stringzilla"),
    "cv2": ("opencv-python-headless",),
    "jinja2": ("Jinja2",),  # the page of the report
    "matplotlib": ("matplotlib",),  # pictures are results, and an edit of the code that draws them counts too
    "numpy": ("numpy",),
    "pandas": ("pandas",),
    "scikit_posthocs": ("scikit-posthocs", "scipy", "statsmodels"),
    "scipy": ("scipy",),
    "segmentation_models_pytorch": ("segmentation-models-pytorch", "timm"),
    "skimage": ("scikit-image", "scipy"),
    "sklearn": ("scikit-learn", "scipy"),
    "tifffile": ("tifffile",),
    "torch": ("torch",),
}
ASIDE = {
    "huggingface_hub": "carries pretrained weights",
    "pydantic": "checks options, and gives them back as they are",
    "requests": "carries archives, which have checksums",
    "safetensors": "stores weights as they are",
    "tenacity": "waits between attempts",
    "tqdm": "shows progress",
    "urllib3": "its errors alone",
}


def versions(imported: Iterable[str]) -> dict[str, str]:
    """Versions of the distributions behind these names, without the mark of the build, such as +cpu.

    Of a library that a plug-in has brought along, those that hold the name; nothing for one that is not installed.
    """
    names = {name for each in imported if each not in ASIDE for name in COMPUTING.get(each) or _holding(each)}
    return {name: version(name) for name in sorted(names)}


def _holding(imported: str) -> list[str]:
    return _packages().get(imported, [])


_packages = cache(importlib.metadata.packages_distributions)  # it takes a quarter of a second


@cache  # a process goes on with the libraries it has loaded
def version(distribution: str) -> str:
    """The one that is installed. Raises UserError if none is."""
    try:
        return importlib.metadata.version(distribution).partition("+")[0]
    except importlib.metadata.PackageNotFoundError:
        raise UserError(f"{distribution}: not installed. Run `pip install -r requirements.lock`.") from None
