"""Detection power: a catalogue of planted defects, and what finds each of them.

`python -m parity.evidence detection` plants every defect of the catalogue in a copy of the tree
of its own, has `parity run --quick` judge it there, and holds the usual practice beside it.
"""
