"""Probes: small graphs that show what a chain of layers cannot.

Networks made of layers have no diamonds, no broadcasting, no tensor that is used twice, and no
in-place changes. A *probe* is a plain function in torch's names that has:

    def diamond(lib, inputs, note):
        (x,) = inputs.values()
        a = note("a", lib.tanh(x))
        b = note("b", a * a + a)
        return (b * a).sum()

It runs unchanged with `lib` = minigrad and `lib` = torch, as often as one likes, with other values.
`note` names intermediate values. What is returned is differentiated; then every noted value, the
gradients of these and of the inputs, and the inputs, which nothing may have changed, are judged by
the same budget as everything else (`parity.probes.check`).

Some are written; most are made, for every pair of the ways in which an operation, a layer, SGD or
the random generator is used (`parity.probes.family`). Each seed has a share of these, and sixteen
seeds in a row have all. In any share every rule of minigrad is run, and every derivative.
"""

from parity.probes.probe import Probe, probes_of
from parity.probes.suite import (
    around,
    derivatives,
    draws,
    edges,
    ensembles,
    graphs,
    layers,
    operations,
    sgd,
    steps,
    tape,
)

WRITTEN: dict[str, Probe] = probes_of(
    (edges, graphs, tape, derivatives, sgd, draws, steps, around, ensembles)
)
FAMILIES = {each.FAMILY.name: each.FAMILY for each in (operations, sgd, layers, draws, ensembles)}


def share(seed: int) -> list[str]:
    """Return the names of the probes of a run, simple ones first: the first that fails is told."""
    made = [name for family in FAMILIES.values() for name in family.share(seed)]
    return list(
        dict.fromkeys([*map(FAMILIES["operation"].name_of, operations.FIRST), *WRITTEN, *made])
    )


def probe_named(name: str) -> Probe:
    """Return the probe of this name, of any share.

    Raises:
        KeyError: there is none.
    """
    return WRITTEN.get(name) or FAMILIES[name.partition("-")[0]].probe(name)


__all__ = ["FAMILIES", "WRITTEN", "Probe", "probe_named", "share"]
