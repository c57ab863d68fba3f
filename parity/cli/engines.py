"""`parity engines`."""

from __future__ import annotations

from parity.cli.command import Output, command
from parity.engines.registry import known


@command
def engines_command() -> int:
    """List every known engine: ready, or what is missing."""
    engines = known()
    width = max(map(len, engines))
    for name, engine in engines.items():
        missing = engine.missing()
        state = f"missing: {', '.join(missing)}" if missing else "ready"
        Output().print(f"{name:<{width}}  {state:<8}  {engine.description}", soft_wrap=True)
    return 0
