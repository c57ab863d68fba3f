"""The other engines judged: what `parity run` says of each, kept and shown in README.

    python -m parity.evidence.peers

A peer is judged on the networks whose training takes it at most two minutes; of the others the
reason is kept. Its failures leave their counterexamples in `peers/`,
within `parity/evidence/results/`.
"""
