"""Every strategy of pipeline/strategies with its defaults and with each option moved, and what it answers."""

import json
from collections.abc import Callable
from typing import Any, Literal, get_args, get_origin

import numpy as np
import torch

from pipeline.learn.samples import shuffled_passes
from pipeline.plumbing import plugins
from pipeline.plumbing.errors import UserError
from pipeline.plumbing.labels import IGNORE
from pipeline.strategies.base import Aspect, ClassStatistics, Draws, Strategy
from tests.plugin_options import needed_options, other_values

ASPECTS = get_args(Aspect)
DRAWN = ("images", "crops", "pasting")  # the aspects that chance has a share in
OTHER_VALUES = {  # for options of no simple type, or that may not pass another option
    ("chain", "of"): [["oversample", "copy_paste"], ["class_weights", "hard_pixels", "class_thresholds"]],
    ("two_phase", "first"): ["oversample"],
    ("two_phase", "then"): ["hard_pixels", {"kind": "chain", "of": ["class_weights", "post_hoc_logit_adjustment"]}],
    ("copy_paste", "smallest_scale"): [0.1, 1.5],
    ("copy_paste", "largest_scale"): [0.5, 4.0],
}

KINDS = plugins.kinds("strategies")
CLASSES = {kind: plugins.find("strategies", kind, kind) for kind in KINDS}
NEEDED = {kind: needed_options(cls) for kind, cls in CLASSES.items()}
OPTIONS = [(kind, option) for kind in KINDS for option in CLASSES[kind].model_fields]


def moved(kind: str, option: str) -> list[Any]:
    """Values of an option besides its default."""
    return OTHER_VALUES.get((kind, option)) or other_values(CLASSES[kind], option)


def build_strategy(kind: str, options: dict[str, Any]) -> Strategy:
    return plugins.build("strategies", kind, NEEDED[kind] | options, kind)


def applicable(kind: str, options: dict[str, Any]) -> Strategy | None:
    """The strategy, or None if it refuses this combination of options."""
    try:
        return build_strategy(kind, options)
    except UserError:
        return None


def settings_of(kind: str) -> list[dict[str, Any]]:
    """The defaults and every choice that may be moved alone: an option may act with one choice of another only."""
    options = CLASSES[kind].model_fields
    choices = [option for option in options if get_origin(options[option].annotation) is Literal]
    alone = ({option: value} for option in choices for value in moved(kind, option))
    return [{}, *(base for base in alone if applicable(kind, base))]


def _variants() -> dict[str, tuple[str, dict[str, Any]]]:
    """By name the kind and its options: every setting with its defaults, and with each other option moved."""
    found = {}
    for kind in KINDS:
        for base in settings_of(kind):
            changes = [(o, value) for k, o in OPTIONS if k == kind and o not in base for value in moved(kind, o)]
            for options in [base, *(base | {option: value} for option, value in changes)]:
                if not options or applicable(kind, options):
                    found["-".join([kind, *map(_said, options.items())])] = (kind, options)
    return found


def _said(option: tuple[str, Any]) -> str:
    return f"{option[0]}={json.dumps(option[1])}".replace('"', "").replace(" ", "")


VARIANTS = _variants()

BATCH, DRAWS = 8, 64


def common_draws(images: int) -> Draws:
    """Read-only, as what is shared by all strategies should be."""
    drawn = Draws.of(shuffled_passes(0, DRAWS, images))
    for array in drawn:
        array.flags.writeable = False
    return drawn


def seen_batch(classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits `2 c 6 5` and a target with void pixels, for the strategies that look at pixels."""
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(2, classes, 6, 5, generator=generator)
    target = torch.randint(0, classes, (2, 6, 5), generator=generator)
    target[0, 1:4, 2] = target[1, 0, :3] = IGNORE
    return logits, target


def favours_rare(train: ClassStatistics) -> Callable[[np.ndarray], float]:
    """A stand-in for the mean IoU on the validation split, which grows with what is added to rare classes."""
    rarity = -train.log_prior
    slopes = rarity - rarity.mean()
    return lambda offsets: float(np.dot(slopes, offsets))


def answers(strategy: Strategy, train: ClassStatistics, seed: int = 0) -> dict[str, list[Any]]:
    """What the strategy says about each aspect, as plain values: one answer per phase, but one decision in all."""
    phases = [
        _of_phase(phase, train, np.random.default_rng([seed, number]))
        for number, (_, phase) in enumerate(strategy.phases())
    ]
    said = {aspect: [each[aspect] for each in phases] for aspect in phases[0]}
    return said | {"decisions": [_plain(strategy.decision(train, favours_rare(train)))]}


def acts(strategy: Strategy, train: ClassStatistics) -> set[str]:
    """The aspects about which it says anything else than a strategy that overrides nothing."""
    neutral, said = answers(Strategy(), train), answers(strategy, train)
    return {aspect for aspect in ASPECTS if any(each != neutral[aspect][0] for each in said[aspect])}


def _of_phase(phase: Strategy, train: ClassStatistics, random: np.random.Generator) -> dict[str, Any]:
    draws = phase.draws(common_draws(len(train.pixels)), train, BATCH, random)
    treatment = phase.treatment(train)
    return {
        "class weights": _plain(phase.class_weights(train)),
        "images": _plain(draws.images),
        "crops": (_plain(draws.focus), treatment.crop),
        "pasting": (_plain(draws.donors), _plain(draws.pasted), treatment.paste),
        "augmentation": (treatment.rare_classes, treatment.strength),
        "pixels": _plain(phase.kept_pixels(*seen_batch(train.pixels.shape[1]))),
        "logits": _plain(phase.logit_shift(train)),
    }


def _plain(array: Any) -> Any:
    return None if array is None else array.tolist()
