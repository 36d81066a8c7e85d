"""The dial: the same losses and strategies on datasets that differ in how rare one class is in training.

Datasets stand on one dial if params.yaml has them of one kind, with equal classes and image size, and the share of one
class differs between their train splits.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from pipeline.measure.tables.scores import EXPERIMENT

QUANTITIES = {"pixels": "pixel_frequency", "images": "image_frequency"}
SAME = 1.25  # shares within this factor are one position of the dial
SCORES = ("iou", "iou_low", "iou_high")
DIFFERENCE = {"mean": "difference", "low": "difference_low", "high": "difference_high"}


class Dial(NamedTuple):
    """Datasets ordered from the one where a class is least rare to the one where it is rarest."""

    name: str
    """The kind of the datasets, with a number from the second dial of a kind on."""
    class_name: str
    """The class whose share differs most between the datasets."""
    quantity: str
    """What `shares` are shares of: `pixels`, or `images` where the share of pixels is the same."""
    shares: dict[str, float]
    """Of the train split, by dataset."""


def find_dials(metas: Mapping[str, Mapping[str, Any]]) -> list[Dial]:
    """The dials among datasets, each described by its meta.json."""
    groups: dict[tuple, dict[str, Mapping[str, Any]]] = {}
    for name, meta in metas.items():
        groups.setdefault((meta["kind"], *meta["classes"], *meta["image_size"]), {})[name] = meta
    found, of_kind = [], Counter()
    for (kind, *_), group in groups.items():
        if dial := _dial(kind, group):
            of_kind[kind] += 1
            found.append(dial._replace(name=f"{kind}_{of_kind[kind]}") if of_kind[kind] > 1 else dial)
    return found


def dial_table(
    dials: list[Dial], board: pd.DataFrame, classes: pd.DataFrame, effects: pd.DataFrame, primary: str
) -> pd.DataFrame:
    """A row per dial, position and experiment, least rare first: `share` of the class, the primary metric and the IoU
    of that class with intervals, and the paired difference of the metric from the control's strategy under the same
    loss with its verdict (NaN for that strategy itself)."""
    score = [primary, f"{primary}_low", f"{primary}_high"]
    columns = ["dial", "class_name", "quantity", "share", *EXPERIMENT, "n", *score, *SCORES]
    tables = [pd.DataFrame(columns=columns)] if not dials else []
    for dial in dials:
        of_class = classes.loc[classes["class_name"] == dial.class_name, [*EXPERIMENT, *SCORES]]
        place = {"dial": dial.name, "class_name": dial.class_name, "quantity": dial.quantity}
        rows = board[board["dataset"].isin(dial.shares)].assign(**place)
        rows["share"] = rows["dataset"].map(dial.shares)
        rows = rows.merge(of_class, on=EXPERIMENT, how="left")
        tables.append(rows.sort_values("share", ascending=False, kind="stable")[columns])
    found = effects.rename(columns=DIFFERENCE)[[*EXPERIMENT, *DIFFERENCE.values(), "p_holm", "verdict"]]
    return pd.concat(tables).merge(found, on=EXPERIMENT, how="left")


def _dial(kind: str, metas: Mapping[str, Mapping[str, Any]]) -> Dial | None:
    """The dial on which datasets of equal classes stand; None if no class differs in its share."""
    shares = {what: np.array([meta[key] for meta in metas.values()]) for what, key in QUANTITIES.items()}
    factors = {what: each.max(axis=0) / each.min(axis=0) for what, each in shares.items()}
    index = int(np.maximum(*factors.values()).argmax())
    for quantity in QUANTITIES:
        if factors[quantity][index] > SAME:
            by_dataset = zip(metas, shares[quantity][:, index].tolist(), strict=True)
            ordered = dict(sorted(by_dataset, key=lambda each: each[1], reverse=True))
            return Dial(kind, next(iter(metas.values()))["classes"][index], quantity, ordered)
    return None
