"""The tree keeps its shape: who may import whom, and how a file may look."""

import ast
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "pipeline").rglob("*.py"))
LAYERS = {
    "plumbing": 0,
    "learn": 1,
    "measure": 1,
    "datasets": 1,
    "losses": 1,
    "strategies": 1,
    "running": 1,
    "mlflow_view": 2,
    "conformance": 3,
    "": 3,
}  # "": stage files
ONE_IMPORTER = {
    "albumentations": "pipeline.learn.augmentation",
    "segmentation_models_pytorch": "pipeline.learn.model",
    "mlflow": "pipeline.plumbing.tracking",
}


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def folder_of(module: str) -> str:
    """`losses` of `pipeline.losses.dice`; empty for a stage file."""
    parts = module.split(".")
    return parts[1] if len(parts) > 2 else ""


def imports(path: Path) -> set[str]:
    """Names of the modules that a file imports, anywhere in it; of this project's, those that are files."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: a relative import, which fingerprints do not follow"
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            files = {name for name in inner if (ROOT / (name.replace(".", "/") + ".py")).is_file()}
            found |= files or {node.module}
    return found


IMPORTS = {module_of(path): imports(path) for path in FILES}
OWN = {module: {each for each in found if each.split(".")[0] == "pipeline"} for module, found in IMPORTS.items()}
PLUGINS = [
    module
    for module in IMPORTS
    if folder_of(module) in ("datasets", "losses", "strategies") and not module.endswith((".base", "__init__"))
]


def test_something_was_found():
    """Otherwise every other test here would pass by saying nothing."""
    assert len(FILES) > 40
    assert len(PLUGINS) > 10
    assert "pipeline.plumbing.plugins" in OWN["pipeline.train"]


@pytest.mark.parametrize("module", IMPORTS)
def test_imports_point_down_only(module):
    """Stage files, then learn, measure and the plug-ins, then plumbing."""
    for imported in OWN[module]:
        assert LAYERS[folder_of(imported)] <= LAYERS[folder_of(module)], imported


@pytest.mark.parametrize("module", [module for module in IMPORTS if folder_of(module) == "measure"])
def test_measuring_never_imports_learning(module):
    """How a model is judged must not depend on how it was trained."""
    assert not [imported for imported in OWN[module] if folder_of(imported) == "learn"]


@pytest.mark.parametrize("module", PLUGINS)
def test_a_plug_in_imports_its_base_and_plumbing_and_nothing_else_of_ours(module):
    """Never another plug-in: an edit of one must not train the cells of another."""
    base = f"pipeline.{folder_of(module)}.base"  # or a file like base_digits, which is no plug-in either
    assert not [each for each in OWN[module] if not each.startswith(base) and folder_of(each) != "plumbing"]


@pytest.mark.parametrize("library", ONE_IMPORTER)
def test_one_module_imports(library):
    """What an unsteady library does is kept in one place."""
    assert [module for module, found in IMPORTS.items() if library in {each.split(".")[0] for each in found}] == [
        ONE_IMPORTER[library]
    ]


def test_the_losses_of_other_libraries_are_reached_from_one_folder():
    """By source that it runs, so that nothing else needs the extra `peers`; and no stage depends on that folder."""
    peers = {"kornia", "monai", "pytorch_toolbelt"}
    assert not [module for module, found in IMPORTS.items() if peers & {each.split(".")[0] for each in found}]
    outside = [module for module in OWN if folder_of(module) != "conformance"]
    assert not [module for module in outside if any(folder_of(each) == "conformance" for each in OWN[module])]


DISTRIBUTIONS = {  # of libraries that are imported by another name; the last ones come with what needs them
    "PIL": "pillow",
    "ruamel": "ruamel.yaml",
    "yaml": "pyyaml",
    "skimage": "scikit_image",
    "sklearn": "scikit_learn",
    "cv2": "albumentations",
    "urllib3": "requests",
    "huggingface_hub": "segmentation_models_pytorch",
    "safetensors": "segmentation_models_pytorch",
}


def declared(*extras):
    """Distributions that pyproject.toml asks for: its dependencies, and those of the named extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = project["dependencies"] + [line for each in extras for line in project["optional-dependencies"][each]]
    return {line.split("=")[0].rstrip("<>").lower().replace("-", "_") for line in lines}


def libraries(modules):
    """Distributions that the modules import."""
    used = {each.split(".")[0] for module in modules for each in IMPORTS[module]}
    return {DISTRIBUTIONS.get(each, each) for each in used - set(sys.stdlib_module_names) - {"pipeline"}}


def test_every_library_that_is_imported_is_declared():
    """A clean environment has what the extra `benchmark` names, and nothing by chance."""
    assert libraries(IMPORTS) <= declared("benchmark")


def test_losses_need_the_dependencies_alone():
    """Whoever trains elsewhere installs neither DVC nor MLflow: all that any loss file reaches, and the package itself."""
    reached, waiting = set(), {module for module in IMPORTS if folder_of(module) == "losses"}
    while waiting:
        reached |= waiting
        waiting = {each for module in waiting for each in OWN[module] if each in IMPORTS} - reached
    assert "pipeline.plumbing.options" in reached
    assert libraries(reached) - {"scikit_image"} == declared()  # skeleton_recall alone asks for it, and says so


def test_no_file_is_named_utils():
    """A name that says nothing collects everything."""
    assert not [path for path in FILES if path.stem in ("utils", "util", "helpers", "common", "misc")]


@pytest.mark.parametrize("folder", ["", *sorted(set(LAYERS) - {"", "losses"})])
def test_packages_are_marked_by_an_empty_file(folder):
    """So importing a package does nothing, and fingerprints may leave it out. That of the losses finds them by name for
    training loops elsewhere, which nothing here does."""
    assert (ROOT / "pipeline" / folder / "__init__.py").read_bytes() == b""


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_a_file_can_be_read_at_once(path):
    """260 lines at most."""
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 260


@pytest.mark.parametrize("path", [path for path in FILES if path.name != "__init__.py"], ids=module_of)
def test_a_file_begins_with_what_it_is_for(path):
    """A docstring."""
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


def test_nothing_names_the_directory_of_those_who_build_this():
    """A user has no such directory."""
    texts = [*(ROOT / "pipeline").rglob("*"), *(ROOT / "presets").rglob("*"), ROOT / "README.md", ROOT / "dvc.yaml"]
    read = [path for path in texts if path.is_file() and "__pycache__" not in path.parts]
    assert not [path for path in read if b"../shared" in path.read_bytes()]


def test_no_stage_takes_a_loss_from_the_package():
    """Fingerprints follow files, and so not what a package finds by itself."""
    assert not [module for module, found in IMPORTS.items() if "pipeline.losses" in found]
