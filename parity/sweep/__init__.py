"""Many seeds: what single runs cannot say beyond their horizon, the distribution can.

`planned` says what is missing, `scheduler` has it done by workers (`work`) of this machine or of a
Dask cluster (`executors`), `database` keeps it, and `compare` judges what has been kept.
"""
