"""Many seeds: beyond the horizon a single run says nothing, but the distribution does.

`plan` says what is still to be trained and has it done by workers (`work`) of this machine or of a
Dask cluster (`executors`), `database` keeps it, and `compare` judges what has been kept.
"""
