"""Engines: what they are asked to do, which ones are known, and the processes they run in."""

from parity.engines.protocol import (
    BUFFER,
    Array,
    DrawingEngine,
    Engine,
    Start,
    Task,
    Traced,
    TracingEngine,
)

__all__ = [
    "BUFFER",
    "Array",
    "DrawingEngine",
    "Engine",
    "Start",
    "Task",
    "Traced",
    "TracingEngine",
]
