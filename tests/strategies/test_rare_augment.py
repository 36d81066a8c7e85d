"""Rare augment: which classes are rare, and that the options arrive."""

import pytest


@pytest.mark.parametrize(
    ("images", "rare"),
    [
        ([[70, 20, 10]], [1, 2]),  # an equal share is a third
        ([[40, 40, 20]], [2]),
        ([[50, 50]], []),  # an equal share exactly is not rare
        ([[51, 49]], [1]),
        ([[90, 0, 10]], [2]),  # never seen: nothing to augment
        ([[0, 10, 0], [100, 0, 0]], [1]),  # over the whole split, not within an image
        ([[10, 10, 0], [10, 0, 10], [10, 10, 30]], [1]),
    ],
)
def test_rare_is_a_class_with_fewer_pixels_than_an_equal_share(build, statistics, images, rare):
    """Of all labelled pixels of the train split."""
    assert build("rare_augment").augmentation(statistics(*images)).classes == rare


def test_options_arrive(build, statistics):
    """What the augmentation is told is what params.yaml says."""
    options = {"crop_probability": 0.25, "smallest_crop": 0.75, "strength": "light"}
    augmentation = build("rare_augment", **options).augmentation(statistics([70, 20, 10]))
    assert augmentation._asdict() == options | {"classes": [1, 2]}


def test_weights_are_left_alone(build, statistics):
    """It varies what is shown, neither how often nor how much it counts."""
    strategy, train = build("rare_augment"), statistics([70, 20, 10])
    assert strategy.class_weights(train) is None
    assert strategy.image_weights(train) is None
