"""Fetch the pretrained weights that params.yaml asks for into the cache of this machine.

`python -m pipeline.run` does so before the first cell. For machines without a network, run it on one that has one, and
take along the folder that HF_HOME names.
"""

import argparse

from pipeline.learn.model import build
from pipeline.learn.settings import UNet
from pipeline.plumbing.errors import run_stage
from pipeline.plumbing.plan import read_plan


def main() -> None:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    for name in read_plan("report")["axes"]["model"]:
        options = UNet.model_validate(read_plan("train", "model", name))
        if options.weights:
            build(options, classes=2, dropout=0.0, mean=[0.5] * 3, std=[0.5] * 3)
            print(f"{name}: the {options.weights} weights of {options.encoder} are here.")


if __name__ == "__main__":
    run_stage(main)
