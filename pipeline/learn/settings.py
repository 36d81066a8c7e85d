"""The blocks of params.yaml that say how a model is built and trained. Imports no torch: `check` reads them."""

from functools import cache
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from pipeline.plumbing.errors import did_you_mean
from pipeline.plumbing.options import Options


class UNet(Options):
    """An entry of `axes.model`: a U-Net of segmentation_models_pytorch (Ronneberger et al., MICCAI 2015)."""

    encoder: str = "resnet34"
    """Any encoder of segmentation_models_pytorch, or `tu-` and the name of a timm model."""
    weights: Literal["imagenet"] | None = None
    """`imagenet` fetches pretrained weights for the encoder; null starts from random weights."""
    depth: int = Field(default=5, ge=3, le=5)
    """How often the encoder halves the image; images of other sizes are padded to a multiple of 2 to this power."""
    decoder_width: int = Field(default=16, ge=4, le=256)
    """Channels of the last decoder block; each block before it has twice as many."""

    @field_validator("encoder")
    @classmethod
    def _encoder_exists(cls, name: str) -> str:
        if name not in encoders():
            own = [each for each in encoders() if not each.startswith("tu-")]
            raise ValueError(f"no encoder '{name}'. {did_you_mean(name, encoders(), [*own, 'tu-<timm model>'])}")
        return name

    @model_validator(mode="after")
    def _weights_exist(self) -> Self:
        if self.weights and not encoders()[self.encoder]:
            raise ValueError(f"encoder '{self.encoder}' has no {self.weights} weights; set weights to null.")
        return self

    @property
    def decoder_channels(self) -> tuple[int, ...]:
        return tuple(self.decoder_width * 2**block for block in reversed(range(self.depth)))


class Fit(Options):
    """The block `fit`, which a dataset may override. The same for every loss and strategy of a dataset."""

    iterations: int = Field(ge=1, lt=2**31)
    """Optimizer steps. Fixed: nothing that looks at a loss ends or prolongs training."""
    batch_size: int = Field(default=16, ge=2)
    optimizer: Literal["sgd", "adam", "adamw"] = "adamw"
    lr: float = Field(default=1e-3, gt=0)
    """Peak learning rate."""
    momentum: float = Field(default=0.9, ge=0, lt=1)
    """Of sgd, in Nesterov's form."""
    weight_decay: float = Field(default=1e-2, ge=0)
    schedule: Literal["constant", "cosine", "exponential", "polynomial", "one_cycle"] = "cosine"
    """Course of the learning rate; see `pipeline/learn/schedule.py`."""
    warmup: float = Field(default=0.0, ge=0, lt=1)
    """Share of the iterations in which the learning rate rises to its peak."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Probability that a channel in front of the last layer is dropped."""
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    """Of the forward pass; below float32 under autocast, float16 with a scaled loss."""
    compile: bool = False
    """On a GPU, train the network as `torch.compile` makes it: worth its while in trainings of a minute and more. The
    CPU does without."""
    augmentation: Literal["none", "light", "strong"] = "light"
    """Common to all losses; see `pipeline/learn/augmentation.py`."""
    horizontal_flip: bool = True
    """Off where left and right matter, as for digits."""
    validations: int = Field(default=5, ge=1)
    """How often the validation split is predicted, at even distances, the last time after the last iteration."""
    checkpoint: Literal["best_validation_miou", "last"] = "best_validation_miou"
    """Which weights are kept. The test split is never looked at."""

    @model_validator(mode="after")
    def _options_fit_together(self) -> Self:
        self.acts_only_with("momentum", "optimizer", "sgd")
        if self.schedule == "one_cycle" and not self.warmup:
            raise ValueError("schedule 'one_cycle' rises before it falls: set 'warmup', to 0.3 for instance.")
        if self.validations > self.iterations:
            raise ValueError(f"'validations' ({self.validations}) must not exceed 'iterations' ({self.iterations}).")
        return self


class Tune(Options):
    """The block `tune`: a learning rate for every loss, by a search of equal budget for all."""

    rates: int = Field(default=1, ge=1, le=100)
    """Learning rates to try, in even steps of the logarithm, besides the one of the block `fit`; 1 tries that alone."""
    lowest: float = Field(default=1e-4, gt=0)
    highest: float = Field(default=1e-1, gt=0, le=10)
    """At least two decades above the lowest: losses differ by as much in the scale of their gradients."""
    iterations: int | None = Field(default=None, ge=1, lt=2**31)
    """Of each trial; null for as many as a training has."""
    seed: int = Field(default=1000, ge=0, lt=2**31)
    """Of the trials; best one that is not among the seeds of the cells."""

    @model_validator(mode="after")
    def _range_is_wide(self) -> Self:
        if self.highest < 100 * self.lowest:
            raise ValueError(
                f"'highest' ({self.highest:g}) must be at least 100 times 'lowest' ({self.lowest:g}): a narrow search "
                "favours the losses that suit it."
            )
        return self


@cache
def encoders() -> dict[str, bool]:
    """Names that segmentation_models_pytorch accepts, and whether it has ImageNet weights for them.

    From a list that a test compares with the library, since asking the library takes two seconds.
    """
    lines = Path(__file__).with_name("encoders.txt").read_text(encoding="utf-8").splitlines()
    return {name: bool(weights) for name, _, weights in (line.partition(" ") for line in lines)}
