"""The U-Net: built, saved and loaded. The one module that imports the models of segmentation_models_pytorch."""

import contextlib
import io
import logging
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from pipeline.learn.pretrained import with_weights
from pipeline.learn.settings import UNet
from pipeline.learn.torchvision_schemas import declare_missing_operators

declare_missing_operators()
import segmentation_models_pytorch as smp  # noqa: E402  it imports torchvision

logging.getLogger("timm").setLevel(logging.ERROR)  # it warns of the classifier that every encoder goes without


class Segmenter(nn.Module):
    """A U-Net from uint8 images `b 3 h w` to logits `b c h w`, for any height and width.

    Normalises on the device by the mean and standard deviation of the train split, pads with the mean at the right and
    bottom to a size that the encoder can halve, and crops the logits to the size of the image.
    """

    def __init__(self, unet: nn.Module, mean: list[float], std: list[float]) -> None:
        """`mean` and `std` of the channels, of pixels in 0..1."""
        super().__init__()
        self.unet = unet
        self.register_buffer("mean", 255 * torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", 255 * torch.tensor(std).view(1, 3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        height, width = images.shape[2:]
        stride = self.unet.encoder.output_stride
        normalised = (images.float() - self.mean) / self.std
        padded = nn.functional.pad(normalised, (0, -width % stride, 0, -height % stride))
        return self.unet(padded.contiguous(memory_format=torch.channels_last))[..., :height, :width]


def build(options: UNet, classes: int, dropout: float, mean: list[float], std: list[float]) -> Segmenter:
    """A new model with `classes` output channels; random weights come from torch's global generator.

    Raises UserError if pretrained weights are asked for that are not to be had.
    """
    make = partial(_unet, options, classes)
    unet = with_weights(make, options.encoder) if options.weights else make()
    if dropout:
        # A hook, not a layer: a layer would shift the names of the weights, and from_pretrained could not load them.
        def drop(head: nn.Module, inputs: tuple[Tensor]) -> Tensor:
            return nn.functional.dropout2d(inputs[0], dropout, head.training)

        unet.segmentation_head.register_forward_pre_hook(drop)
    return Segmenter(unet.to(memory_format=torch.channels_last), mean, std)


def _unet(options: UNet, classes: int) -> nn.Module:
    timms = options.encoder.startswith("tu-")
    return smp.Unet(
        encoder_name=options.encoder,
        encoder_depth=options.depth,
        encoder_weights=True if options.weights and timms else options.weights,  # those of timm have no name there
        decoder_channels=options.decoder_channels,
        classes=classes,
    )


def save(model: Segmenter, directory: Path) -> None:
    """Write `config.json` and `model.safetensors`; `smp.from_pretrained(directory)` loads them without this project."""
    model.unet.config["encoder_weights"] = None  # or who loads it would first fetch weights that it then overwrites
    model.unet.save_pretrained(directory)


def load(directory: Path, mean: list[float], std: list[float]) -> Segmenter:
    """The saved model, ready for prediction."""
    with contextlib.redirect_stdout(io.StringIO()):  # the library announces every load
        unet = smp.from_pretrained(directory, encoder_weights=None)  # models saved before name some
    return Segmenter(unet.to(memory_format=torch.channels_last), mean, std).eval()
