"""What a package of this project says of itself."""

import shutil
import subprocess
import sys
from pathlib import Path

from packaging.metadata import Metadata

ROOT = Path(__file__).parents[1]
BUILD = "from setuptools import build_meta; print(build_meta.prepare_metadata_for_build_wheel('.'))"


def test_the_metadata_that_is_built_is_valid_and_names_the_licence_and_the_authors(tmp_path):
    """As the standards for it have it, by the reference implementation; the text of the licence is in the package."""
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    subprocess.run([sys.executable, "-c", BUILD], cwd=tmp_path, check=True, capture_output=True)
    (folder,) = tmp_path.glob("*.dist-info")
    metadata = Metadata.from_email((folder / "METADATA").read_bytes(), validate=True)
    assert (metadata.name, metadata.license_expression) == ("segmentation-loss-benchmark", "MIT")
    assert metadata.author == "The segmentation-loss-benchmark authors"
    assert metadata.license_files == ["LICENSE"]
    assert (folder / "licenses" / "LICENSE").read_text().startswith("MIT License\n")
