"""What `.cache/` keeps to save time, with a digest of it: an entry that is cut, damaged or changed counts as none."""

import json
from pathlib import Path
from typing import Any

from pipeline.plumbing.files import digest, file_digest, write_json

SEAL = "digests.json"


def seal(directory: Path) -> None:
    """Write down what the files of a directory are."""
    write_json(directory / SEAL, _digests(directory))


def is_sealed(directory: Path) -> bool:
    """Whether a directory is there and its files are those that were sealed."""
    return directory.is_dir() and _content(directory / SEAL) == _digests(directory)


def write_cached(file: Path, content: Any) -> None:
    """Keep any JSON value."""
    write_json(file, {"content": content, "digest": digest(content)})


def read_cached(file: Path) -> Any | None:
    """The value that was kept; None if there is none that is whole."""
    found = _content(file)
    if not isinstance(found, dict) or found.keys() != {"content", "digest"}:
        return None
    return found["content"] if digest(found["content"]) == found["digest"] else None


def _digests(directory: Path) -> dict[str, str]:
    files = sorted(file for file in directory.rglob("*") if file.is_file() and file != directory / SEAL)
    return {file.relative_to(directory).as_posix(): file_digest(file) for file in files}


def _content(file: Path) -> Any:
    """Of a JSON file; None if it cannot be read."""
    try:
        return json.loads(file.read_bytes())
    except (OSError, ValueError):
        return None
