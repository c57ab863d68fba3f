from parity.engines.protocol import DrawingEngine, Engine, Start, Task, Traced, TracingEngine

__all__ = ["Engine", "DrawingEngine", "TracingEngine", "Task", "Start", "Traced"]
