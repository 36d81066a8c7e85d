"""The U-Net: built from any encoder, equal for equal seeds, and loadable without this project."""

import json
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from huggingface_hub import constants
from torch import nn

from pipeline.learn.model import Segmenter, build, load, save, smp
from pipeline.learn.settings import UNet

MEAN, STD = [0.1, 0.5, 0.7], [0.2, 0.25, 0.3]
TINY = UNet(encoder="tu-resnet10t", depth=3, decoder_width=4)

# smp.from_pretrained does not close config.json
pytestmark = pytest.mark.filterwarnings(
    "ignore:unclosed file .*config.json:ResourceWarning",
    "ignore:Exception ignored in. <_io.FileIO .*config.json:pytest.PytestUnraisableExceptionWarning",
)


def tiny(seed: int = 0, classes: int = 4, dropout: float = 0.0) -> nn.Module:
    torch.manual_seed(seed)
    return build(TINY, classes, dropout, MEAN, STD)


def inputs(seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 256, (2, 3, 32, 40), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Directories of two saved models, without and with dropout, and the models."""
    models = {}
    for dropout in (0.0, 0.5):
        directory = tmp_path_factory.mktemp("models") / f"dropout{dropout}"
        model = tiny(dropout=dropout)
        model(inputs())  # moves the statistics of the normalisation layers
        save(model, directory)
        models[directory] = model.eval()
    return models


@pytest.mark.parametrize("depth", [3, 5])
@pytest.mark.parametrize("encoder", ["resnet18", "mobilenet_v2", "mit_b0", "tu-resnet10t", "tu-convnext_atto"])
def test_an_encoder_gives_one_logit_per_class_and_pixel(encoder, depth):
    """Of the library's own and of timm's, at every depth, for images of any height and width."""
    model = build(UNet(encoder=encoder, depth=depth, decoder_width=4), 5, 0.0, MEAN, STD).eval()
    with torch.inference_mode():
        for height, width in ((32, 64), (33, 50)):
            assert model(torch.zeros(1, 3, height, width, dtype=torch.uint8)).shape == (1, 5, height, width)


def test_equal_seeds_give_equal_weights_and_others_do_not():
    """All experiments of a seed start from the same weights."""
    one, same, other = (tiny(seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["unet.segmentation_head.0.weight"], other["unet.segmentation_head.0.weight"])


def test_dropout_changes_neither_the_initial_weights_nor_their_names():
    """A model with it starts where one without it starts, and is loaded as one."""
    plain, dropping = tiny().state_dict(), tiny(dropout=0.5).state_dict()
    assert plain.keys() == dropping.keys()
    assert all(torch.equal(plain[name], dropping[name]) for name in plain)


def test_dropout_acts_in_training_and_not_in_evaluation():
    """Two passes differ only in training."""
    model = tiny(dropout=0.5)
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 0.0  # so that a pass leaves no trace
    assert not torch.equal(model(inputs()), model(inputs()))
    model.eval()
    assert torch.equal(model(inputs()), model(inputs()))
    assert torch.equal(model(inputs()), tiny().eval()(inputs()))


def test_dropout_drops_whole_channels_in_front_of_the_last_layer():
    """With the share that was asked for, the others scaled up."""
    model, seen = tiny(dropout=0.25), []
    model.unet.segmentation_head[0].register_forward_pre_hook(lambda _, args: seen.append(args[0].detach()))
    model.unet.decoder.register_forward_hook(lambda *_: torch.ones(200, 4, 32, 40))
    model(inputs())
    values = seen[0].amax(dim=(2, 3))
    assert torch.equal(values, seen[0].amin(dim=(2, 3)))
    assert values.unique().tolist() == pytest.approx([0, 1 / 0.75])
    assert (values == 0).float().mean().item() == pytest.approx(0.25, abs=0.06)


def test_a_model_is_in_channels_last_layout(saved):
    """As the images it makes of them: no copy between them. A loaded one too."""
    for model in (tiny(), load(next(iter(saved)), MEAN, STD)):
        kernels = [each for each in model.parameters() if each.ndim == 4]
        assert all(each.is_contiguous(memory_format=torch.channels_last) for each in kernels)


def test_a_loaded_model_gives_equal_logits_and_is_ready_for_prediction(saved, capsys):
    """Bit for bit, in evaluation mode, without a word."""
    for directory, model in saved.items():
        loaded = load(directory, MEAN, STD)
        assert not loaded.training
        assert torch.equal(loaded(inputs()), model(inputs()))
    assert capsys.readouterr().out == ""


def test_a_saved_model_never_asks_for_pretrained_weights(no_hub, pretrained, tmp_path, monkeypatch):
    """It has its own: on a machine without them and without a network it is loaded as it was, by this project and by
    the library. So is one that was saved before, whose config names those it began with."""
    with monkeypatch.context() as patch:
        patch.setattr(constants, "HF_HUB_CACHE", str(pretrained / "hub"))
        options = UNet(encoder="tu-tf_efficientnet_lite0", weights="imagenet", depth=3, decoder_width=4)
        model = build(options, 4, 0.0, MEAN, STD).eval()
    save(model, tmp_path / "model")
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    assert (config["encoder_name"], config["encoder_weights"]) == (options.encoder, None)
    assert torch.equal(load(tmp_path / "model", MEAN, STD)(inputs()), model(inputs()))
    alone = Segmenter(smp.from_pretrained(tmp_path / "model"), MEAN, STD).eval()
    torch.testing.assert_close(alone(inputs()), model(inputs()))
    (tmp_path / "model" / "config.json").write_text(json.dumps(config | {"encoder_weights": "imagenet"}))
    assert torch.equal(load(tmp_path / "model", MEAN, STD)(inputs()), model(inputs()))


WITHOUT_THIS_PROJECT = """
import sys, torch
if not hasattr(torch.ops.torchvision, "nms"):  # where torch and torchvision are not of one build
    lib = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        lib.define(name + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
import segmentation_models_pytorch as smp

images, logits = torch.load(sys.argv[1])
for directory in sys.argv[2:]:
    model = smp.from_pretrained(directory).eval()
    assert (model(images) - logits.pop(0)).abs().max() < 1e-5
assert not [name for name in sys.modules if name.split(".")[0] == "pipeline"]
"""


def test_a_saved_model_is_loaded_by_the_library_alone(saved, tmp_path):
    """By someone who has segmentation_models_pytorch and not this project."""
    images = Segmenter(Spy(), MEAN, STD)(inputs())
    torch.save((images, [model(inputs()).detach() for model in saved.values()]), tmp_path / "expected.pt")
    command = [sys.executable, "-P", "-c", WITHOUT_THIS_PROJECT, "expected.pt", *map(str, saved)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


class Spy(nn.Module):
    """In the place of a U-Net whose encoder halves thrice: gives back what it is given."""

    encoder = SimpleNamespace(output_stride=8)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.seen = images
        return images


def test_images_are_normalised_by_the_formula():
    """(x / 255 - mean) / std per channel, in float32 and channels last."""
    model = Segmenter(Spy(), MEAN, STD)
    found = model(inputs())
    for channel in range(3):
        expected = (inputs()[:, channel] / 255 - MEAN[channel]) / STD[channel]
        torch.testing.assert_close(found[:, channel], expected, rtol=1e-5, atol=1e-6)
    assert found.dtype == torch.float32
    assert model.unet.seen.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("size", [(16, 24), (17, 24), (16, 23), (1, 1), (15, 9)])
def test_images_of_any_size_are_padded_by_the_mean_and_the_logits_cropped(size):
    """At the right and bottom, up to what the encoder can halve; pixels stay where they are."""
    model = Segmenter(Spy(), MEAN, STD)
    images = inputs()[:, :, : size[0], : size[1]]
    found = model(images)
    assert found.shape == images.shape
    assert all(side % 8 == 0 and side - 8 < asked for side, asked in zip(model.unet.seen.shape[2:], size, strict=True))
    assert torch.equal(model.unet.seen[..., : size[0], : size[1]], found)
    assert not model.unet.seen[..., size[0] :, :].any(), "normalised, the mean is 0"
    assert not model.unet.seen[..., size[1] :].any()


def test_mean_and_std_are_not_learned():
    """They are those of the train split, and move to the device with the model."""
    assert not {name for name, _ in tiny().named_parameters()} & {"mean", "std"}
    assert {"mean", "std"} <= {name for name, _ in tiny().named_buffers()}
