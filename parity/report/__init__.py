"""What `parity` shows and writes: a terminal table, `report.json`, `report.html` and pictures.

Renders what the verdicts found and judges nothing itself.
"""
