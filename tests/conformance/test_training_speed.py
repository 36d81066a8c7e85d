"""The speed of training, on a small network: that what is timed is what the page says, not how fast it is."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from pipeline.conformance import training_speed, turns
from pipeline.conformance.training import FIRST, has_example
from pipeline.conformance.training_speed import Speed, arguments, iterations_for, measure, page
from pipeline.conformance.training_speed import task_of as task
from pipeline.conformance.training_together import Throughput, together
from pipeline.conformance.turns import Ratio
from pipeline.plumbing.errors import UserError

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
GOOD, EXAMPLE = Ratio(0.97, 0.9, 1.0), Ratio(3.2, 3.0, 3.4)
SPEED = Speed(5, 16, 1, 100.0, GOOD, GOOD, 0.5, EXAMPLE)
THROUGHPUT = Throughput(3, 5, 4000.0, 40.0, 5.0)
SECTIONS = "# Performance\n\n<!-- bench-train cpu -->\nold\n<!-- end of bench-train cpu -->\n\nby hand\n"


@pytest.fixture
def quick(monkeypatch):
    """One round of the shortest runs."""
    for name, value in {"FEWEST": 1, "MOST": 1}.items():
        monkeypatch.setattr(turns, name, value)
    monkeypatch.setattr(training_speed, "SECONDS", 0.0)
    monkeypatch.setattr(training_speed, "SECONDS_TOGETHER", 0.0)


@pytest.mark.usefixtures("small", "quick")
def test_the_trainings_are_timed_as_they_are(monkeypatch):
    """With a clock by which a bare step takes 2, over one batch 4, the whole loop 5, making a batch half a second and
    the example 10."""
    takes = {"bare_steps": 2.0, "loop_over_one_batch": 4.0, "whole_loop": 5.0, "only_batches": 0.5, "example": 10.0}
    for name, seconds in takes.items():

        def train(task, device, laps, seconds=seconds):
            laps.read = [0.0, seconds * (laps.iterations - FIRST)]

        monkeypatch.setattr(training_speed, name, train)
    monkeypatch.setattr(training_speed, "has_example", lambda: True)
    found = measure(task("squares", "tiny", FIRST + 4), CPU)
    assert (found.rounds, found.batch_size, found.threads) == (1, 2, 1)
    assert found.bare == 1.0  # two images in two seconds
    assert (found.one_batch.median, found.whole.median, found.example.median) == (0.5, 0.4, 2.0)
    assert found.making == 250.0


@pytest.mark.usefixtures("small")
def test_a_run_has_as_many_iterations_as_its_seconds_allow(monkeypatch):
    """Two at least; here a step takes half a second."""

    def train(task, device, laps):
        laps.read = [0.0, 0.5 * (laps.iterations - FIRST)]

    monkeypatch.setattr(training_speed, "bare_steps", train)
    counts = [iterations_for("squares", "tiny", CPU, seconds) for seconds in (0.1, 1.0, 10.0)]
    assert counts == [FIRST + 2, FIRST + 2, FIRST + 20]


@pytest.mark.slow  # each process loads the libraries
@pytest.mark.usefixtures("small")
def test_two_trainings_at_once(small):
    """In processes of their own, timed from the moment at which both are warm."""
    found = together("squares", "tiny", FIRST + 2, 2, CPU)
    assert found.processes == 2
    settings = task("squares", "tiny").fit
    trained = settings.iterations * settings.batch_size
    assert found.images_per_second * found.seconds_of_steps == pytest.approx(2 * trained)
    assert found.seconds_of_validations > 0


def test_cells_an_hour_by_hand():
    """Three processes, each of which ends a cell every 45 seconds."""
    assert THROUGHPUT.cells_per_hour == 240


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("write", [[], ["--write"]])
def test_the_command_prints_and_on_demand_writes(small, monkeypatch, capsys, write):
    monkeypatch.setattr(training_speed, "has_example", lambda: False)
    monkeypatch.setattr(training_speed, "together", lambda *_: THROUGHPUT)
    monkeypatch.setattr(sys, "argv", ["bench", "squares-tiny", "--threads", "1", *write])
    (small / "docs").mkdir()
    written = small / "docs" / "performance.md"
    written.write_text(SECTIONS, encoding="utf-8")
    training_speed.main()
    printed, text = capsys.readouterr().out, written.read_text(encoding="utf-8")
    assert printed.count("squares-tiny: ") == 2
    if not write:
        assert text == SECTIONS
        return
    assert "old" not in text
    assert text.endswith("\n\nby hand\n")
    assert "| squares | tiny | 2 | 1 | " in text
    assert "| not installed | " in text
    assert "| squares | tiny | 3 | 5 | 4,000 | 40 s | 5 s | 240 |" in text


@pytest.mark.usefixtures("small")
def test_a_pair_that_params_do_not_have_is_refused(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["bench", "circles-tiny"])
    with pytest.raises(UserError, match=r"^circles-tiny: no DATASET-MODEL of params\.yaml, which has squares-tiny\.$"):
        arguments()


@pytest.mark.parametrize(
    ("device", "whole", "example", "verdict"),
    [
        (CPU, 0.96, 1.1, "met"),
        (CPU, 0.94, 9.0, "missed"),
        (CUDA, 0.96, 3.1, "met"),
        (CUDA, 0.96, 2.9, "missed"),
        (CUDA, 0.94, 3.1, "missed"),
    ],
)
def test_the_targets_are_judged(monkeypatch, device, whole, example, verdict):
    """On a GPU there are two."""
    monkeypatch.setattr(training_speed, "hardware", str)
    speed = SPEED._replace(whole=Ratio(whole, 0.0, 9.0), example=Ratio(example, 0.0, 9.0))
    lines = page({("d-m", 1): speed}, {"d-m": THROUGHPUT}, device).splitlines()
    row = next(line for line in lines if line.startswith("| d | m | 16 |"))
    assert row == f"| d | m | 16 | 1 | 100 | {GOOD} | {speed.whole} | 0.5 ms | {speed.example} | {verdict} |"
    assert lines[-1] == "| d | m | 3 | 5 | 4,000 | 40 s | 5 s | 240 |"


def test_a_machine_without_dvc_mlflow_and_lightning_trains_and_measures():
    """As one that only lends its GPU. A None in sys.modules makes an import fail."""
    code = (
        "import sys; sys.modules |= dict.fromkeys(['dvc', 'mlflow', 'lightning', 'pytorch_lightning']); "
        "import pipeline.train, pipeline.learn.training, pipeline.conformance.training_speed as speed; "
        "import pipeline.check, pipeline.download, pipeline.prepare, pipeline.conformance.prediction_speed; "
        "print(speed.has_example())"
    )
    root = Path(__file__).parents[2]
    found = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
    assert (found.stdout, found.returncode) == ("False\n", 0), found.stderr


@pytest.mark.skipif(not has_example(), reason="Lightning is not installed; `make bench-train` installs it")
@pytest.mark.usefixtures("small", "quick")
def test_all_four_are_timed():
    found = measure(task("squares", "tiny", FIRST + 2), CPU)
    assert min(found.bare, found.one_batch.median, found.whole.median, found.example.median) > 0
