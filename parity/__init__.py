"""Decides whether two engines agree on gradients and training, and times them side by side.

An engine of your own derives from `parity.Engine`; `parity.testing` offers the verdicts to tests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from parity.engines.protocol import DrawingEngine, Engine, Start, Task, Traced, TracingEngine

__all__ = ["Engine", "DrawingEngine", "TracingEngine", "Task", "Start", "Traced"]


def __getattr__(name: str) -> Any:
    # Engines' processes set their number of threads before anything loads NumPy.
    if name in __all__:
        from parity import engines

        return getattr(engines, name)
    raise AttributeError(f"module 'parity' has no attribute {name!r}")
