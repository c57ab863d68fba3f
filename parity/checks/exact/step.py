"""What a training step of a problem truly comes to, as a whole and part by part."""

import functools
import operator
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from parity.checks import exact
from parity.checks.exact.creation import exact as of_numbers
from parity.checks.exact.creation import given, unknown
from parity.checks.exact.derivative import depends, derivative
from parity.checks.exact.kinds import exactly, rounded
from parity.checks.exact.lacking import Lacking
from parity.checks.exact.numbers import Numbers
from parity.checks.exact.tensor import Tensor
from parity.checks.exact.truth import Truth, all_finite, truth
from parity.engines.protocol import BUFFER, Array

LOSS = "loss"
"""What the loss is called among the outputs."""

Given = Mapping[str, Array | None]
"""Arrays by the names of outputs: `LOSS`, or a module's name as `named_modules` has it. Of a module
that is called again, "name#1" is the second output, and so on. None for one that is not known."""


class Problem(NamedTuple):
    """What is trained: functions that are called with a library in torch's names.

    Attributes:
        model: `model(torch)` returns an `nn.Module`.
        loss: `loss(torch, prediction, y)`.
        optimizer: `optimizer(torch, parameters)` returns an `optim.SGD`.
    """

    model: Callable[[Any], Any]
    loss: Callable[[Any, Any, Any], Any]
    optimizer: Callable[[Any, Any], Any]


class TrueStep:
    """A step of training from given parameters and data.

    Every method returns None where that cannot be told: it is too large, or depends on what is not
    given. All raise `Lacking`, a NotImplementedError, where the problem has what the witness lacks.

    Args:
        problem: what is trained.
        parameters: by their names, of one dtype.
        x, y: the model's inputs, and the targets.
        momentum_buffers: by the parameters' names; none before the optimiser's first step.
    """

    def __init__(
        self,
        problem: Problem,
        parameters: Mapping[str, Array],
        x: Sequence[Array],
        y: Array,
        momentum_buffers: Mapping[str, Array] = {},
    ) -> None:
        self._problem, self._start, self._x, self._y = problem, parameters, x, y
        self._buffers = momentum_buffers
        self._dtype = str(np.result_type(*parameters.values()))

    def whole(self) -> dict[str, dict[str, Array]] | None:
        """Return the true `loss`, `gradients`, `updated` parameters and, if any, `buffers`.

        Arrays are by the parameters' names. The gradients are exact where the update is computed.
        """

        def compute() -> Any:
            run = _Forward(self._problem, self._start, self._x, self._y, {})
            loss = run.computed[LOSS]
            _require_known(loss)
            found: dict[str, dict[str, Any]] = {LOSS: {LOSS: loss}}
            gradients = {name: derivative(loss, p) for name, p in run.parameters.items()}
            zeros = {name: exact.zeros_like(p) for name, p in run.parameters.items()}
            found["gradients"] = {
                name: zeros[name] if gradient is None else of_numbers(gradient)
                for name, gradient in gradients.items()
            }
            known = {n: found["gradients"][n] for n, g in gradients.items() if g is not None}
            found["updated"], found["buffers"] = self._stepped(run, known)
            return {
                kind: {name: tensor.numbers.v for name, tensor in tensors.items()}
                for kind, tensors in found.items()
            }

        true = exactly(self._dtype, compute, deviations=False)
        return true and {
            kind: {name: rounded(value, self._dtype) for name, value in arrays.items()}
            for kind, arrays in true.items()
        }

    def output(self, name: str, outputs: Given) -> Truth | None:
        """Return what an output truly comes to, computed from those that are given before it."""

        def compute() -> Numbers | None:
            tensor = self._forward(outputs).computed[name]
            return tensor.numbers if tensor.known else None

        return truth(self._dtype, compute)

    def gradient(self, of: str | int, outputs: Given, gradients: Given) -> Truth | None:
        """Return the true gradient by an output, by a parameter, or by one of the model's inputs.

        It is the derivative of Σₖ⟨outputₖ, gradientₖ⟩ over all outputs that are computed directly
        from it: others are given, and do not depend on it.

        Args:
            of: the name of a given output or of a parameter, or the number of an input.
            outputs: as they are given.
            gradients: by them; by the loss 1, if it is not named.
        """

        def compute() -> Numbers | None:
            run = self._forward(outputs)
            by: Tensor = run.x[of] if isinstance(of, int) else {**run.parameters, **run.given}[of]
            given_by = {LOSS: np.ones((), self._dtype), **gradients}
            terms = []
            for name, tensor in run.computed.items():
                if depends(tensor, by):
                    gradient = given_by.get(name)
                    if gradient is None or not tensor.known:
                        return None
                    terms.append((tensor * given(gradient)).sum())
            found = derivative(functools.reduce(operator.add, terms), by) if terms else None
            return exact.zeros_like(by).numbers if found is None else found

        arrays = [*self._start.values(), *self._x, self._y, *outputs.values(), *gradients.values()]
        return truth(self._dtype, compute, finite=all_finite(*arrays))

    def updated(self, tensor: str, gradient: Array) -> Truth | None:
        """Return a parameter after the step, or its momentum buffer: `tensor` ends in `BUFFER`."""
        name = tensor.removesuffix(BUFFER)

        def compute() -> Numbers | None:
            run = _Forward(self._problem, self._start)
            updated, buffers = self._stepped(run, {name: given(gradient)})
            return (buffers if tensor.endswith(BUFFER) else updated)[name].numbers

        return truth(self._dtype, compute)

    def _forward(self, outputs: Given) -> "_Forward":
        return _Forward(self._problem, self._start, self._x, self._y, outputs)

    def _stepped(
        self, run: "_Forward", gradients: Mapping[str, Tensor]
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Take the optimiser's step; return parameters and momentum buffers by name."""
        optimizer = self._problem.optimizer(exact, run.model.parameters())
        if not isinstance(optimizer, exact.optim.SGD):
            raise Lacking(f"optimiser {type(optimizer).__name__}")
        for name, parameter in run.parameters.items():
            parameter.grad = gradients.get(name)
            if name in self._buffers:
                optimizer.state[parameter] = {"momentum_buffer": given(self._buffers[name])}
        optimizer.step()
        states = {name: optimizer.state.get(p, {}) for name, p in run.parameters.items()}
        kept = {n: s["momentum_buffer"] for n, s in states.items() if "momentum_buffer" in s}
        return run.parameters, kept


class _Forward:
    """A model with its parameters, and what it and the loss make of inputs and given outputs.

    Attributes:
        model, parameters, x: as tensors, the parameters by name.
        computed: the outputs that are to be told, by name, and the loss.
        given: what takes their place in all that follows.
    """

    def __init__(
        self,
        problem: Problem,
        parameters: Mapping[str, Array],
        x: Sequence[Array] = (),
        y: Array | None = None,
        outputs: Given = MappingProxyType({}),
    ) -> None:
        self.model = problem.model(exact)
        self.parameters = dict(self.model.named_parameters())
        if self.parameters.keys() != parameters.keys():
            names = f"{', '.join(self.parameters)}, not {', '.join(parameters)}"
            raise ValueError(f"the model has the parameters {names}")
        for name, parameter in self.parameters.items():
            parameter.become(given(parameters[name]))
        self.x = [given(array) for array in x]
        self.computed: dict[str, Tensor] = {}
        self.given: dict[str, Tensor] = {}
        self._outputs, self._calls = outputs, dict[str, int]()
        if y is None:
            return
        for name, module in self.model.named_modules():
            module.register_forward_hook(functools.partial(self._replaced, name))
        prediction = self.model(*self.x)
        self.computed[LOSS] = problem.loss(exact, prediction, given(y))

    def _replaced(self, name: str, module: Any, inputs: Any, output: Any) -> Tensor | None:
        calls = self._calls[name] = self._calls.get(name, -1) + 1
        name = f"{name}#{calls}" if calls else name
        if name not in self._outputs:
            return None
        if not isinstance(output, Tensor):
            raise Lacking(f"place for the output of {name}, which is no tensor")
        array = self._outputs[name]
        self.computed[name] = output.clone()  # it may be what an inner module's is replaced by
        self.given[name] = unknown(output) if array is None else given(array)
        return self.given[name]


def _require_known(tensor: Tensor) -> None:
    if not tensor.known:
        raise Lacking("value of random numbers that are no parameters")
