"""Two phases: when the second begins, that each is what it would be alone, and what is refused."""

import pytest
import torch

from pipeline.learn.criterion import Criterion
from pipeline.learn.settings import Fit
from pipeline.plumbing import plugins
from pipeline.plumbing.errors import UserError
from tests.strategies.training import FIT, assembled, bytes_of

SWITCH = 3  # of the five iterations of FIT, with `last` at 0.4


def phases(build, first, then, **options):
    return build("two_phase", first=first, then=then, **options)


# --- when ---


@pytest.mark.parametrize(("last", "iterations", "start"), [(0.3, 10, 7), (0.3, 150, 105), (0.25, 7, 5), (0.9, 10, 1)])
def test_second_phase_begins_at_its_share_of_the_iterations(build, last, iterations, start):
    """Rounded to the nearest iteration; none is added."""
    strategy = phases(build, "none", "class_weights", last=last)
    found = [(stretch, phase.kind) for stretch, phase in strategy.stretches(iterations)]
    assert found == [(range(start), "none"), (range(start, iterations), "class_weights")]


def test_loss_changes_at_that_iteration(build, statistics):
    """Equal weights before, weights of rare classes from it on."""
    generator = torch.Generator().manual_seed(0)
    batch = torch.randn(2, 2, 4, 4, generator=generator), torch.randint(0, 2, (2, 4, 4), generator=generator)
    train = statistics([90, 10])

    def loss_under(strategy, iteration):
        loss = plugins.build("losses", "cross_entropy", {}, "cross_entropy")
        return Criterion(loss, strategy, train, iterations=10)(*batch, iteration=iteration)

    both = phases(build, "none", "class_weights")
    plain, weighted = (loss_under(build(kind), 0) for kind in ("none", "class_weights"))
    assert plain != weighted
    found = [loss_under(both, iteration) for iteration in range(10)]
    assert found == [plain] * 7 + [weighted] * 3


def test_pixels_are_left_out_from_that_iteration_on(build, prepared):
    """`seen` counts what the loss really got: every labelled pixel before, a share of them after."""
    loader, criterion = assembled(prepared, phases(build, "none", "hard_pixels", last=0.4))
    model = torch.nn.Conv2d(3, 4, 1)
    for iteration, (images, masks) in enumerate(loader):
        before = int(criterion.seen.sum())
        criterion(model(images / 255), masks, iteration=iteration)
        seen, labelled = int(criterion.seen.sum()) - before, int((masks != 255).sum())
        assert seen == labelled if iteration < SWITCH else 0 < seen < labelled / 2


# --- each phase alone ---


@pytest.mark.parametrize("first", ["none", "oversample", "repeat_factor", "undersample", "foreground_crops"])
def test_first_phase_shows_what_the_first_strategy_shows_alone(build, prepared, first):
    """To the last byte, so what the second one does can be told from a paired difference."""
    alone, _ = assembled(prepared, build(first))
    both, _ = assembled(prepared, phases(build, first, "copy_paste", last=0.4))
    alone, both = bytes_of(alone), bytes_of(both)
    assert both[:SWITCH] == alone[:SWITCH]
    assert both[SWITCH:] != alone[SWITCH:]


@pytest.mark.parametrize("then", ["none", "class_weights"])
def test_second_phase_goes_on_with_the_common_images(build, prepared, then):
    """It does not begin the order anew."""
    alone, _ = assembled(prepared, build(then))
    both, _ = assembled(prepared, phases(build, "oversample", then, last=0.4))
    alone, both = bytes_of(alone), bytes_of(both)
    assert both[SWITCH:] == alone[SWITCH:]
    assert both[:SWITCH] != alone[:SWITCH]


def test_second_phase_has_random_numbers_of_its_own(build, prepared):
    """The same sampler with another option must not draw the images of the first phase once more."""
    mild = {"kind": "oversample", "power": 0.999}
    fit = Fit(**FIT.model_dump() | {"iterations": 6})
    loader, _ = assembled(prepared, phases(build, "oversample", mild, last=0.5), fit=fit)
    images = loader.dataset.dataset.draws.images
    assert not (images[:12] == images[12:]).all()


@pytest.mark.parametrize("then", ["repeat_factor", "undersample", "rare_class_sampling", "chain"])
def test_a_training_too_short_for_a_phase_still_runs(build, prepared, then):
    """As the trials of a search for learning rates may be."""
    second = {"kind": "chain", "of": ["oversample", "copy_paste"]} if then == "chain" else then
    loader, _ = assembled(prepared, phases(build, "none", second), fit=Fit(iterations=1, batch_size=4, validations=1))
    assert len(list(loader)) == 1


def test_decisions_are_those_of_the_second_phase(build, statistics):
    """Fitted once, after training."""
    strategy = phases(build, "class_weights", "post_hoc_logit_adjustment")
    train = statistics([90, 10])
    expected = build("post_hoc_logit_adjustment").decision(train, lambda offsets: offsets[1])
    assert strategy.decision(train, lambda offsets: offsets[1]).tolist() == expected.tolist()
    assert strategy.aspects == ("class weights", "decisions")


def test_code_of_both_phases_is_part_of_it(build):
    """For the fingerprint: an edit of one makes the cells stale."""
    names = [f"pipeline.strategies.{kind}" for kind in ("two_phase", "none", "hard_pixels")]
    assert phases(build, "none", "hard_pixels").modules() == names


# --- what is refused ---

LATE = {"kind": "two_phase", "first": "none", "then": "oversample"}


@pytest.mark.parametrize(
    ("first", "then", "sentence"),
    [
        ("none", LATE, ": a phase cannot have phases of its own."),
        (LATE, "none", ": a phase cannot have phases of its own."),
        ("oversample", "oversample", ": both phases are the same; make it an entry without phases."),
        ("none", {"kind": "none"}, ": both phases are the same; make it an entry without phases."),
        (
            "class_thresholds",
            "none",
            ".first: decisions are fitted after training; put 'class_thresholds' into 'then'.",
        ),
        (
            {"kind": "chain", "of": ["oversample", "class_thresholds"]},
            "none",
            ".first: decisions are fitted after training; put 'chain' into 'then'.",
        ),
        ("none", {"kind": "oversample", "powr": 1.0}, ".then.powr: unknown key. Did you mean 'power'? Known: power."),
        (
            "none",
            {"kind": "chain", "of": ["oversample"]},
            ".then.of: a chain needs at least two strategies, this one has 1.",
        ),
    ],
)
def test_mistakes_are_named_with_their_place(first, then, sentence):
    """Before anything is trained."""
    with pytest.raises(UserError) as error:
        plugins.build("strategies", "late", {"kind": "two_phase", "first": first, "then": then}, "params.yaml: late")
    assert str(error.value) == f"params.yaml: late{sentence}"


def test_strategies_with_other_options_are_not_the_same(build):
    """A stronger second phase is one."""
    phases(build, "oversample", {"kind": "oversample", "power": 2.0})
