"""`python -m pipeline.running.handed PARENT MODULE ...`: as `python -m MODULE ...`, by a warm process if there is one.

It ends with the process PARENT, which has started it.
"""

import runpy
import sys

from pipeline.plumbing.lifeline import die_with_parent
from pipeline.running.warm import hand_over


def main() -> None:
    parent, module = int(sys.argv.pop(1)), sys.argv.pop(1)
    die_with_parent(parent)
    if (code := hand_over(module)) is not None:
        sys.exit(code)
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
