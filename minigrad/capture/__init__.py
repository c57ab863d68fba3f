"""A training step as a list of NumPy calls: recorded once, made cheaper, and replayed."""

from minigrad.capture.call_sites import CaptureError
from minigrad.capture.captured import Captured, capture

__all__ = ["CaptureError", "Captured", "capture"]
