"""What is written into README between two markers, so that it is what was measured."""

from __future__ import annotations

import re


def markers(name: str) -> tuple[str, str]:
    """Return the lines before and after the part of this name; `make bench` writes bench-losses."""
    target = name.partition("-")[0]
    return f"<!-- {name}: written by make {target} -->\n", f"<!-- end of {name} -->\n"


def part(readme: str, name: str) -> str:
    """Return what stands between the markers; raise ValueError if they are not there once."""
    begin, end = map(re.escape, markers(name))
    found = re.findall(f"{begin}\n(.*?)\n{end}", readme, re.DOTALL)
    if len(found) != 1:
        raise ValueError(f"the markers of {name!r} are there {len(found)} times, not once")
    return str(found[0])


def replaced(readme: str, name: str, text: str) -> str:
    """Return the text with another part between the markers; raises as `part` does."""
    begin, end = markers(name)
    return readme.replace(f"{begin}\n{part(readme, name)}\n{end}", f"{begin}\n{text}\n{end}")
