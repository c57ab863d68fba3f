"""What helps a program that trains: `data`, a dataset in batches."""

from minigrad.utils import data

__all__ = ["data"]
