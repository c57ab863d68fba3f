"""Engines timed side by side."""
