"""torch, imported at its first use: `check` reads the options of every loss and must not wait a second for it."""

import importlib
from typing import Any


class _Lazy:
    """Stands for a module. The loaders of importlib and lazy_loader are woken by any look at the module, even by
    `isinstance`, which finding a plug-in does; this is woken only by the use of one of its names."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(importlib.import_module(self._name), attribute)


torch: Any = _Lazy("torch")
