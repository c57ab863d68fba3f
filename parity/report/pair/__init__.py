"""The page that steps through a training step as two engines take it, side by side."""
