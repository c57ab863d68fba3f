"""Decides whether two engines agree on gradients and training, and times them side by side."""
