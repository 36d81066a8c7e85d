"""The speed of evaluation, on a small network: that what is timed is what the page says, not how fast it is."""

import sys

import numpy as np
import pytest
import torch

from pipeline.conformance import prediction_speed, turns
from pipeline.conformance.prediction_speed import Speed, infer, measure, one_of_each, page, predict_all
from pipeline.conformance.training import task_of
from pipeline.conformance.turns import Ratio
from pipeline.evaluate import find
from pipeline.learn import model as unet
from pipeline.learn.training import initial_model
from pipeline.plumbing.cells import Cell
from pipeline.plumbing.errors import UserError
from pipeline.plumbing.files import read_json, write_json
from pipeline.plumbing.plan import read_plan
from pipeline.plumbing.prepared import Original, write_test_images

CPU = torch.device("cpu")
FAIR = Ratio(0.95, 0.9, 1.0)
SPEED = Speed(5, 100, 32, 80.0, FAIR, FAIR, FAIR)


@pytest.fixture
def trained(small, monkeypatch):
    """The workspace with two cells of one network, and rounds as few as can be."""
    monkeypatch.setattr(turns, "FEWEST", 1)
    monkeypatch.setattr(turns, "MOST", 1)
    task = task_of("squares", "tiny")
    meta = read_json(task.prepared / "meta.json")
    write_test_images(task.prepared, [Original(f"{place}.png", "", *meta["image_size"]) for place in range(5)])
    for seed in (0, 1):
        cell = Cell("squares", "tiny", "dice", "none", seed)
        facts = {"cell": cell._asdict(), "plan": {"strategy": {"kind": "none"}}, "data_digest": meta["digest"]}
        facts |= {"mean": meta["mean"], "std": meta["std"], "status": "finished"}
        write_json(small / "models" / cell.name / "cell.json", facts)
        unet.save(initial_model(task._replace(seed=seed)), small / "models" / cell.name / "model")
    return small


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # in from_pretrained of the library
@pytest.mark.usefixtures("trained")
def test_one_cell_of_each_dataset_and_network_is_measured():
    (name, cell), *others = one_of_each(find()).items()
    assert (name, cell.cell.name, others) == ("squares | tiny", "squares-tiny-dice-none-0", [])
    found = measure(cell, read_plan("evaluate"), CPU)
    assert (found.rounds, found.images, found.batch_size) == (1, 9, 3)
    assert found.bare > 0
    assert found.first.median < found.prediction.median * 1.5, "judging does what predicting does, and more"


class Counted(torch.nn.Module):
    """Writes down the sizes of its batches."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.sizes.append(len(images))
        return images.float()


@pytest.mark.parametrize("run", [infer, predict_all])
def test_bare_inference_and_prediction_take_the_same_batches(run):
    """Those of the splits one after another, whole and then what is left."""
    model = Counted()
    run(model, [np.zeros((images, 4, 4, 3), np.uint8) for images in (4, 5)], 3, CPU)
    assert model.sizes == [3, 1, 3, 2]


@pytest.mark.usefixtures("small")
def test_without_a_trained_cell_the_command_says_what_to_do():
    with pytest.raises(UserError, match=r"^models: holds no trained cell\. `dvc repro train` makes them\.$"):
        one_of_each(find())


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # as above
@pytest.mark.parametrize("write", [[], ["--write"]])
def test_the_command_prints_and_on_demand_writes(trained, monkeypatch, capsys, write):
    monkeypatch.setattr(sys, "argv", ["bench", *write])
    monkeypatch.setattr(prediction_speed, "measure", lambda *_: SPEED)
    sections = "<!-- bench-evaluate cpu -->\nold\n<!-- end of bench-evaluate cpu -->\n"
    written = trained / "docs" / "performance.md"
    written.parent.mkdir()
    written.write_text(sections, encoding="utf-8")
    prediction_speed.main()
    row = f"100 | 32 | 80 | {FAIR} | {FAIR} | {FAIR} | met"
    assert capsys.readouterr().out == f"squares | tiny: {row}\n"
    text = written.read_text(encoding="utf-8")
    assert text == sections if not write else f"| squares | tiny | {row} |\n" in text


@pytest.mark.parametrize(("prediction", "verdict"), [(0.91, "met"), (0.89, "missed")])
def test_the_target_is_that_of_prediction(prediction, verdict):
    """What is counted beside it is told, not judged."""
    speed = SPEED._replace(prediction=Ratio(prediction, 0.0, 1.0), later=Ratio(0.1, 0.1, 0.1))
    assert page({"d | m": speed}, CPU).splitlines()[-1].endswith(f"| {verdict} |")
