"""Every snippet of docs/use_a_loss.md runs, and the plain ones where neither DVC nor MLflow is installed."""

import importlib.util
import os
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "use_a_loss.md").read_text(encoding="utf-8")
OF_A_LIBRARY = "The other way, by a library"
SNIPPETS = {
    OF_A_LIBRARY if "declare_missing_operators" in code else title: code
    for section in PAGE.split("\n## ")[1:]
    for title in [section.partition("\n")[0]]
    for code in re.findall(r"```python\n(.*?)```", section, re.DOTALL)
}
MORE = re.compile(r"^(import|from) (lightning|segmentation)", re.MULTILINE)
PLAIN = [title for title, code in SNIPPETS.items() if not MORE.search(code)]


def needed(name, found):
    """The names of the distribution and of all that it needs, as far as it is installed here."""
    try:
        lines = metadata.requires(name) or []
    except metadata.PackageNotFoundError:  # for another system
        return found
    found.add(name)
    for each in map(Requirement, lines):
        if each.name not in found and (each.marker is None or each.marker.evaluate({"extra": ""})):
            needed(each.name, found)
    return found


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """A folder for packages that holds what pyproject.toml depends on, what that needs, and nothing else."""
    folder = tmp_path_factory.mktemp("bare")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = set()
    for line in project["dependencies"]:
        needed(Requirement(line).name, names)
    for name in names:
        for top in {file.parts[0] for file in metadata.files(name)} - {"..", "__pycache__"}:
            if not (folder / top).exists():
                (folder / top).symlink_to(metadata.distribution(name).locate_file(top))
    return folder


def run(code, path, packages=None):
    """Run a snippet in a process of its own, with all that is installed or with one folder of packages."""
    path.write_text(code, encoding="utf-8")
    # Without the folder of this environment, and without a warning, which Lightning and timm give of their own.
    bare = ["-S", "-W", "error"] if packages else []
    search = os.pathsep.join(map(str, filter(None, (ROOT, packages))))
    environment = os.environ | {"PYTHONPATH": search, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *bare, str(path)]
    done = subprocess.run(command, cwd=path.parent, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_there_is_a_snippet_for_each_way():
    assert list(SNIPPETS) == [
        "Plain PyTorch",
        "What a loss knows of your data",
        "Losses that look at boundaries",
        "Lightning",
        "segmentation_models_pytorch",
        "The other way: your module in the benchmark",
        OF_A_LIBRARY,
        "Soft targets and deep supervision",
    ]


def test_plain_snippets_run_where_only_the_dependencies_are_installed(bare, tmp_path):
    """Without DVC, MLflow and OpenCV: in one process, since torch takes seconds to import."""
    assert len(PLAIN) == 5
    installed = {path.name for path in bare.iterdir()}
    assert {"torch", "pydantic", "numpy", "scipy"} < installed
    assert not {"dvc", "mlflow", "cv2", "pandas", "ruamel", "sklearn", "PIL", "tenacity", "albumentations"} & installed
    run(
        "\n".join(f"exec({SNIPPETS[title]!r}, {{'__name__': 'snippet'}})" for title in PLAIN),
        tmp_path / "plain.py",
        bare,
    )


def test_the_snippet_of_lightning_runs(tmp_path):
    if not importlib.util.find_spec("lightning"):
        pytest.skip("lightning is not installed; `make conformance` installs it")
    run(with_operators(SNIPPETS["Lightning"]), tmp_path / "snippet.py")


def test_the_snippet_of_smp_runs(tmp_path):
    run(with_operators(SNIPPETS["segmentation_models_pytorch"]), tmp_path / "snippet.py")


def test_a_module_of_smp_is_a_loss(tmp_path):
    """With the lines of the page alone, whatever torchvision there is; scored as `check` does, and with void pixels."""
    tried = """
import torch
assert SmpDice().refuses_classes(3) is None
target = torch.tensor([[[0, 1], [2, 255]]])
logits = 100 * torch.nn.functional.one_hot(target.clamp(max=2), 3).movedim(-1, 1).float()
assert SmpDice()(logits, target) < 1e-4
"""
    run(SNIPPETS[OF_A_LIBRARY] + tried, tmp_path / "snippet.py")


def with_operators(code):
    """Where torchvision is of another build than torch, its import fails; elsewhere this does nothing."""
    lines = "from pipeline.learn.torchvision_schemas import declare_missing_operators\ndeclare_missing_operators()\n"
    return lines + code
