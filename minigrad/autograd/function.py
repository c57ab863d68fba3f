"""`Function`: an operation of one's own, with a derivative of one's own.

>>> from minigrad import tensor
>>> class Square(Function):
...     @staticmethod
...     def forward(ctx, x):
...         ctx.save_for_backward(x)
...         return x * x
...
...     @staticmethod
...     def backward(ctx, grad_output):
...         (x,) = ctx.saved_tensors
...         return 2 * x * grad_output
>>> x = tensor([1.0, 3.0], requires_grad=True)
>>> Square.apply(x)
tensor([1., 9.], grad_fn=<SquareBackward>)
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from minigrad.autograd.outputs import SEVERAL, Named, Outputs
from minigrad.grad_mode import grad_mode, in_mode
from minigrad.layout import copied
from minigrad.ops import Plan
from minigrad.tape import Node, changes
from minigrad.tensor import Tensor
from minigrad.tensor.views import OUTDATED, outdated_view


class Context:
    """What `forward` leaves for `backward`; it takes any attribute.

    Attributes:
        needs_input_grad: for each argument of `apply` whether it is a tensor that requires a
            gradient.
    """

    def __init__(self, inputs: Sequence[Any]) -> None:
        self.needs_input_grad = tuple(isinstance(x, Tensor) and x.requires_grad for x in inputs)
        self._saved: tuple[Tensor | None, ...] = ()
        self._constants: tuple[Any, ...] = ()
        self._zeros = True

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep tensors for `backward`, where they are `saved_tensors`.

        If one is changed in place in between, `backward` raises.

        Raises:
            TypeError: one of them is neither a tensor nor None.
        """
        for i, tensor in enumerate(tensors):
            if tensor is not None and not isinstance(tensor, Tensor):
                raise TypeError(
                    f"save_for_backward can only save tensors, but argument {i} is of type "
                    f"{type(tensor).__name__}: set it as an attribute, ctx.name = value"
                )
        self._saved = tensors

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """The tensors that were saved."""
        return self._saved

    def mark_non_differentiable(self, *outputs: Tensor) -> None:
        """Have these outputs require no gradient."""
        self._constants = outputs

    def set_materialize_grads(self, value: bool) -> None:
        """Say whether `backward` gets zeros where an output has no gradient, True by default.

        Of several outputs it always does: then False raises, where they are recorded.
        """
        self._zeros = value

    def mark_dirty(self, *inputs: Tensor) -> None:
        """Raise: a `Function` of minigrad does not change its inputs in place."""
        raise NotImplementedError(
            "mark_dirty: return a new tensor, and leave the inputs as they are"
        )


class Function:
    """Base of operations of one's own: a subclass defines `forward` and `backward`, both static.

    `forward(ctx, *inputs)` gets what `apply` was given, and returns a tensor or a tuple; what it
    does is not recorded. `backward(ctx, *grad_outputs)` gets a gradient for each output, None for
    what is no tensor, and returns one for each of the inputs, None where there is none. Under
    `create_graph` it is recorded, and so can be differentiated again.

    In torch's newer style `forward(*inputs)` has no `ctx`, and `setup_context(ctx, inputs, output)`
    saves what is needed.
    """

    @staticmethod
    def forward(*args: Any) -> Any:
        """Compute the output; a subclass defines it."""
        raise NotImplementedError("You must implement the forward function of a custom Function")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> Any:
        """Save what `backward` needs, where `forward` has no `ctx`; a subclass may define it."""
        raise NotImplementedError("setup_context is not implemented")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """Return the gradient by each input; a subclass defines it."""
        raise NotImplementedError("You must implement the backward of a custom Function to use it")

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """Run `forward`, and record it where an argument requires a gradient.

        Raises:
            NotImplementedError: the subclass has no `forward`, or has several outputs and no zeros
                for those that are not used.
        """
        ctx = Context(args)
        returned = in_mode(False, partial(_forward, cls, ctx, args))
        given = returned if isinstance(returned, tuple) else (returned,)
        outputs = Outputs(given, ctx._constants)
        found = [x.detach() if any(x is c for c in ctx._constants) else x for x in given]
        if outputs.tensors and grad_mode.enabled and True in ctx.needs_input_grad:
            recorded = iter(_recorded(cls, ctx, args, outputs))
            found = [next(recorded) if any(x is t for t in outputs.tensors) else x for x in found]
        return tuple(found) if isinstance(returned, tuple) else found[0]


def _forward(function: type[Function], ctx: Context, inputs: tuple[Any, ...]) -> Any:
    if function.setup_context is Function.setup_context:
        return function.forward(ctx, *inputs)
    output = function.forward(*inputs)
    function.setup_context(ctx, inputs, output)
    return output


def _recorded(
    function: type[Function], ctx: Context, inputs: Sequence[Any], outputs: Outputs
) -> list[Tensor]:
    """Return the outputs that have a derivative, with their place on the tape."""
    name = function.__name__
    several = len(outputs.tensors) > 1
    if several and not ctx._zeros:
        raise NotImplementedError(
            f"{name}: of several outputs each gets a gradient here: leave out "
            "set_materialize_grads(False)"
        )
    parents = [x._node if isinstance(x, Tensor) else None for x in inputs]
    if OUTDATED in parents:
        raise outdated_view(name)
    count = len(ctx._saved)
    saved, positions, places = _kept(ctx, outputs, inputs)
    backward = _Backward(function, ctx, parents, outputs, places, count)
    plan = Plan(
        values=positions,
        pick_values=tuple,
        extras=(),
        derivatives=[
            (i, partial(backward.by, i), lambda values: values)
            for i, node in enumerate(parents)
            if node is not None
        ],
        is_plain=True,
        is_released=bool(saved),
    )
    rule = Named(name, f"{name}Backward{SEVERAL if several else ''}")
    node = Node(rule, parents, plan, saved, outputs.value)
    results = []
    for output, own in zip(outputs.tensors, outputs.nodes(name, node), strict=True):
        result = Tensor._wrapped(output._array, own)
        base = output if any(output is x for x in inputs) else output._base
        if base is not None:
            result._base, result._made = base, changes.latest
        results.append(result)
    return results


def _kept(
    ctx: Context, outputs: Outputs, inputs: Sequence[Any]
) -> tuple[list[Any], list[int], dict[int, tuple[int, int | None]]]:
    """Return the arrays to save, and where they are found again.

    Returns:
        the arrays, those of outputs and inputs first; the positions of these among the value and
        the inputs, which is how the tape knows what made them; and for each saved tensor that is
        not None the place of its array, and its number where it is an output, and so a part of
        that. Several outputs are also saved themselves, so that a change of them is noticed.
    """
    tensors, ctx._saved = ctx._saved, ()
    found = []
    for i, tensor in enumerate(tensors):
        number = next((n for n, x in enumerate(outputs.tensors) if x is tensor), None)
        maker = next((p for p, x in enumerate(inputs, 1) if x is tensor), None)
        if tensor is not None:
            found.append((i, tensor._array, number, maker if number is None else 0))
    found.sort(key=lambda entry: entry[-1] is None)
    arrays = [array if number is None else outputs.value for _, array, number, _ in found]
    arrays += [array for _, array, number, _ in found if number is not None]
    positions = [maker for *_, maker in found if maker is not None]
    places = {i: (place, number) for place, (i, _, number, _) in enumerate(found)}
    return arrays, positions, places


class _Backward:
    """A call's `backward`, which gives all gradients at once, as derivatives by one input each."""

    def __init__(
        self,
        function: type[Function],
        ctx: Context,
        parents: Sequence[Node | None],
        outputs: Outputs,
        places: Mapping[int, tuple[int, int | None]],
        count: int,
    ) -> None:
        self._function, self._ctx, self._places, self._count = function, ctx, places, count
        self._outputs = outputs
        self._shapes = [None if node is None else node.shape for node in parents]
        self._grad_out: Any = None  # what the gradients are of that are not asked for yet
        self._grads: dict[int, Any] = {}

    def by(self, position: int, grad_out: Any, *saved: Any) -> Any:
        """Return the gradient by one input: an array, a tensor in a pass that is recorded."""
        if grad_out is not self._grad_out or position not in self._grads:
            self._grad_out = grad_out
            self._grads = self._gradients(grad_out, saved)
        grad = self._grads.pop(position)
        if not self._grads:
            self._grad_out = None
        return grad

    def _gradients(self, grad_out: Any, saved: Sequence[Any]) -> dict[int, Any]:
        recorded = isinstance(grad_out, Tensor)

        def tensor(value: Any) -> Any:
            return value if isinstance(value, Tensor) else Tensor._wrapped(value)

        def again(i: int) -> Any:
            if i not in self._places:
                return None
            place, number = self._places[i]
            found = tensor(saved[place])
            return found if number is None else self._outputs.part(found, number)

        def run() -> Any:
            self._ctx._saved = tuple(map(again, range(self._count)))
            return self._function.backward(self._ctx, *self._outputs.gradients(tensor(grad_out)))

        try:
            found = in_mode(recorded, run)
        finally:
            self._ctx._saved = ()
        grads = list(found) if isinstance(found, (tuple, list)) else [found]
        expected, name = len(self._shapes), f"{self._function.__name__}Backward"
        if len(grads) < expected or any(g is not None for g in grads[expected:]):
            raise RuntimeError(
                f"function {name} returned an incorrect number of gradients (expected {expected}, "
                f"got {len(grads)}): return one for each argument of apply, or None"
            )
        return {
            i: self._checked(name, i, grad, recorded)
            for i, grad in enumerate(grads[:expected])
            if self._shapes[i] is not None
        }

    def _checked(self, name: str, i: int, grad: Any, recorded: bool) -> Any:
        """Return a gradient that fits its input, as the sweep wants it."""
        if grad is None:
            return None
        if not isinstance(grad, Tensor):
            raise RuntimeError(
                f"function {name}: expected a Tensor or None as gradient {i} (got "
                f"{type(grad).__name__}): make one with tensor(...)"
            )
        shape = self._shapes[i]
        assert shape is not None
        if not _reaches(shape, grad.shape):
            raise RuntimeError(
                f"Function {name} returned an invalid gradient at index {i} - got "
                f"{list(grad.shape)} but expected shape compatible with {list(shape)}"
            )
        # The user may go on using what was returned, and a leaf keeps the array it gets.
        return grad if recorded else copied(grad._array)


def _reaches(shape: Sequence[int], wider: Sequence[int]) -> bool:
    """Return whether a tensor of one shape can be broadcast to the other."""
    try:
        return np.broadcast_shapes(shape, wider) == tuple(wider)
    except ValueError:
        return False
