"""`parity engines`."""

from __future__ import annotations

from parity.cli.command import Output, command
from parity.engines.registry import ENGINES


@command
def engines_command() -> int:
    """List every known engine: ready, or what is missing."""
    width = max(map(len, ENGINES))
    for name, known in ENGINES.items():
        missing = known.missing()
        state = f"missing: {', '.join(missing)}" if missing else "ready"
        Output().print(f"{name:<{width}}  {state:<8}  {known.description}", soft_wrap=True)
    return 0
