"""A model is named where there are several."""

from pipeline.measure.page.models import paragraphs, several_models, without_only_model

ROWS = [{"model": "unet_tiny", "loss": "dice"}, {"model": "unet_large", "loss": "dice"}]


def test_one_model_is_not_named(story):
    assert not several_models(story)
    assert without_only_model(ROWS[:1], story) == [{"loss": "dice"}]
    assert paragraphs(story, ["unet_tiny"], lambda model: f"It ends with {model[-1]}.") == ["It ends with y."]


def test_several_models_are_named_also_where_one_of_them_has_something_to_say(tell, sizes):
    story = tell({**sizes(1, 1, 1), "model": ["unet_tiny", "unet_large"]})
    assert without_only_model(ROWS, story) == ROWS
    assert paragraphs(story, ["unet_large"], lambda model: f"It ends with {model[-1]}.") == [
        "unet_large: It ends with e."
    ]
