"""Numbers as text, the same in every table, figure and sentence."""

import pandas as pd

UNKNOWN = "–"


def number(value: float, form: str = ".3f") -> str:
    """A number as text, and a dash for one that is not known."""
    return UNKNOWN if pd.isna(value) else format(value, form)


def percent(share: float) -> str:
    """A share of 1 as `0.35 %`, two digits that count."""
    return UNKNOWN if pd.isna(share) else f"{float(f'{100 * share:.2g}'):g} %"


def interval(low: float, high: float, form: str = ".3f") -> str:
    """`[0.1, 0.2]`, or a dash."""
    return UNKNOWN if pd.isna(low) else f"[{low:{form}}, {high:{form}}]"


def mean_and_spread(mean: float, std: float, form: str = ".3f") -> str:
    """`0.531 ± 0.088`; without the spread where there is none."""
    return number(mean, form) + ("" if pd.isna(std) else f" ± {std:{form.removeprefix('+')}}")


def estimate(mean: float, std: float, low: float, high: float, form: str = ".3f") -> str:
    """`0.531 ± 0.088` above `[0.313, 0.748]`; without what there is not."""
    return mean_and_spread(mean, std, form) + ("" if pd.isna(low) else f"\n{interval(low, high, form)}")


def chance(probability: float) -> str:
    """A probability as text; one nearer to 0 or 1 than it can be known is not spelled out."""
    return "< 0.001" if probability < 0.001 else "> 0.999" if probability > 0.999 else number(probability)


def p_value(p: float) -> str:
    """`p = 0.040`, or `p < 0.001`."""
    text = chance(p)
    return f"p {text}" if text[0] in "<>" else f"p = {text}"
