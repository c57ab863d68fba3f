"""Engines: what they are asked to do, which ones are known, and the processes they run in."""
