"""Calibration: how often the budget would fail correct engines, at which z, and what it catches.

`make calibrate` runs it; `parity/evidence/results/calibration.json` is what it found.
"""
