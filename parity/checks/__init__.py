"""The verdicts: each a function from two engines' arrays to its entry in `report.json`."""
