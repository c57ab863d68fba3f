"""Files and folders of the project that its texts name are there.

Some modules decide by a file's name: which sources a digest covers, in which file a defect is
planted, which code counts as the user's. When a file moves, such a name would silently match
nothing.
"""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PLACE = re.compile(r"(?<![\w./-])(?:minigrad|parity|torch_impl|tests)/[\w*./-]*[\w*]")
"""A path from the root of the project; `*` and `**` stand for any file and any folder."""


def texts(root: Path) -> Iterator[tuple[str, str]]:
    """The project's own texts by their path; CHANGELOG tells of what has been."""
    folders = ("minigrad", "parity", "torch_impl", "tests")
    sources = [path for folder in folders for path in (root / folder).rglob("*.py")]
    others = [root / "Makefile", root / "pyproject.toml", *root.rglob("README.md")]
    for path in sorted({*sources, *others}):
        if ".venv" not in path.parts:
            yield str(path.relative_to(root)), path.read_text(encoding="utf-8")


def missing(root: Path, found: Iterator[tuple[str, str]]) -> list[str]:
    """Each place that a text names and that is not there."""
    return [
        f"{path} names {place}"
        for path, text in found
        for place in PLACE.findall(text)
        if not any(root.glob(place))
    ]


def test_places_that_are_named_are_there() -> None:
    assert missing(ROOT, texts(ROOT)) == []


def test_enough_places_are_seen() -> None:
    named = {place for _, text in texts(ROOT) for place in PLACE.findall(text)}
    assert len(named) > 60


def test_a_place_that_has_moved_is_found(tmp_path: Path) -> None:
    (tmp_path / "parity").mkdir()
    (tmp_path / "parity" / "run.py").touch()
    gone = "parity/" + "judge/**/*.py"
    text = f'("parity/run.py", "parity/*.py", "{gone}", "minigrad/" + name)'
    assert missing(tmp_path, iter([("digest.py", text)])) == [f"digest.py names {gone}"]
