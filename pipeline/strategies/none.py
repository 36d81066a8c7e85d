"""None: the control."""

from pipeline.strategies.base import Strategy


class NoStrategy(Strategy):
    """Nothing is done: equal pixel weights, shuffled passes over the images, the common augmentation."""
