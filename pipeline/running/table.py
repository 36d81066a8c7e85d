"""The matrix as it is shown: a table that lives on a terminal, and lines for everything else."""

from collections import Counter

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from pipeline.running.matrix import STATES, Matrix, Row

STYLES = {"running": "cyan", "failed": "bold red", "diverged": "yellow", "waiting": "dim"}
WIDTHS = {"state": 8, "iteration": 11, "": 10, "images/s": 8, "time": 11}  # characters of the columns after the name
GAP = 2  # characters between columns
AROUND = 4  # lines of the summary, the head of the table and what is left out


def render(matrix: Matrix, width: int, height: int) -> RenderableType:
    """A summary, and as many stages as `height` lines have room for: those that run first, those that wait last."""
    rows = sorted(matrix.rows.values(), key=lambda row: STATES.index(row.state))
    room = max(1, height - AROUND)
    shown, hidden = rows[:room], Counter(row.state for row in rows[room:])
    parts: list[RenderableType] = [
        Text(summary(matrix), no_wrap=True, overflow="ellipsis"),
        _table(shown, matrix.clock(), width),
    ]
    if hidden:
        parts.append(Text(f"… and {_counted(hidden)}", style="dim"))
    return Group(*parts)


def summary(matrix: Matrix) -> str:
    """`12 of 39 ended: 10 done, 2 failed; 2 running, 25 waiting; 3 min passed, 7 min left`."""
    counts = matrix.counts()
    open_ = {state: counts.pop(state, 0) for state in ("running", "waiting")}
    ended = f"{counts.total()} of {len(matrix.rows)} ended"
    left = matrix.left()
    return "; ".join(
        [
            f"{ended}: {_counted(counts)}" if counts.total() else ended,
            *([_counted(Counter(open_))] if any(open_.values()) else []),
            f"{duration(matrix.seconds())} passed" + ("" if left is None else f", {duration(left)} left"),
        ]
    )


def line(matrix: Matrix, stage: str) -> str:
    """`[3/12] train@digits-unet_tiny-dice-none-0  14 s`, for a stage that has ended."""
    counts, row = matrix.counts(), matrix.rows[stage]
    ended = len(matrix.rows) - counts["running"] - counts["waiting"]
    took = {"failed": "failed", "restored": "restored"}.get(row.state, f"{row.seconds:.0f} s")
    return f"[{ended}/{len(matrix.rows)}] {stage}  {took}" + (", diverged" if row.state == "diverged" else "")


def duration(seconds: float) -> str:
    """`45 s`, `12 min` or `3.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"


def _table(rows: list[Row], now: float, width: int) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    room = max(10, width - sum(WIDTHS.values()) - GAP * len(WIDTHS))
    table.add_column("stage", no_wrap=True)
    for head, characters in WIDTHS.items():
        table.add_column(head, justify="left" if head == "state" else "right", no_wrap=True, width=characters)
    for row in rows:
        # Of a name that is too long the end is shown: that is where names differ.
        name = row.stage if len(row.stage) <= room else f"…{row.stage[1 - room :]}"
        table.add_row(Text(name), Text(row.state, style=STYLES.get(row.state, "")), *_cells(row, now))
    return table


def _cells(row: Row, now: float) -> list[RenderableType]:
    """Iteration, bar, speed and time: what is left of what runs, what it took of what has ended."""
    if row.state == "waiting":
        return [""] * 4
    if row.state != "running":
        return ["", "", "", duration(row.seconds)]
    left = row.left(now)
    return [
        f"{row.iteration}/{row.iterations}" if row.iterations else "",
        ProgressBar(row.iterations, row.iteration, width=WIDTHS[""]) if row.iterations else "",
        f"{row.images_per_second:.0f}" if row.images_per_second else "",
        "" if left is None else f"{duration(left)} left",
    ]


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{counts[state]} {state}" for state in STATES if counts[state])
