"""What a class may be called: its name goes into tables, figures, pages and keys of MLflow."""

import unicodedata
from collections.abc import Sequence

LONGEST = 100  # characters: keys of MLflow have 250, of which up to 20 stand before the name; legends have less room


def check_class_names(classes: Sequence[str]) -> None:
    """Raise ValueError for the first name that a later stage cannot take or a reader cannot tell from another."""
    forms: dict[str, str] = {}
    for index, name in enumerate(classes):
        if reason := _unfit(name):
            raise ValueError(f"classes: the name of class {index}, {name!a}, {reason}.")
        other = forms.setdefault(unicodedata.normalize("NFC", name), name)
        if other != name:
            raise ValueError(f"classes: {other!a} and {name!a} differ in their Unicode form alone. Rename one of them.")


def _unfit(name: str) -> str:
    if not name.strip():
        return "is empty. Give it one"
    if odd := [sign for sign in name if not sign.isprintable()]:
        return f"holds {odd[0]!a}, which cannot be printed. Remove it"
    if name != name.strip():
        return "begins or ends with a blank. Remove it"
    if len(name) > LONGEST:
        return f"has {len(name)} characters; {LONGEST} are allowed, so that it fits into tables and keys of MLflow"
    if name.count("$") > 1:
        return "holds more than one $, between which figures would see a formula. Write it with one at most"
    return ""
