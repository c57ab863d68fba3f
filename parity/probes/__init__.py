"""Probes: small graphs that show what a chain of layers cannot.

Networks made of layers have no diamonds, no broadcasting, no tensor that is used twice, and no
in-place changes. A *probe* is a plain function in torch's names that has:

    def diamond(lib, inputs, note):
        (x,) = inputs.values()
        a = note("a", lib.tanh(x))
        b = note("b", a * a + a)
        return (b * a).sum()

It runs unchanged with `lib` = minigrad and `lib` = torch. `note` names intermediate values. What is
returned is differentiated; then every noted value, the gradients of these and of the inputs, and
the inputs, which nothing may have changed, are judged by the same budget as everything else
(`parity.probes.check`). Together the probes run every rule of minigrad, and every derivative.
"""

from parity.probes.probe import Probe, probes_of
from parity.probes.suite import (
    arrangements,
    derivatives,
    edges,
    elementwise,
    graphs,
    layers,
    sgd,
    tape,
)

PROBES: dict[str, Probe] = probes_of(
    (elementwise, arrangements, edges, graphs, tape, derivatives, layers, sgd)
)
"""Every probe by its name, the simplest first: a defect is reported by the first that shows it."""

__all__ = ["PROBES", "Probe"]
