"""What a run would do, in words: its stages, their time, and the disk they would take."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from pipeline.plumbing.removal import in_words
from pipeline.running.table import duration

WORDS = {"tune": ("search", "searches"), "train": ("cell", "cells"), "repeat": ("repeat", "repeats")}


class Cost(NamedTuple):
    """What one stage would take."""

    seconds: float
    disk: int
    """Bytes that stay: of its outputs and of what is predicted with them, with the copies in DVC's cache."""
    state: int
    """Bytes more while it runs."""


def described(stages: Iterable[str], costs: Mapping[str, Cost], places: int) -> list[str]:
    """Lines about the stages, of which `places` run at once; those of one dataset, model and loss together.

    `costs` lacks the stages of which nothing can be said yet.
    """
    groups: dict[tuple[str, str], list[str]] = {}
    for stage in stages:
        group, _, name = stage.partition("@")
        groups.setdefault((group, " × ".join(name.split("-")[:3])), []).append(stage)
    lines = []
    for (group, kind), members in groups.items():
        took = [costs[stage].seconds for stage in members if stage in costs]
        about = f", about {duration(sum(took))}" if len(took) == len(members) else ""
        lines.append(f"{group:7} {kind:45} {_counted(len(members), *WORDS[group])}{about}")
    return [*lines, _whole(list(costs.values()), places)] if costs else lines


def _whole(costs: list[Cost], places: int) -> str:
    """The sum of all, under the assumption that the places are never idle."""
    seconds = max([sum(cost.seconds for cost in costs) / places, *(cost.seconds for cost in costs)])
    running = sorted((cost.state for cost in costs), reverse=True)[:places]
    disk, more = sum(cost.disk for cost in costs), sum(running)
    at_once = f"{places} at a time" if places > 1 else "one after another"
    return (
        f"Estimate from a few steps of each kind: about {duration(seconds)}, {at_once}; about "
        f"{in_words(disk)} of disk, and {in_words(more)} more while they run."
    )


def _counted(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
