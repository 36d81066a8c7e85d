"""Writes into its journal how a training goes on."""

import math
import time

from pipeline.learn.fit import Listener
from pipeline.learn.trainer import Validation
from pipeline.plumbing.journal import Journal


class Journalist(Listener):
    def __init__(self, journal: Journal, iterations: int, batch_size: int) -> None:
        self.journal, self.iterations, self.batch_size = journal, iterations, batch_size
        self.first: tuple[int, float] | None = None
        """The first iteration of this process that was seen done, and when: before it, libraries warm up."""

    def progress(self, iteration: int) -> None:
        now = time.perf_counter()
        self.first = self.first or (iteration, now)
        done, since = self.first
        speed = (iteration - done) * self.batch_size / (now - since) if iteration > done else 0.0
        self.journal.progress(iteration, self.iterations, speed)

    def validated(self, validation: Validation) -> None:
        shown = {"train/loss": validation.train_loss, "val/miou": validation.val_miou}
        shown |= {f"train/loss/{name}": mean for name, mean in validation.terms.items() if math.isfinite(mean)}
        self.journal.point(shown, validation.iteration, validation.at)
