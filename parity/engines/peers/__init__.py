"""Other engines, each through its public API, as its own documentation shows it.

They have no generator of torch's numbers: they are given data and parameters, and draw none.
"""
