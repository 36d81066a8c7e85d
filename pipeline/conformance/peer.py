"""A loss of another library, called as its documentation says to get the multi-class softmax form, with void pixels and
class weights where it offers them.

A call is Python source, since it is printed as the first line of every reproduction. A loss offers void pixels if its
call names 255, and class weights if it takes `w`. Losses of one logit per pixel are given the difference of two.
"""

import importlib.metadata
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from pipeline.conformance.experiment import Promise, Subject
from pipeline.learn.torchvision_schemas import declare_missing_operators

IMPORTS = {
    "torch": "from torch import nn",
    "torchvision": "from torchvision import ops",
    "segmentation_models_pytorch": "from segmentation_models_pytorch import losses as smp",
    "monai": "from monai import losses as monai",
    "kornia": "from kornia import losses as kornia",
    "pytorch_toolbelt": "from pytorch_toolbelt import losses as toolbelt",
}
"""How each library is imported. Source too: only this package reaches for them, and only where they are installed."""


MONAI = "softmax=True, to_onehot_y=True"


@dataclass(frozen=True)
class Peer:
    """One loss of a library."""

    library: str
    call: str
    """An expression of `logits`, `target`, perhaps `w`, and `**o` for options."""
    promise: Promise
    kind: str = ""
    """The loss of this project that computes the same, to compare their speed."""
    classes: int = 3
    options: tuple[str, ...] = ()
    """As in `Subject`."""
    title: str = ""
    """Its name where `call` does not begin with it."""
    remark: str = ""
    """What the documentation of the library says about a property that fails, to be fair to it."""

    @property
    def name(self) -> str:
        """As it is written in the library, with what is set for good: `smp.DiceLoss('multiclass')`."""
        text = re.sub(r"\*\*\{(.*?)\} \| o", lambda found: re.sub(r"'(\w+)': ", r"\1=", found[1]), self.call)
        text = re.sub(rf",? ?(\*\*o|ignore(_index)?=255|(class_)?weights?=w|(?<!_){MONAI})(?=[,)])", "", text)
        return self.title or text.replace("(, ", "(").split(")(")[0] + ")"

    @property
    def source(self) -> str:
        """The first line of a reproduction, which defines `loss`."""
        arguments = "logits, target, w=None, **o" if "=w" in self.call else "logits, target, **o"
        return f"import torch; {IMPORTS[self.library]}; loss = lambda {arguments}: {self.call}"

    def load(self) -> Callable[..., Tensor]:
        """The loss itself. Raises ImportError where its library is not installed."""
        declare_missing_operators()
        names: dict[str, Any] = {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exec(self.source, names)
        return names["loss"]

    def subject(self) -> Subject:
        return Subject(
            loss=self.load(),
            promise=self.promise,
            classes=self.classes,
            void="255" in self.call,
            weights="=w" in self.call,
            options=self.options,
        )


def version(library: str) -> str:
    """The installed version, without the label of a build. Raises PackageNotFoundError."""
    return importlib.metadata.version(library).split("+")[0]
