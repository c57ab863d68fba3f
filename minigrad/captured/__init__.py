"""What stands behind `minigrad.capture`: watching a step, and replaying it."""
