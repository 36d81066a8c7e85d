"""None: the control."""

from pipeline.strategies.base import Strategy


class NoStrategy(Strategy):
    """Nothing is done: equal pixel weights, shuffled passes over the images, the common augmentation.

    Use: always, since every claim about another strategy is a difference from it, and strategies that act on
    decisions are fitted to its trainings.

    Calibration: that of the loss, with the prior of the train split.

    Family: control.
    """
