"""Where the machine's choices come from."""

from hypothesis import strategies as st

randoms = st.randoms(use_true_random=False, note_method_calls=False)
"""Each choice is Hypothesis's own, made as a `random.Random` makes it."""
