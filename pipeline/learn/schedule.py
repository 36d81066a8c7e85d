"""Learning-rate schedules: the factor on the peak rate, as a function of the iteration alone."""

import math

EXPONENTIAL_END = 0.01  # the factor that the exponential schedule reaches at the end
POLYNOMIAL_POWER = 0.9  # Chen et al., "DeepLab", TPAMI 2018, section 4.1.2
ONE_CYCLE_START = 1 / 25  # with the end below, as Smith and Topin, "Super-Convergence", 2018, in torch's OneCycleLR
ONE_CYCLE_END = 1 / 25e4


def lr_factor(schedule: str, warmup: float, iteration: int, iterations: int) -> float:
    """Factor in (0, 1] for an iteration counted from 0.

    During the share `warmup` of the iterations the factor rises linearly to 1 (in `one_cycle` by a half cosine from
    1/25); then it falls from 1 by the schedule, over the iterations that remain.
    """
    rising = round(warmup * iterations)
    if iteration < rising:
        share = iteration / rising
        return _cosine(ONE_CYCLE_START, 1.0, share) if schedule == "one_cycle" else (iteration + 1) / rising
    share = (iteration - rising) / (iterations - rising)
    match schedule:
        case "constant":
            return 1.0
        case "cosine":
            return _cosine(1.0, 0.0, share)
        case "exponential":
            return EXPONENTIAL_END**share
        case "polynomial":
            return (1 - share) ** POLYNOMIAL_POWER
        case "one_cycle":
            return _cosine(1.0, ONE_CYCLE_END, share)
    raise ValueError(f"no schedule '{schedule}'")


def _cosine(start: float, end: float, share: float) -> float:
    """Half a cosine from `start` at share 0 to `end` at share 1."""
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2
