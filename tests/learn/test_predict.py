"""Prediction of a whole split."""

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.learn.predict import predict

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


def test_images_may_be_mapped_and_read_only(model, images, tmp_path):
    """As prepared splits are."""
    np.save(tmp_path / "images.npy", images)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    pairs = zip(predict(model, mapped, 3, CPU), predict(model, images, 3, CPU), strict=True)
    assert all(torch.equal(one, other) for (_, one), (_, other) in pairs)


def test_no_image_gives_no_batch(model, images):
    """An empty split is nothing to predict."""
    assert list(predict(model, images[:0], 3, CPU)) == []
