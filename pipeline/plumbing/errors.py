"""The one exception for mistakes a user can mend, and how a stage ends on it.

Exception
└── UserError      bad params, missing files, a broken download: one clear sentence, exit code 1
"""

import difflib
import sys
from collections.abc import Callable, Iterable


class UserError(Exception):
    """A mistake outside the code. Its message names the file and key, what is allowed, and what to do."""


def did_you_mean(word: str, known: Iterable[str], listed: Iterable[str] | None = None) -> str:
    """`Did you mean 'dice'? Known: dice, focal.`: the tail of a message about an unknown name.

    The nearest is sought among all that is `known`; where that is too much to print, `listed` says what is.
    """
    known = sorted(known)
    if not known:
        return "There are none."
    near = difflib.get_close_matches(word, known, n=1)
    hint = f"Did you mean '{near[0]}'? " if near else ""
    return f"{hint}Known: {', '.join(known if listed is None else sorted(listed))}."


def run_stage(stage: Callable[[], None]) -> None:
    """Run a stage's `main`; a UserError becomes one line on stderr and exit code 1, without a traceback."""
    try:
        stage()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
