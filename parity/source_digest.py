"""A digest of source files: by it a result knows the code that it is a result of.

Comments, docstrings and empty lines of Python files do not count. The digest is the same under
every version of Python, which a digest of syntax trees is not.
"""

import functools
import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[1]
"""The folder that has the three packages."""

_STRING = (
    r"(?:'''(?:[^\\]|\\.)*?'''|'(?:[^'\\\n]|\\.)*'"
    r'|"""(?:[^\\]|\\.)*?"""|"(?:[^"\\\n]|\\.)*")'
)
_PARTS = re.compile(
    rf"^[ \t]*(?P<alone>[A-Za-z]{{0,2}}{_STRING})[ \t]*(?=\#|\n|\Z)"
    rf"|(?P<comment>\#[^\n]*)|{_STRING}|(?P<bracket>[][(){{}}])",
    re.DOTALL | re.MULTILINE,
)
"""What of a text is no plain code; the first is a docstring if it is not within brackets."""


def matching(patterns: Iterable[str], without: Iterable[str] = (), root: Path = ROOT) -> list[Path]:
    """Return the files that match one of some patterns from a folder, and none of the others."""
    found, left_out = (
        {path for pattern in some for path in root.glob(pattern)} for some in (patterns, without)
    )
    return sorted(
        path for path in found - left_out if path.is_file() and "__pycache__" not in path.parts
    )


def digest(patterns: Iterable[str], without: Iterable[str] = (), root: Path = ROOT) -> str:
    """Return 16 hexadecimal digits of the names and contents of the files that match.

    Args:
        patterns: which files, such as "minigrad/**/*.py", from `root`.
        without: which of them to leave out.
        root: a folder.
    """
    found = hashlib.sha256()
    for path in matching(patterns, without, root):
        content = path.read_bytes()
        if path.suffix == ".py":
            content = code_of(content)
        found.update(f"{path.relative_to(root).as_posix()}\n".encode() + content + b"\n")
    return found.hexdigest()[:16]


@functools.cache
def code_of(content: bytes) -> bytes:
    """Return a Python file's content without comments, docstrings and empty lines."""
    depth = 0

    def kept(part: re.Match[str]) -> str:
        nonlocal depth
        if part["bracket"]:
            depth += 1 if part[0] in "([{" else -1
        if part["comment"] or (part["alone"] and depth == 0):
            return ""
        return part[0].replace("\n", "\\n")  # so that no line of a string is taken for an empty one

    lines = _PARTS.sub(kept, content.decode("latin-1")).split("\n")
    return "\n".join(line.rstrip() for line in lines if line.strip()).encode("latin-1")
