"""Shapes and options for the operations of the table, drawn by Hypothesis."""

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

Shapes = list[tuple[int, ...]]
Case = tuple[Shapes, dict[str, Any]]  # the inputs' shapes, and the options of the call
Draw = Callable[[Any], Case]


@cache
def broadcast(inputs: int) -> Draw:
    """Shapes that broadcast, of length 0 and of no axes among them."""

    def draw(data: Any) -> Case:
        shapes = data.draw(
            hnp.mutually_broadcastable_shapes(
                num_shapes=inputs, min_dims=0, max_dims=3, min_side=0, max_side=4
            )
        )
        return list(shapes.input_shapes), {}

    return draw


def any_shape(
    data: Any, min_dims: int = 0, min_side: int = 0, max_dims: int = 3
) -> tuple[int, ...]:
    shape: tuple[int, ...] = data.draw(
        hnp.array_shapes(min_dims=min_dims, max_dims=max_dims, min_side=min_side, max_side=4)
        if min_dims
        else st.one_of(
            st.just(()),
            hnp.array_shapes(min_dims=1, max_dims=max_dims, min_side=min_side, max_side=4),
        )
    )
    return shape


@cache
def reduction(min_side: int) -> Draw:
    def draw(data: Any) -> Case:
        shape = any_shape(data, min_side=min_side)
        axes = _axes(shape)
        several = st.lists(axes, unique_by=lambda a: a % max(len(shape), 1), max_size=3)
        dim = data.draw(st.one_of(st.none(), axes, several.map(tuple)))
        return [shape], {"dim": dim, "keepdim": data.draw(st.booleans())}

    return draw


def extremum(data: Any) -> Case:
    """What has a largest element: an axis of length 0 may be there, but not be reduced."""
    (shape,), options = reduction(0)(data)
    if 0 not in shape:
        return [shape], options
    shape = (*shape[:2], data.draw(st.integers(1, 4)))
    axes = st.sampled_from([axis for axis, n in enumerate(shape) if n])
    several = st.lists(axes, min_size=1, unique=True).map(tuple)
    return [shape], {**options, "dim": data.draw(st.one_of(axes, several))}


def filled(data: Any) -> Case:
    return [any_shape(data, min_side=1)], {}


def extremum_at(data: Any) -> Case:
    """One axis, which has elements."""
    (shape,), options = extremum(data)
    dims = options["dim"]
    if dims is None or isinstance(dims, tuple):
        axes = [axis for axis, n in enumerate(shape) if n] or [0]
        dims = data.draw(st.sampled_from(axes))
    return [shape], {**options, "dim": dims}


def spreading(data: Any) -> Case:
    """A reduction of several elements, over one axis or over all."""
    shape = any_shape(data, min_dims=1, min_side=2)
    dim = data.draw(st.one_of(st.none(), _axes(shape)))
    return [shape], {"dim": dim, "keepdim": data.draw(st.booleans())}


def equal_vectors(data: Any) -> Case:
    return [any_shape(data, 1, max_dims=1)] * 2, {}


def two_vectors(data: Any) -> Case:
    return [any_shape(data, 1, max_dims=1) for _ in range(2)], {}


def matrix_and_vector(data: Any) -> Case:
    n, k = (data.draw(st.integers(0, 4)) for _ in range(2))
    return [(n, k), (k,)], {}


def product(data: Any) -> Case:
    """Shapes of a matrix product: vectors, matrices and batches that broadcast."""
    n, k, m = (data.draw(st.integers(0, 4)) for _ in range(3))
    batches = data.draw(
        hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=2, min_side=0, max_side=3)
    ).input_shapes
    left = data.draw(st.sampled_from([(k,), (n, k), (*batches[0], n, k)]))
    right = data.draw(st.sampled_from([(k,), (k, m), (*batches[1], k, m)]))
    return [left, right], {}


def matrices(data: Any) -> Case:
    n, k, m = (data.draw(st.integers(0, 4)) for _ in range(3))
    return [(n, k), (k, m)], {}


def affine(data: Any) -> Case:
    rows, inputs, outputs = (data.draw(st.integers(0, 5)) for _ in range(3))
    batch = data.draw(st.sampled_from([(rows,), (), (2, rows)]))
    return [(*batch, inputs), (outputs, inputs), (outputs,)], {}


@cache
def same(inputs: int) -> Draw:
    return lambda data: ([any_shape(data)] * inputs, {})


def into(data: Any) -> Case:
    """A shape, and one that broadcasts to it."""
    shape = any_shape(data)
    start = data.draw(st.integers(0, len(shape)))
    return [shape, tuple(data.draw(st.sampled_from([1, n])) for n in shape[start:])], {}


def reshaping(data: Any) -> Case:
    shape = any_shape(data)
    size = math.prod(shape)
    choices = [(size,), (1, size), (size, 1), shape[::-1], (*shape, 1)]
    if size:
        choices += [(-1,), (-1, size)]
        choices += [(n, -1) for n in shape]
    return [shape], {"shape": data.draw(st.sampled_from(choices))}


def permuting(data: Any) -> Case:
    shape = any_shape(data)
    order = data.draw(st.permutations(range(len(shape))))
    return [shape], {"dims": [d - data.draw(st.sampled_from([0, len(shape)])) for d in order]}


def two_axes(data: Any) -> Case:
    shape = any_shape(data)
    axes = _axes(shape)
    return [shape], {"dim0": data.draw(axes), "dim1": data.draw(axes)}


def _axes(shape: tuple[int, ...]) -> st.SearchStrategy[int]:
    """Axes of a shape; those of a single element are 0 and -1."""
    count = max(len(shape), 1)
    return st.integers(-count, count - 1)


def expanding(data: Any) -> Case:
    shape = any_shape(data)
    longer = [
        data.draw(st.integers(0, 3)) if n == 1 else data.draw(st.sampled_from([n, -1]))
        for n in shape
    ]
    front = data.draw(st.lists(st.integers(0, 3), max_size=2))
    return [shape], {"size": [*front, *longer]}


def one_axis(data: Any) -> Case:
    shape = any_shape(data)
    return [shape], {"dim": data.draw(_axes(shape))}


def new_axis(data: Any) -> Case:
    shape = any_shape(data)
    return [shape], {"dim": data.draw(_axes((*shape, 1)))}


def joining(data: Any) -> Case:
    shape = list(any_shape(data, min_dims=1))
    axis = data.draw(st.integers(0, len(shape) - 1))
    lengths = data.draw(st.lists(st.integers(0, 3), min_size=1, max_size=3))
    shapes = [(*shape[:axis], n, *shape[axis + 1 :]) for n in (*lengths, 1, 2)[:3]]
    return shapes, {"dim": axis - data.draw(st.sampled_from([0, len(shape)]))}


def stacking(data: Any) -> Case:
    shape = any_shape(data)
    return [shape] * 3, {"dim": data.draw(st.integers(-len(shape) - 1, len(shape)))}


def indexing(data: Any) -> Case:
    """Any index that both take: ints, slices, None, ..., and arrays with repeated elements."""
    shape = any_shape(data)
    choices: list[st.SearchStrategy[Any]] = [
        hnp.basic_indices(shape, allow_newaxis=True).filter(_goes_forwards),
        hnp.arrays(np.bool_, shape),
    ]
    if shape:
        choices.append(hnp.arrays(np.bool_, shape[:1]))
    if shape and 0 not in shape:
        arrays = hnp.integer_array_indices(shape, result_shape=hnp.array_shapes(max_dims=2))
        choices += [arrays, _mixed(shape)]
    return [shape], {"key": data.draw(st.one_of(choices))}


@st.composite
def _mixed(draw: Any, shape: tuple[int, ...]) -> tuple[Any, ...]:
    """Ints, slices and new axes beside arrays, and between them: torch applies the ints first."""
    key: list[Any] = []
    length = draw(st.integers(1, 3))
    for n in shape:
        numbers = st.integers(-n, n - 1)
        arrays = hnp.arrays(np.int64, (length,), elements=numbers)
        key.append(draw(st.one_of(numbers, st.slices(n).map(_forwards), arrays)))
        key += draw(st.sampled_from([[], [], [None]]))
    return tuple(key)


def _forwards(part: slice) -> slice:
    return part if part.step is None or part.step > 0 else slice(None)


def _goes_forwards(key: Any) -> bool:
    parts = key if isinstance(key, tuple) else (key,)
    return all(not isinstance(p, slice) or p.step is None or p.step > 0 for p in parts)


def assigning(data: Any) -> Case:
    """An index, and one value or several; which of several an element gets torch leaves open."""
    (shape,), options = indexing(data)
    key = options["key"]
    torch_key = torch.tensor(key) if isinstance(key, np.ndarray) else key
    place = () if named_twice(shape, key) else tuple(torch.zeros(shape)[torch_key].shape)
    return [shape, data.draw(st.sampled_from([place, ()]))], options


def named_twice(shape: tuple[int, ...], key: Any) -> bool:
    """Return whether an index names an element more than once."""
    named = np.zeros(shape)
    np.add.at(named, key, 1)
    return bool(named.max(initial=0) > 1)
