"""The regression networks of this project in idiomatic torch: the independent witness.

Data, networks and training loop are written as a torch user writes them, and know nothing of
`minigrad` or `parity`. `python -m torch_impl rightfit` trains one network and prints its final MSE.
"""
