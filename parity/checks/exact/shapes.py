"""Operations that only move, repeat or select elements, in torch's names, of dual numbers."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from parity.checks.exact.dual import Dual, moved


def sizes_of(sizes: tuple[Any, ...]) -> tuple[int, ...]:
    """Return sizes that are given one by one, or as one tuple."""
    return tuple(sizes[0]) if len(sizes) == 1 and isinstance(sizes[0], Sequence) else sizes


def reshape(input: Dual, *shape: Any) -> Dual:
    return moved(lambda a: np.reshape(a, sizes_of(shape)), input)


view = reshape


def flatten(input: Dual, start_dim: int = 0, end_dim: int = -1) -> Dual:
    shape = input.shape or (1,)
    start, end = start_dim % len(shape), end_dim % len(shape) + 1
    return reshape(input, (*shape[:start], math.prod(shape[start:end]), *shape[end:]))


def transpose(input: Dual, dim0: int, dim1: int) -> Dual:
    return moved(lambda a: np.swapaxes(a, dim0, dim1) if a.ndim else a, input)


def t(input: Dual) -> Dual:
    return moved(np.transpose, input)


def permute(input: Dual, *dims: Any) -> Dual:
    return moved(lambda a: np.transpose(a, sizes_of(dims)), input)


def squeeze(input: Dual, dim: Any = None) -> Dual:
    axes = range(len(input.shape)) if dim is None else np.atleast_1d(dim)
    ones = [axis for axis in axes if input.shape and input.shape[axis] == 1]
    return moved(lambda a: np.squeeze(a, tuple(ones)), input)


def unsqueeze(input: Dual, dim: int) -> Dual:
    return moved(lambda a: np.expand_dims(a, dim), input)


def expand(input: Dual, *sizes: Any) -> Dual:
    sizes = sizes_of(sizes)
    old = (1,) * (len(sizes) - len(input.shape)) + input.shape
    shape = [o if size == -1 else size for o, size in zip(old, sizes, strict=True)]
    return moved(lambda a: np.broadcast_to(a, shape), input)


def cat(tensors: Sequence[Dual], dim: int = 0) -> Dual:
    return moved(lambda *parts: np.concatenate(parts, axis=dim), *tensors)


def stack(tensors: Sequence[Dual], dim: int = 0) -> Dual:
    return moved(lambda *parts: np.stack(parts, axis=dim), *tensors)


def hstack(tensors: Sequence[Dual]) -> Dual:
    return moved(lambda *parts: np.hstack(parts), *tensors)


def vstack(tensors: Sequence[Dual]) -> Dual:
    return moved(lambda *parts: np.vstack(parts), *tensors)


def index(input: Dual, key: Any) -> Dual:
    """The elements x[key]; a key is of ints, slices, None, `...`, bools and tensors of these."""
    parts = key if isinstance(key, tuple) else (key,)
    found = tuple(part.v.v if isinstance(part, Dual) else part for part in parts)
    return moved(lambda a: a[found], input)
