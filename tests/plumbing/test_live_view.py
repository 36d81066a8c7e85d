"""What shows trainings tells where, and no secret of the address."""

import select
import subprocess
import sys

import pytest

from pipeline.plumbing import live_view
from tests.miniature import ROOT

ADDRESS = "http://SECRETUSER:SECRETWORD@127.0.0.1:9/x?token=SECRETTOKEN#SECRETMARK"

pytestmark = pytest.mark.xdist_group("live")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Without journals, and with a store whose address has secrets."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", ADDRESS)
    monkeypatch.delenv("BENCHMARK_LIVE", raising=False)


def test_the_place_is_told_without_secrets():
    command = [sys.executable, "-m", "pipeline.live"]
    found = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
    assert (found.stdout, found.stderr) == ("Trainings are shown in MLflow at http://127.0.0.1:9/x.\n", "")


def test_a_store_that_does_not_answer_is_told_without_secrets(monkeypatch, capfd):
    monkeypatch.setattr(live_view, "PATIENCE", 0)
    with live_view.LiveView("digits-unet_tiny-dice-none-0") as view:
        select.select([view.process.stdout], [], [])
    assert capfd.readouterr().err.startswith("warning: MLflow: no answer from http://127.0.0.1:9/x in 0 s.")
