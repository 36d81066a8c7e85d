"""What a training would take, from a few of its steps."""

import time

import numpy as np
import pytest
import torch

from pipeline.datasets.base_statistics import count_classes, count_components
from pipeline.learn import model as unet
from pipeline.learn import trial as trials
from pipeline.learn.settings import Fit, UNet
from pipeline.learn.trainer import Trainer
from pipeline.learn.training import Task, initial_model
from pipeline.learn.trial import Trial, mask_bytes, trial
from pipeline.plumbing import plugins
from pipeline.strategies.base import Strategy

CPU = torch.device("cpu")
META = {"classes": ["a", "b"], "mean": [0.5] * 3, "std": [0.25] * 3}
STEP, BATCH = 2**-4, 2**-5  # seconds, with sums that are exact


@pytest.fixture
def task(tmp_path) -> Task:
    """Two train images, and nine to validate on, which are three batches of four."""
    random = np.random.default_rng(0)
    for split, images in (("train", 2), ("val", 9)):
        masks = random.integers(0, 2, (images, 32, 32), dtype=np.uint8)
        np.save(tmp_path / f"{split}_images.npy", random.integers(0, 256, (*masks.shape, 3), dtype=np.uint8))
        np.save(tmp_path / f"{split}_masks.npy", masks)
        if split == "train":
            pixels = count_classes(masks, 2)
            np.save(tmp_path / "train_class_pixels.npy", pixels)
            np.save(tmp_path / "train_class_components.npy", count_components(masks, pixels))
    loss = plugins.build_unnamed("losses", "dice", "x")
    fit = Fit(iterations=100, batch_size=2, validations=1)
    return Task(tmp_path, META, UNet(encoder="tu-resnet10t", depth=3, decoder_width=4), fit, loss, Strategy(), 0)


def test_it_has_the_time_of_a_step_after_the_first_and_of_all_batches_of_a_validation(task, monkeypatch):
    """Steps and batches that take a known time; the first step, in which libraries warm up, takes ten times as long."""
    steps = []

    def step(trainer, batch):
        steps.append(len(batch[0]))
        time.sleep(STEP if len(steps) > 1 else 10 * STEP)

    def predict(model, images, size, device):
        assert (len(images), size) == (4, 4)
        yield time.sleep(BATCH)

    now = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    monkeypatch.setattr("time.sleep", lambda seconds: now.append(now.pop() + seconds))
    monkeypatch.setattr(Trainer, "step", step)
    monkeypatch.setattr(trials, "predict", predict)
    monkeypatch.setattr(trials, "LONG_ENOUGH", 4 * STEP)
    found = trial(task, CPU)
    assert (found.step, found.validation) == (STEP, 3 * BATCH)
    assert steps == [2] * 5, "as many as fit into the time"


def test_it_has_the_size_of_what_is_kept(task, tmp_path):
    """Of the file that `train` writes, and of a state: weights twice, the moments of AdamW for each of them."""
    found = trial(task, CPU)
    model = initial_model(task)
    unet.save(model, tmp_path / "model")
    file = (tmp_path / "model" / "model.safetensors").stat().st_size
    assert file == pytest.approx(found.weights, rel=0.2)
    parameters = sum(each.nbytes for each in model.parameters())
    assert found.state == pytest.approx(2 * found.weights + 2 * parameters, rel=0.01)


def test_a_training_of_one_step_has_no_second_one(task):
    found = trial(task._replace(fit=Fit(iterations=1, batch_size=2, validations=1)), CPU)
    assert found.step == 0


def test_the_seconds_of_a_training():
    assert Trial(2.0, 0.5, 3.0, 0, 0).seconds(Fit(iterations=100, validations=4)) == 2.0 + 50.0 + 12.0


@pytest.mark.parametrize(("masks", "low", "high"), [("noise", 0.9, 1.1), ("empty", 0, 0.05)])
def test_masks_take_what_they_take_when_compressed(masks, low, high, tmp_path):
    """As `numpy.savez_compressed` of all of them does."""
    random = np.random.default_rng(0)
    made = (
        random.integers(0, 256, (100, 32, 32), dtype=np.uint8)
        if masks == "noise"
        else np.zeros((100, 32, 32), np.uint8)
    )
    np.save(tmp_path / "test_masks.npy", made)
    assert low * made.nbytes <= mask_bytes(tmp_path) <= high * made.nbytes
    np.savez_compressed(tmp_path / "all.npz", masks=made)
    assert mask_bytes(tmp_path) == pytest.approx((tmp_path / "all.npz").stat().st_size, rel=0.1, abs=2000)
