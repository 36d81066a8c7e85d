"""The trainings whose speed is compared do the same work, and are timed over the same iterations."""

import time

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.conformance.training import (
    EXAMPLE,
    FIRST,
    Laps,
    bare_steps,
    clock,
    example,
    example_model,
    first_batch,
    has_example,
    load_example,
    loop_over_one_batch,
    only_batches,
    task_of,
    validated_loop,
    wall_clock,
    whole_loop,
    write_files,
)
from pipeline.learn.training import assemble, initial_model
from pipeline.plumbing.errors import UserError
from pipeline.plumbing.random_streams import small_seed
from tests.conformance.conftest import CLASSES, SIDE

CPU = torch.device("cpu")
LIGHTNING = pytest.mark.skipif(not has_example(), reason="Lightning is not installed; `make bench-train` installs it")
WEIGHTS = "encoder.model.conv1.0.weight"


def small_task(iterations: int = FIRST + 2, **changes):
    task = task_of("squares", "tiny", iterations)
    return task._replace(fit=task.fit.model_copy(update={"schedule": "constant"} | changes))


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    "training", [bare_steps, loop_over_one_batch, whole_loop, only_batches, pytest.param(example, marks=LIGHTNING)]
)
def test_every_training_reads_the_clock_after_the_first_iterations_and_after_the_last(training):
    """Of a clock that goes on by one at each look."""
    ticks, counted = iter(range(100)), []
    laps = Laps(FIRST + 3, lambda: float(next(ticks)))
    laps.progress = lambda iteration: (counted.append(iteration), Laps.progress(laps, iteration))
    training(small_task(FIRST + 3), CPU, laps)
    assert counted == list(range(1, FIRST + 4))
    assert laps.seconds_per_iteration == pytest.approx(1 / 3)


def test_laps_wait_before_the_first_reading():
    """For those who train beside."""
    said = []
    laps = Laps(4, lambda: said.append("read") or 0.0, lambda: said.append("waited"))
    for iteration in range(1, 5):
        laps.progress(iteration)
    assert said == ["waited", "read", "read"]


@pytest.mark.usefixtures("small")
def test_bare_steps_and_the_loop_over_one_batch_end_with_equal_weights():
    """So the loop is compared with the same work."""
    bare, loop = (each(small_task(), CPU, Laps(9, float)) for each in (bare_steps, loop_over_one_batch))
    initial = initial_model(small_task()).state_dict()
    for name, expected in bare.state_dict().items():
        assert torch.equal(loop.state_dict()[name], expected), name
    assert any(not torch.equal(initial[name], each) for name, each in bare.named_parameters())


@pytest.mark.usefixtures("small")
def test_the_whole_loop_meets_other_batches():
    one, many = (each(small_task(), CPU, Laps(9, float)) for each in (loop_over_one_batch, whole_loop))
    assert any(not torch.equal(a, b) for a, b in zip(one.parameters(), many.parameters(), strict=True))


@pytest.mark.usefixtures("small")
def test_a_validated_loop_reads_the_clock_after_its_validation():
    ticks = iter(range(100))
    laps = Laps(FIRST + 2, lambda: float(next(ticks)))
    validated_loop(small_task(), CPU, laps)
    assert laps.read == [0.0, 1.0, 2.0]
    assert laps.seconds_of_validation == 1.0


@LIGHTNING
@pytest.mark.filterwarnings("ignore")  # of Lightning, at its import
@pytest.mark.usefixtures("small")
def test_with_our_weights_the_example_gives_our_logits():
    """Its network and its normalisation are ours."""
    task = small_task()
    theirs, ours = load_example()["Segmentation"](**example_model(task)).eval(), initial_model(task).eval()
    theirs.model.load_state_dict(ours.unet.state_dict())
    images, _ = first_batch(assemble(task, CPU)[0], task.fit)
    with torch.inference_mode():
        logits = theirs(images)
        torch.testing.assert_close(logits, ours(images), rtol=1e-4, atol=1e-5)
    assert logits.shape == (2, CLASSES, SIDE, SIDE)


@LIGHTNING
@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("small")
def test_the_example_is_given_our_images(tmp_path):
    """In the same order, decoded from its files."""
    task = small_task()
    samples, _ = assemble(task, CPU)
    names = write_files(task.prepared, samples.draws.images, tmp_path)
    theirs = load_example()["Images"](tmp_path, names, samples.augmentations[0].common)
    assert len(theirs) == len(samples) == task.fit.iterations * task.fit.batch_size
    for place, (image, mask) in enumerate(samples):
        np.testing.assert_array_equal(theirs[place][0], image)
        np.testing.assert_array_equal(theirs[place][1], mask)


@LIGHTNING
@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("small")
def test_the_example_learns():
    """Its weights move, and their number is that of ours."""
    task = small_task()
    torch.manual_seed(small_seed(0, "initial weights"))
    before = load_example()["Segmentation"](**example_model(task)).model
    after = example(task, CPU, Laps(9, float)).model
    assert [each.shape for each in after.parameters()] == [each.shape for each in initial_model(task).parameters()]
    assert any(not torch.equal(a, b) for a, b in zip(before.parameters(), after.parameters(), strict=True))


def test_files_hold_the_train_images_that_are_drawn(small, tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    assert write_files(small / "data/prepared/squares", np.array([4, 1, 4]), folder) == ["4", "1", "4"]
    assert sorted(each.name for each in (folder / "images").iterdir()) == ["1.png", "4.png"]
    masks = np.load(small / "data/prepared/squares/train_masks.npy")
    np.testing.assert_array_equal(Image.open(folder / "masks" / "4.png"), masks[4])


@pytest.mark.usefixtures("small")
def test_a_task_has_the_settings_of_the_plan():
    """With a number of iterations it is for timing: the end is validated once."""
    plain, timed = task_of("squares", "tiny"), task_of("squares", "tiny", 7)
    assert (plain.fit.iterations, plain.fit.validations, plain.fit.batch_size) == (50, 4, 2)
    assert (timed.fit.iterations, timed.fit.validations, timed.fit.lr) == (7, 1, plain.fit.lr)
    assert plain.model.encoder == "tu-resnet10t"


@pytest.mark.usefixtures("small")
def test_data_that_is_not_prepared_is_named():
    with pytest.raises(UserError, match=r"^data/prepared/circles: missing\. `dvc repro prepare` makes it\.$"):
        task_of("circles", "tiny")


@pytest.mark.usefixtures("one_thread")
def test_processor_time_counts_only_where_one_thread_does_all(monkeypatch):
    """A sleep takes none of it, and wall time as long as it says."""
    monkeypatch.delenv("BENCHMARK_WORKERS", raising=False)
    alone = clock(CPU)
    monkeypatch.setenv("BENCHMARK_WORKERS", "2")
    with_workers = clock(CPU)
    monkeypatch.delenv("BENCHMARK_WORKERS")
    torch.set_num_threads(2)
    with_threads = clock(CPU)
    starts = [now() for now in (alone, with_workers, with_threads, wall_clock(CPU))]
    time.sleep(0.3)
    processor, *wall = (
        now() - start for now, start in zip((alone, with_workers, with_threads, wall_clock(CPU)), starts, strict=True)
    )
    assert processor < 0.2
    assert min(wall) >= 0.3


def test_the_example_is_a_program():
    compile(EXAMPLE.read_text(encoding="utf-8"), str(EXAMPLE), "exec")
