"""The proof that correct engines do not fail: all verdicts, at many seeds, in full and quickly.

    python -m parity.evidence proof

Every run is what `parity run` does: the three architectures and the probes, minigrad against torch.
Results are kept as they come, and a proof that was stopped goes on where it was. No seed is chosen:
they are the first ones.
"""
