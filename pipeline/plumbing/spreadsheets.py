"""Text that a spreadsheet would take for a formula, as a class called `=1+1` or an image called `-3.png`.

Rule, for every CSV file of this project: a text that begins with one of FORMULA, alone or behind apostrophes, gets an
apostrophe before it, and our own readers take it away, so every text comes back as it was. Numbers are no text and
stay numbers, also negative ones. See OWASP, "CSV Injection".
"""

import re
from collections.abc import Callable
from typing import Any

FORMULA = "=+-@\t\r\n"
_WRITTEN, _READ = re.compile(f"'*[{re.escape(FORMULA)}]"), re.compile(f"'+[{re.escape(FORMULA)}]")


def harmless(value: Any) -> Any:
    """A value as it is written."""
    return f"'{value}" if isinstance(value, str) and _WRITTEN.match(value) else value


def original(value: Any) -> Any:
    """A value that was read, as it was before `harmless`."""
    return value[1:] if isinstance(value, str) and _READ.match(value) else value


def harmless_table(table: Any) -> Any:
    """A pandas table with its texts, also those of the header, as they are written."""
    return _changed(table, harmless)


def original_table(table: Any) -> Any:
    """A pandas table that was read, as it was before `harmless_table`."""
    return _changed(table, original)


def _changed(table: Any, change: Callable[[Any], Any]) -> Any:
    """Columns without a text to change are left as they are, with their type."""
    columns = {}
    for name, column in table.items():
        values = list(column) if column.dtype.kind == "O" else []
        new = [change(value) for value in values]
        if any(one is not other for one, other in zip(values, new, strict=True)):
            columns[name] = new
    return table.assign(**columns).rename(columns=change)
