"""The runs of cells: params, scores, curves, costs, and a picture of what was predicted."""

from typing import Any, NamedTuple, Self

import numpy as np
from pyarrow.parquet import read_table

from pipeline.measure.counts.region import COUNTS as COLUMNS
from pipeline.measure.counts.region import iou
from pipeline.measure.evidence import source_of
from pipeline.measure.tables.gallery import stored_masks
from pipeline.mlflow_view.keys import metric_key, plain
from pipeline.mlflow_view.names import COMMIT, cell_name, cell_params, cell_tags
from pipeline.mlflow_view.picture import picture
from pipeline.mlflow_view.report import known
from pipeline.mlflow_view.showcase import Exhibit
from pipeline.plumbing.arrays import open_array
from pipeline.plumbing.cells import Cell
from pipeline.plumbing.files import digest, file_digest, read_csv, read_json
from pipeline.plumbing.plan import COUNTS, MODELS, PREDICTIONS, PREPARED, read_plan
from pipeline.plumbing.tracking import Point, Store

FILES = ("cell.json", "history.csv", "provenance.json")  # the weights stay in DVC, under the tag `dvc.path`


class CellFiles(NamedTuple):
    """What the files say of a trained cell."""

    cell: Cell
    facts: dict[str, Any]
    origin: dict[str, Any]
    status: str
    """finished or diverged, of the training whose weights are judged."""
    evaluation: dict[str, Any] | None
    """None if nothing was judged, since training diverged."""

    @classmethod
    def read(cls, cell: Cell) -> Self:
        facts, origin = (read_json(MODELS / cell.name / f"{name}.json") for name in ("cell", "provenance"))
        judged = COUNTS / cell.name / "evaluation.json"
        return cls(cell, facts, origin, source_of(facts)["status"], read_json(judged) if judged.is_file() else None)

    @property
    def decision(self) -> dict[str, Any] | None:
        """What was fitted on the validation split, if anything was."""
        return (self.evaluation or {}).get("decision")

    def tags(self, kind: str) -> dict[str, str]:
        """Of a run of this kind, cell or repeat."""
        stage = {"cell": self.cell.stage, "repeat": f"repeat@{self.cell.name}"}[kind]
        tags = {**cell_tags(self.facts), "kind": kind, "status": self.facts["status"], "dvc.stage": stage}
        if commit := self.origin["git_commit"]:
            tags |= {"git.commit": commit, COMMIT: commit.removesuffix("-dirty")}
        return tags

    def params(self) -> dict[str, Any]:
        where = {key: self.origin[key] for key in ("device", "threads") if self.origin[key] is not None}
        return cell_params(self.facts) | where

    def points(self, scores: dict[str, float]) -> list[Point]:
        """First the `scores` of the report, since MLflow shows metrics in the order in which they came."""
        finals = {metric_key(name): value for name, value in scores.items()} | self._class_scores()
        if self.decision:
            offsets = zip(plain(self.facts["classes"]), self.decision["offsets"], strict=True)
            finals |= {f"decision/offset/{name}": value for name, value in offsets}
            finals |= {f"decision/{name}": self.decision[name] for name in ("val_miou_before", "val_miou")}
        return [*(Point(key, value, 0, self.origin["ended"]) for key, value in finals.items()), *self._curve()]

    def _class_scores(self) -> dict[str, float]:
        """IoU of each class on the test images, from the counts summed over them."""
        if self.evaluation is None:
            return {}
        columns = read_table(COUNTS / self.cell.name / "classes.parquet", columns=["class_index", *COLUMNS])
        index, *counts = (column.to_numpy() for column in columns)
        names = [f"test/iou/{name}" for name in plain(self.facts["classes"])]
        summed = np.stack([np.bincount(index, count, len(names)) for count in counts], axis=-1)
        return known(dict(zip(names, iou(summed), strict=True)), names)

    def _curve(self) -> list[Point]:
        """The validations. Where nothing was trained, the one of `evaluate` stands in their place."""
        if self.facts["status"] == "reused":
            last = self.facts["plan"]["dataset"]["fit"]["iterations"]
            return [Point("val/miou", self.decision["val_miou"], last, self.origin["ended"])] if self.decision else []
        classes = self.facts["classes"]
        keys = {f"val_iou/{name}": f"val/iou/{short}" for name, short in zip(classes, plain(classes), strict=True)}
        keys |= {"train_loss": "train/loss", "val_miou": "val/miou", "lr": "train/lr"}
        rows = read_csv(MODELS / self.cell.name / "history.csv")
        terms = [column for column in (rows[0] if rows else ()) if column.startswith("train_loss/")]
        keys |= {column: column.replace("train_loss", "train/loss", 1) for column in terms}
        return [
            Point(key, float(row[column]), int(row["iteration"]), at)
            for row, at in zip(rows, self.origin["validated"], strict=True)
            for column, key in keys.items()
            if row[column] not in ("", "nan")
        ]


class CellJob(NamedTuple):
    """A cell to be shown."""

    cell: Cell
    kind: str
    """cell or repeat"""
    scores: dict[str, float]
    """As in the report."""
    images: list[int]
    """Places of the test images to show."""

    def exhibit(self) -> Exhibit:
        files, stored = CellFiles.read(self.cell), PREDICTIONS / f"{self.cell.name}.npz"
        images = self.images if stored.is_file() else []
        counted = [file_digest(file) for file in (COUNTS / self.cell.name).glob("classes.parquet")]
        pictured = [images, file_digest(stored)] if images else []
        content = digest([*files[1:], self.kind, self.scores, counted, pictured, read_plan("publish")])
        started, tags = files.origin["started"], files.tags(self.kind)
        return Exhibit(files.facts["fingerprint"], cell_name(self.cell), started, tags, content, self.fill)

    def fill(self, store: Store, run: Any) -> tuple[list[Point], dict[str, Any]]:
        """As an exhibit wants it. Files come before metrics: to find their place, MLflow reads the whole run."""
        files = CellFiles.read(self.cell)
        store.add_files(run, *(MODELS / self.cell.name / name for name in FILES))
        if self.images and (PREDICTIONS / f"{self.cell.name}.npz").is_file():
            store.add_picture(run, "predictions", _predictions(self.cell, self.images), files.origin["ended"])
        store.add_dataset(run, self.cell.dataset, files.facts["data_digest"], _citation(self.cell.dataset))
        store.finish(run, files.origin["ended"], "FINISHED" if files.status == "finished" else "FAILED")
        return files.points(self.scores), files.params()


def _predictions(cell: Cell, images: list[int]) -> np.ndarray:
    arrays = (open_array(PREPARED / cell.dataset / f"test_{kind}.npy") for kind in ("images", "masks"))
    classes = len(read_json(PREPARED / cell.dataset / "meta.json")["classes"])
    return picture(*(each[images] for each in arrays), stored_masks(cell, images), classes)


def _citation(dataset: str) -> str:
    return read_json(PREPARED / dataset / "about.json")["citation"]
