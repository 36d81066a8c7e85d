"""The network compiled for a GPU: fewer kernels, launched all at once."""

import os
import shutil
from collections.abc import Callable

import torch
from torch import Tensor, nn

from pipeline.plumbing.errors import UserError

PASSES = 3  # the first compiles, the second allocates, the third is recorded as a CUDA graph
COMPILERS = ("gcc", "clang", "cc")  # those that Triton looks for


def compile_network(model: nn.Module, images: Tensor, autocast: torch.autocast) -> Callable[[Tensor], Tensor]:
    """`model` as `torch.compile` makes it, ready to be trained on batches of the shape of `images`.

    It trains the weights of `model` itself, which is left as it was: compiling takes passes forward and backward, and
    what they change is put back. Logits are overwritten by the next pass. Raises UserError without a C compiler.
    """
    if not any(map(shutil.which, [os.environ.get("CC", ""), *COMPILERS])):
        raise UserError("fit.compile: true needs a C compiler, and none is here. Install gcc, or set it to false.")
    network = torch.compile(model, mode="reduce-overhead")
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    with torch.random.fork_rng(devices=[images.device] if images.is_cuda else []):
        for _ in range(PASSES):
            with autocast:
                logits = network(images)
            logits.backward(torch.zeros_like(logits))
            model.zero_grad()  # the next pass overwrites gradients, which must not be added to
    for name, buffer in model.named_buffers():
        buffer.copy_(buffers[name])
    return network
