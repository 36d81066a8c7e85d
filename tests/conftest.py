"""What several folders of tests use."""

import functools
import http.server
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.miniature import Miniature

SHARED = Path(__file__).parents[1].parent / "shared"
REAL_DATA, REAL_WEIGHTS = SHARED / "datasets", SHARED / "pretrained"


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The directory of real archives beside the repository."""
    if not REAL_DATA.is_dir():
        pytest.skip(f"no real archives in {REAL_DATA}")
    return REAL_DATA


@pytest.fixture(scope="session")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for HF_HOME that has real ImageNet weights of `tu-tf_efficientnet_lite0` and `_lite2`."""
    if not REAL_WEIGHTS.is_dir():
        pytest.skip(f"no pretrained weights in {REAL_WEIGHTS}")
    home = tmp_path_factory.mktemp("pretrained")
    (home / "hub").mkdir()
    for folder in (REAL_WEIGHTS / "hub").iterdir():
        (home / "hub" / folder.name).symlink_to(folder)
    return home


@pytest.fixture
def no_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For code in this process: a cache without any weights, and a host that refuses every connection."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")


@pytest.fixture(scope="session")
def real_archives(real_data: Path) -> Iterator[str]:
    """Address of a local HTTP server for the real archives."""
    handler = functools.partial(_Quiet, directory=str(real_data))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def run_stages() -> Callable[..., Path]:
    """A function that runs stages on one entry of `axes.dataset` in a directory and returns where the arrays lie."""
    from pipeline import download, prepare
    from pipeline.plumbing import plugins
    from pipeline.plumbing.files import write_json
    from pipeline.plumbing.plan import PLAN, PREPARED

    def run(root: Path, key: str, block: dict[str, Any], stages: tuple[str, ...] = ("download", "prepare")) -> Path:
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(root)
            patch.setattr(sys, "argv", ["stage", key])
            described = plugins.build("datasets", key, block, f"params.yaml: axes.dataset.{key}").described()
            write_json(PLAN / "dataset" / f"{key}.json", described)
            write_json(PLAN / "download" / f"{key}.json", {})
            write_json(PLAN / "prepare" / f"{key}.json", {"dataset": described | {"archives": []}})
            for stage in stages:
                {"download": download, "prepare": prepare}[stage].main()
        return root / PREPARED / key

    return run


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Miniature:
    """The smoke preset, run to its end by `dvc repro`; tests must not change it."""
    made = Miniature.create(tmp_path_factory.mktemp("finished") / "work")
    made.dvc("repro")
    return made


@pytest.fixture(scope="session")
def deciding(finished: Miniature, tmp_path_factory: pytest.TempPathFactory) -> Miniature:
    """The same with strategies that act on decisions and a repeat of the control, run to its end; tests must not
    change it.

    `idle` decides to add nothing to the logits, so that what it is judged by is known from elsewhere.
    """
    made = finished.copy(tmp_path_factory.mktemp("deciding") / "work")
    code = (made.root / "pipeline" / "strategies" / "class_thresholds.py").read_text()
    code, _, _ = code.partition("    def decision(")
    idle = "    def decision(self, statistics, score):\n        return np.zeros(statistics.pixels.shape[1])\n"
    (made.root / "pipeline" / "strategies" / "idle.py").write_text(code + idle)
    both = {"kind": "chain", "of": ["class_weights", "class_thresholds"]}
    strategies = {"none": {}, "idle": {}, "class_thresholds": {}, "both": both}
    made.edit_params(axes__loss={"cross_entropy": {}}, axes__strategy=strategies, report__noise_floor=[5])
    made.dvc("repro")
    return made


@pytest.fixture
def workspace(finished: Miniature, tmp_path: Path) -> Miniature:
    """A copy of the finished workspace, to be edited."""
    return finished.copy(tmp_path / "work")
