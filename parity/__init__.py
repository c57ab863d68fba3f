"""Decides whether two engines agree on gradients and training, and times them side by side.

An engine of your own derives from `parity.Engine`; `parity.testing` offers the verdicts to tests.
"""

from parity.engines.protocol import DrawingEngine, Engine, Start, Task, Traced, TracingEngine

__all__ = ["Engine", "DrawingEngine", "TracingEngine", "Task", "Start", "Traced"]
