"""The trainings whose speed is compared. Each tells its laps when an iteration is done, and takes the network, data,
batch size, augmentation and precision of a `Task`.
"""

import functools
import importlib.util
import itertools
import logging
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from pipeline.learn.compiled import compile_network
from pipeline.learn.device import loader_workers
from pipeline.learn.fit import Listener, fit
from pipeline.learn.samples import TrainSamples, batches, open_split
from pipeline.learn.settings import Fit, UNet
from pipeline.learn.torchvision_schemas import declare_missing_operators
from pipeline.learn.trainer import Validation, make_optimizer
from pipeline.learn.training import Task, assemble, initial_model, validation_scores
from pipeline.plumbing import plugins
from pipeline.plumbing.errors import UserError
from pipeline.plumbing.files import read_json
from pipeline.plumbing.plan import PREPARED, read_plan

FIRST = 2  # iterations in which memory is allocated and kernels are chosen
EXAMPLE = Path(__file__).with_name("training_example.txt")
"""Source, not a module: nothing but this comparison needs Lightning."""

Batch = tuple[Tensor, ...]
Validate = Callable[[nn.Module], tuple[float, list[float]]]


class Laps(Listener):
    """Reads a clock after the first iterations of a training, after the last, and after a validation."""

    def __init__(self, iterations: int, now: Callable[[], float], wait: Callable[[], Any] = lambda: None) -> None:
        """`wait` is called before the first reading: until other trainings have come as far."""
        self.iterations, self.now, self.wait = iterations, now, wait
        self.read: list[float] = []

    def progress(self, iteration: int) -> None:
        if iteration == FIRST:
            self.wait()
        if iteration in (FIRST, self.iterations):
            self.read.append(self.now())

    def validated(self, validation: Validation) -> None:
        self.read.append(self.now())

    @property
    def seconds_per_iteration(self) -> float:
        return (self.read[1] - self.read[0]) / (self.iterations - FIRST)

    @property
    def seconds_of_validation(self) -> float:
        return self.read[2] - self.read[1]


def task_of(dataset: str, model: str, iterations: int | None = None) -> Task:
    """A training with cross-entropy and no strategy at the settings of the plan, from random weights."""
    prepared = PREPARED / dataset
    if not (prepared / "meta.json").is_file():
        raise UserError(f"{prepared}: missing. `dvc repro prepare` makes it.")
    settings = Fit.model_validate(read_plan("train", "dataset", dataset)["fit"])
    if iterations:
        settings = settings.model_copy(update={"iterations": iterations, "validations": 1, "checkpoint": "last"})
    return Task(
        prepared=prepared,
        meta=read_json(prepared / "meta.json"),
        model=UNet.model_validate(read_plan("train", "model", model)).model_copy(update={"weights": None}),
        fit=settings,
        loss=plugins.build("losses", "cross_entropy", {}, "cross_entropy"),
        strategy=plugins.build("strategies", "none", {}, "none"),
        seed=0,
    )


def clock(device: torch.device) -> Callable[[], float]:
    """Processor time where one thread does all the work, so that what else the machine does counts little; else wall
    time."""
    alone = device.type == "cpu" and torch.get_num_threads() == 1 and not loader_workers(device)
    return time.process_time if alone else wall_clock(device)


def wall_clock(device: torch.device) -> Callable[[], float]:
    """Seconds; on a GPU when all work that was queued is done."""

    def now() -> float:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter()

    return now


# --- the trainings ---

Training = Callable[[Task, torch.device, Laps], nn.Module | None]


def bare_steps(task: Task, device: torch.device, laps: Laps) -> nn.Module:
    """Forward, loss, backward and optimizer on one batch that lies on the device: what the hardware can do."""
    settings, model = task.fit, initial_model(task).to(device).train()
    samples, criterion = assemble(task, device)
    optimizer = make_optimizer(itertools.chain(model.parameters(), criterion.parameters()), settings)
    mixed = settings.precision != "float32"
    autocast = torch.autocast(device.type, getattr(torch, settings.precision), enabled=mixed)
    scaler = torch.amp.GradScaler(device.type, enabled=settings.precision == "float16")
    images, masks = (each.to(device) for each in first_batch(samples, settings))
    compiled = settings.compile and device.type == "cuda"
    network = compile_network(model, images, autocast) if compiled else model
    for iteration in range(settings.iterations):
        with autocast:
            logits = network(images)
        loss = criterion(logits, masks, iteration=iteration)
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        laps.progress(iteration + 1)
    return model


def only_batches(task: Task, device: torch.device, laps: Laps) -> None:
    """No training: what making the batches takes."""
    upcoming = batches(assemble(task, device)[0], task.fit.batch_size, loader_workers(device), device)
    for iteration, _ in enumerate(upcoming, start=1):
        laps.progress(iteration)


def loop_over_one_batch(task: Task, device: torch.device, laps: Laps) -> nn.Module:
    """The loop of this project over a batch that is ready: all that it does, but for making batches."""
    samples, _ = assemble(task, device)
    batch = [each.pin_memory() if device.type == "cuda" else each for each in first_batch(samples, task.fit)]
    return _loop(task, device, laps, lambda start: itertools.repeat(batch, task.fit.iterations), _no_validation)


def whole_loop(task: Task, device: torch.device, laps: Laps, validate: Validate | None = None) -> nn.Module:
    """The loop of this project as `train` runs it, with augmentation; validated at the end, if at all."""
    samples, _ = assemble(task, device)
    upcoming = functools.partial(batches, samples, task.fit.batch_size, loader_workers(device), device)
    return _loop(task, device, laps, upcoming, validate or _no_validation)


def validated_loop(task: Task, device: torch.device, laps: Laps) -> nn.Module:
    scores = functools.partial(validation_scores, task.prepared, len(task.meta["classes"]), task.fit, device)
    return whole_loop(task, device, laps, scores)


def example(task: Task, device: torch.device, laps: Laps) -> nn.Module:
    """The program in `EXAMPLE`. Images lie in files at the prepared size, so that it need not resize them."""
    settings, (samples, _) = task.fit, assemble(task, device)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it advises more loader processes
        return load_example()["train"](
            folder=folder,
            names=write_files(task.prepared, samples.draws.images, Path(folder)),
            augmentation=samples.augmentations[0].common,
            batch_size=settings.batch_size,
            workers=loader_workers(device),
            model=example_model(task),
            accelerator="gpu" if device.type == "cuda" else "cpu",
            devices=[device.index or 0] if device.type == "cuda" else 1,
            precision={"float32": "32-true", "bfloat16": "bf16-mixed", "float16": "16-mixed"}[settings.precision],
            progress=laps.progress,
        )


def has_example() -> bool:
    """Whether Lightning is installed."""
    return importlib.util.find_spec("lightning") is not None


def load_example() -> dict[str, Any]:
    """The names of the program in `EXAMPLE`. Raises ImportError where Lightning is not installed."""
    declare_missing_operators()
    names = {"__name__": EXAMPLE.stem}
    exec(compile(EXAMPLE.read_text(encoding="utf-8"), str(EXAMPLE), "exec"), names)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    return names


def example_model(task: Task) -> dict[str, Any]:
    """What its LightningModule is made with: the network and the optimizer of the task."""
    settings, meta, unet = task.fit, task.meta, task.model
    network = {"encoder_name": unet.encoder, "encoder_depth": unet.depth, "encoder_weights": None}
    network |= {"decoder_channels": unet.decoder_channels, "classes": len(meta["classes"])}
    optimizer = {"lr": settings.lr, "weight_decay": settings.weight_decay, "steps": settings.iterations}
    return {"unet": network, "mean": meta["mean"], "std": meta["std"], **optimizer}


def first_batch(samples: TrainSamples, settings: Fit) -> Batch:
    return next(iter(batches(samples, settings.batch_size, 0, torch.device("cpu"))))


def write_files(prepared: Path, drawn: np.ndarray, folder: Path) -> list[str]:
    """Write the train images that are drawn as PNG files, and return the name of the file of each draw."""
    images, masks = open_split(prepared, "train")
    for kind, arrays in (("images", images), ("masks", masks)):
        (folder / kind).mkdir()
        for index in np.unique(drawn):
            Image.fromarray(np.array(arrays[index])).save(folder / kind / f"{index}.png", compress_level=1)
    return [str(index) for index in drawn]


def _loop(
    task: Task, device: torch.device, laps: Laps, upcoming: Callable[[int], Iterable[Batch]], validate: Validate
) -> nn.Module:
    model, (_, criterion) = initial_model(task).to(device), assemble(task, device)
    fit(model, criterion, upcoming, task.fit, device, validate, laps)
    return model


def _no_validation(model: nn.Module) -> tuple[float, list[float]]:
    return 0.0, []
