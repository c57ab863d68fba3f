"""Decides whether two engines agree on gradients and training, and times them side by side.

An engine of your own derives from `parity.Engine`; `parity.testing` offers the verdicts to tests.
"""

from importlib import import_module
from typing import Any

__all__ = ["Engine", "DrawingEngine", "TracingEngine", "Task", "Start", "Traced"]


def __getattr__(name: str) -> Any:
    # Nothing is imported before it is needed: until `parity.__main__` runs, Ctrl-C has no handler.
    if name in __all__:
        return getattr(import_module("parity.engines.protocol"), name)
    raise AttributeError(f"module 'parity' has no attribute {name!r}")
