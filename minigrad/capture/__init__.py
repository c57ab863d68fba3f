"""A training step as a list of NumPy calls: recorded once, made cheaper, and replayed."""

from minigrad.capture.captured import Captured, capture
from minigrad.capture.sources import CaptureError

__all__ = ["CaptureError", "Captured", "capture"]
