"""Prediction of a whole split."""

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.learn.predict import predict, predict_logits

CPU = torch.device("cpu")


class Small(nn.Module):
    """A convolution of uint8 images, and a normalisation that would notice training mode."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.layers(images.float() / 255 - 0.5)


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    return Small()


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (7, 6, 10, 3), dtype=np.uint8)


@pytest.mark.parametrize("batch_size", [1, 2, 3, 7, 100])
def test_every_image_is_predicted_once_and_in_order(model, images, batch_size):
    """Also where the last batch is smaller; the result is that of one forward pass."""
    parts = list(predict(model, images, batch_size, CPU))
    places = [range(7)[where] for where, _ in parts]
    assert [index for place in places for index in place] == list(range(7))
    assert all(len(place) == len(predicted) <= batch_size for place, (_, predicted) in zip(places, parts, strict=True))
    with torch.no_grad():
        expected = model.eval()(torch.from_numpy(images).permute(0, 3, 1, 2)).argmax(dim=1)
    found = torch.cat([predicted for _, predicted in parts])
    assert found.dtype == torch.int64
    assert torch.equal(found, expected)


@pytest.mark.parametrize("training", [True, False])
def test_the_model_is_left_in_the_mode_it_was(model, images, training):
    """And its statistics are not moved: it was in evaluation meanwhile."""
    model.train(training)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    for _ in predict(model, images, 2, CPU):
        assert not model.training
    assert model.training is training
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_offsets_move_the_logits_before_the_largest_is_taken(model, images):
    """A number per class, not per row or column; no offsets are offsets of nothing."""
    logits = torch.cat([found for _, found in predict_logits(model, images, 3, CPU)]).numpy()
    assert logits.shape == (7, 4, 6, 10)
    for offsets in ([0.0, 0.0, 0.0, 0.0], [0.5, -0.2, 0.0, 0.1], [0.0, 1e6, 0.0, 0.0]):
        shift = torch.tensor(offsets)
        found = torch.cat([predicted for _, predicted in predict(model, images, 3, CPU, shift)])
        expected = (logits + np.array(offsets, dtype=np.float32)[:, None, None]).argmax(axis=1)
        np.testing.assert_array_equal(found, expected)
    plain = torch.cat([predicted for _, predicted in predict(model, images, 3, CPU)])
    np.testing.assert_array_equal(plain, logits.argmax(axis=1))


def test_a_prediction_that_is_broken_off_leaves_the_model_in_its_mode(model, images):
    """As a caller that fails would do."""
    model.train()
    prediction = predict(model, images, 2, CPU)
    next(prediction)
    assert not model.training
    prediction.close()
    assert model.training


def test_the_next_batch_is_under_way_when_one_is_given(model, images):
    """So that a GPU has work while the caller waits for the one before."""
    seen = []
    model.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    started = [(len(seen), len(logits)) for _, logits in predict_logits(model, images, 3, CPU)]
    assert started == [(2, 3), (3, 3), (3, 1)]


def test_images_may_be_mapped_and_read_only(model, images, tmp_path):
    """As prepared splits are."""
    np.save(tmp_path / "images.npy", images)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    pairs = zip(predict(model, mapped, 3, CPU), predict(model, images, 3, CPU), strict=True)
    assert all(torch.equal(one, other) for (_, one), (_, other) in pairs)


def test_no_image_gives_no_batch(model, images):
    """An empty split is nothing to predict."""
    assert list(predict(model, images[:0], 3, CPU)) == []
