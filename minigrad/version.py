"""The version, of minigrad and of what comes with it. No result depends on it."""

__version__ = "0.2.0"
