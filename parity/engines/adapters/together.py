"""The networks of a probe, trained at once by `minigrad.ensembles`."""

from collections.abc import Iterator, Sequence
from typing import Any

import minigrad
from minigrad.ensembles import ensemble, mse_losses


class Together:
    """An ensemble of the networks of a probe; see `parity.probes.notes.OneByOne`."""

    def __init__(self, lib: Any, networks: Sequence[minigrad.nn.Sequential]) -> None:
        self._model = ensemble(networks)
        self.parameters = self._model.parameters

    def outputs(self, x: minigrad.Tensor) -> minigrad.Tensor:
        """Return each network's outputs, (members, samples, …)."""
        found: minigrad.Tensor = self._model(x)
        return found

    def losses(self, x: minigrad.Tensor, y: minigrad.Tensor) -> minigrad.Tensor:
        """Return each network's mean squared error, (members,)."""
        return mse_losses(self._model(x), y)

    def members(self) -> Iterator[tuple[str, list[tuple[Any, Any, Any]]]]:
        """Yield each parameter's name and, of each network, the parameter, value and gradient."""
        for name, p in self._model.named_parameters():
            grads = [None] * len(p) if p.grad is None else p.grad
            yield name, [(p, *row) for row in zip(p, grads, strict=True)]
