"""Every loss by the name of its class, for a training loop of one's own: docs/use_a_loss.md.

    from pipeline.losses import Dice
    criterion = Dice(denominator="squared").module(class_weights=[1.0, 4.0])

Names are looked up in the files, so a new loss is here by being there, and a file is imported when its loss is asked
for. torch is imported when a loss is computed.
"""

import re
from functools import cache
from typing import Any

from pipeline.plumbing import plugins
from pipeline.plumbing.errors import did_you_mean


@cache
def _kinds() -> dict[str, str]:
    """The file of each class that a loss file defines, by the class's name, from the text alone."""
    texts = {kind: (plugins.ROOT / "losses" / f"{kind}.py").read_text("utf-8") for kind in plugins.kinds("losses")}
    return {name: kind for kind, text in texts.items() for name in re.findall(r"^class (\w+)\(", text, re.MULTILINE)}


def __getattr__(name: str) -> Any:
    if name in _kinds():
        found = plugins.find("losses", _kinds()[name], "pipeline.losses")
        if found.__name__ == name:  # and no helper of it
            return found
    raise AttributeError(f"module 'pipeline.losses' has no loss '{name}'. {did_you_mean(name, _kinds())}")


def __dir__() -> list[str]:
    return sorted(plugins.find("losses", kind, "pipeline.losses").__name__ for kind in plugins.kinds("losses"))
