"""Sections of a page in docs/ that commands write anew, between `<!-- NAME -->` and `<!-- end of NAME -->`."""

import re
from pathlib import Path

from pipeline.plumbing.errors import UserError
from pipeline.plumbing.files import write_text


def write_section(page: Path, name: str, text: str) -> None:
    """Replace what stands between the two marks of a section; all else on the page is written by hand."""
    begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
    before = page.read_text(encoding="utf-8")
    after, found = re.subn(
        f"{re.escape(begin)}.*?{re.escape(end)}", lambda _: f"{begin}\n{text}\n{end}", before, flags=re.S
    )
    if found != 1:
        raise UserError(f"{page}: must have one section '{begin.strip()}' that ends with '{end}', has {found}.")
    write_text(page, after)
