"""What may be said of an experiment beside the control, in a word."""


def verdict(
    mean: float,
    p_holm: float,
    p_equivalent_holm: float,
    noise: float,
    confidence: float,
    higher_is_better: bool = True,
) -> str:
    """`equivalent`, `better`, `worse` or `inconclusive`.

    `mean` is the difference from the control; the p-values are corrected over the rows of a dataset. `noise` is how far
    the control, trained again with other seeds, came to lie from itself: a smaller difference is no finding, whatever
    its p; NaN where that was not tried. `equivalent` goes first: a difference that is certainly there and certainly too
    small to matter is no reason to prefer one. A p of NaN allows no claim.
    """
    level = 1 - confidence
    if p_equivalent_holm < level:
        return "equivalent"
    if not p_holm < level or abs(mean) <= noise:
        return "inconclusive"
    return "better" if (mean > 0) == higher_is_better else "worse"
