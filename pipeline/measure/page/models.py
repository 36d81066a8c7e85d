"""Names of models in the page: only where there are several, to save width and words."""

from collections.abc import Callable, Iterable
from typing import Any

from pipeline.measure.story import Story


def several_models(story: Story) -> bool:
    return story.cells["model"].nunique() > 1


def without_only_model(rows: list[dict[str, Any]], story: Story) -> list[dict[str, Any]]:
    """Rows as they are or, where there is but one model, without it."""
    hidden = set() if several_models(story) else {"model"}
    return [{name: text for name, text in row.items() if name not in hidden} for row in rows]


def paragraphs(story: Story, models: Iterable[str], write: Callable[[str], str]) -> list[str]:
    """What `write` says of each of the models, after its name where there are several."""
    return [f"{model}: {write(model)}" if several_models(story) else write(model) for model in models]
