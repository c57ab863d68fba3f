"""`Generator`: the Mersenne Twister, and the numbers that are made of its bits."""

import math
import operator
import secrets
import threading
from functools import partial
from numbers import Real
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from minigrad.random.box_muller import box_muller
from minigrad.random.fused import fused_multiply_add
from minigrad.random.integers import Integers, Shape, dimensions_of
from minigrad.temporary import locked

_WORDS = 624  # of the Mersenne Twister's state
_STATE = np.dtype([  # torch's CPUGeneratorImplState
    ("seed", "<u8"), ("left", "<i4"), ("seeded", "<i4"), ("next", "<u8"), ("words", "<u8", _WORDS),
    ("normal_x", "<f8"), ("normal_y", "<f8"), ("normal_rho", "<f8"), ("normal_is_valid", "<i4"),
    ("unused", "V12"),
])  # fmt: skip


class Generator(Integers):
    """`torch.Generator` for the CPU; it draws NumPy arrays.

    A new generator is seeded with 67280421310721, as torch's is. Several threads may use one: each
    draw is a whole, as in torch, and no number is drawn twice. A copy, or what is unpickled,
    continues by itself from the same state.

    Raises:
        RuntimeError: `device` is not ``"cpu"``.
    """

    def __init__(self, device: str = "cpu") -> None:
        if str(device) != "cpu":
            raise RuntimeError(f"Generator draws on the CPU, but device is {device!r}; pass 'cpu'")
        self._lock = threading.RLock()
        self._engine = np.random.MT19937(0)
        self.manual_seed(67280421310721)

    def manual_seed(self, seed: int) -> Self:
        """Start the sequence that belongs to `seed`, and return the generator.

        As in torch, a negative seed stands for ``2**64 + seed``, and the sequence depends on the
        lowest 32 bits alone.

        Raises:
            RuntimeError: `seed` is not an integer.
            ValueError: `seed` is outside [-2**63, 2**64 - 1].
        """
        if isinstance(seed, bool) or not hasattr(seed, "__index__"):
            raise RuntimeError(f"manual_seed expected an integer, but got {seed!r}")
        seed = operator.index(seed)
        if not -(2**63) <= seed < 2**64:
            raise ValueError(
                f"manual_seed expected a seed from -2**63 to 2**64 - 1, but got {seed}"
            )
        # RandomState seeds as torch does, by Matsumoto and Nishimura's init_genrand.
        twister = np.random.RandomState(seed % 2**32).get_state(legacy=False)["state"]
        self._continue(seed % 2**64, twister["key"], twister["pos"], None)
        return self

    def initial_seed(self) -> int:
        """Return the seed that the sequence was started with, in [0, 2**64 - 1]."""
        return self._seed

    def seed(self) -> int:
        """Start an unpredictable sequence and return its seed, 53 bits of the system's entropy."""
        seed = secrets.randbits(53)
        self.manual_seed(seed)
        return seed

    def get_state(self) -> NDArray[np.uint8]:
        """Return the state in the 5056 bytes of torch's layout, so that the two can exchange it."""
        seed, twister, normal = locked(
            self._lock, lambda: (self._seed, self._engine.state["state"], self._next_normal)
        )
        state = np.zeros((), _STATE)
        state["seed"], state["seeded"], state["words"] = seed, 1, twister["key"]
        state["left"], state["next"] = _WORDS + 1 - twister["pos"], twister["pos"]
        if twister["pos"] == _WORDS and twister["key"][0] == seed % 2**32:
            state["next"] = 0  # torch's mark of a state just seeded; it has no effect
        if normal is not None:
            state["normal_is_valid"], state["normal_y"] = 1, normal
        return np.frombuffer(state.tobytes(), np.uint8).copy()

    def set_state(self, new_state: ArrayLike) -> None:
        """Continue from a state that `get_state`, here or in torch, returned.

        Raises:
            TypeError: `new_state` is not an array of uint8.
            RuntimeError: its size is not 5056 bytes, or it is not a valid state.
        """
        given = np.asarray(new_state)
        if given.dtype != np.uint8:
            raise TypeError(f"set_state expected an array of uint8, but got {new_state!r}")
        if given.size != _STATE.itemsize:
            raise RuntimeError(f"set_state expected {_STATE.itemsize} bytes, but got {given.size}")
        state = np.frombuffer(given.tobytes(), _STATE)[0]
        position = _WORDS + 1 - int(state["left"])
        position_valid = 1 <= position <= _WORDS and position in (state["next"], _WORDS)
        if not (state["seeded"] and position_valid):
            raise RuntimeError("set_state: invalid state; pass what get_state returned")
        normal = float(state["normal_y"]) if state["normal_is_valid"] else None
        self._continue(int(state["seed"]), state["words"].astype(np.uint32), position, normal)

    __setstate__ = set_state

    def __reduce__(self) -> tuple[type[Self], tuple[()], NDArray[np.uint8]]:
        return type(self), (), self.get_state()

    def uniform(
        self, shape: Shape, low: float = 0.0, high: float = 1.0, dtype: DTypeLike = np.float32
    ) -> NDArray[Any]:
        """Return numbers from [low, high), as `torch.rand` and ``Tensor.uniform_`` draw them.

        Each is ``fraction * (high - low) + low`` rounded once; the fraction has 24 random bits in
        float32, 53 in float64. A result that rounds to `high` becomes `low`.

        Args:
            shape: of the result.
            low, high: the bounds, rounded to `dtype` first.
            dtype: float32 or float64.

        Raises:
            TypeError: a bound is not a number, or the shape is not made of ints.
            NotImplementedError: `dtype` is neither float32 nor float64.
            RuntimeError: ``low > high``, a bound or their difference is beyond `dtype`, or a
                dimension is negative.
        """
        kind, dimensions, size = _floating("uniform", dtype), *dimensions_of("uniform", shape)
        largest = float(np.finfo(kind).max)
        for name, bound in (("low", low), ("high", high)):
            _require_number("uniform", name, bound)
            if not -largest <= bound <= largest:  # not so for NaN either
                raise RuntimeError(f"uniform: {name} = {bound} is out of bounds for {kind}")
        if low > high:
            raise RuntimeError(f"uniform expects low <= high, but got low = {low} > high = {high}")
        if high - low > largest:
            raise RuntimeError(
                f"uniform: high - low is beyond {kind} with low = {low} and high = {high}"
            )
        values = locked(self._lock, partial(self._fractions, size, kind))
        bottom, top = np.array([low, high], kind)
        if bottom == -top:  # 2 * fraction - 1 is exact: only the product rounds
            values = (2 * values - 1) * top
        else:
            values = fused_multiply_add(values, top - bottom, bottom)
        values[values == top] = bottom
        return values.reshape(dimensions)

    def normal(
        self,
        shape: Shape,
        mean: float = 0.0,
        std: float = 1.0,
        dtype: DTypeLike = np.float32,
        blocks: bool = True,
    ) -> NDArray[Any]:
        """Return normal numbers, as `torch.randn` and ``Tensor.normal_(mean, std)`` draw them.

        Fewer than 16, or any number without blocks, are drawn one at a time, in float64 whatever
        the dtype. They come in pairs: the second of a pair is kept, through uniform draws and those
        in blocks, until the next that needs one or a new seed.

        From 16 on, they are made of blocks of 16 uniform numbers in their own dtype (`box_muller`).
        If the size is not a multiple of 16, the last 16 numbers are drawn again at the end.

        Args:
            shape: of the result.
            mean, std: of the distribution; `std` is at least 0.
            dtype: float32 or float64.
            blocks: as where torch fills contiguous memory; elsewhere it draws one at a time.

        Raises:
            TypeError: mean or std is not a number, or the shape is not made of ints.
            NotImplementedError: `dtype` is neither float32 nor float64.
            RuntimeError: `std` is negative or NaN, or a dimension is negative.
        """
        kind, dimensions, size = _floating("normal", dtype), *dimensions_of("normal", shape)
        _require_number("normal", "mean", mean)
        _require_number("normal", "std", std)
        if not std >= 0:
            raise RuntimeError(f"normal expects std >= 0, but got std = {std}")
        whole = size - size % 16
        if blocks and whole > 0:
            last = 0 if whole == size else 16
            drawn = locked(self._lock, partial(self._fractions, size + last, kind))
            values = drawn[:size]
            values[:whole] = box_muller(values[:whole])
            if last:
                values[-16:] = box_muller(drawn[size:])
        else:
            values = locked(self._lock, partial(self._normals, size))
        with np.errstate(over="ignore"):  # a mean beyond float32 is infinite, as in torch
            center, width = np.array([mean, std]).astype(values.dtype)
            values = fused_multiply_add(values, width, center).astype(kind)
        return values.reshape(dimensions)

    def _continue(
        self, seed: int, key: NDArray[np.uint32], position: int, normal: float | None
    ) -> None:
        """Continue from 624 state words, `position` of them used up, and a second normal number."""
        twister: Any = {"bit_generator": "MT19937", "state": {"key": key, "pos": position}}

        def store() -> None:
            self._seed, self._engine.state, self._next_normal = seed, twister, normal

        locked(self._lock, store)

    def _fractions(self, count: int, kind: np.dtype[Any]) -> NDArray[Any]:
        """Return numbers from [0, 1): as many random bits as the dtype has, the word's lowest."""
        bits = 24 if kind == np.float32 else 53
        words = self._words(count, 32 if bits < 32 else 64)
        # Through int64, from which NumPy converts several times as fast.
        fractions = (words & np.uint64(2**bits - 1)).view(np.int64).astype(kind)
        fractions *= kind.type(2.0**-bits)
        return fractions

    def _normals(self, count: int) -> NDArray[np.float64]:
        """Return standard normal numbers that are drawn one at a time."""
        return np.array([self._one_normal() for _ in range(count)])

    def _one_normal(self) -> float:
        """Return one standard normal number; every other call keeps a second one for the next."""
        if self._next_normal is not None:
            value, self._next_normal = self._next_normal, None
            return value
        turn, depth = self._fractions(2, np.dtype(np.float64)).tolist()
        radius = math.sqrt(-2.0 * math.log1p(-depth))
        angle = 2.0 * math.pi * turn
        self._next_normal = radius * math.sin(angle)
        return radius * math.cos(angle)


def _floating(name: str, dtype: DTypeLike) -> np.dtype[Any]:
    try:
        kind = np.dtype(dtype)
    except TypeError:
        kind = None
    if kind not in (np.float32, np.float64):
        raise NotImplementedError(f"{name} draws float32 or float64, but dtype is {dtype!r}")
    return kind


def _require_number(name: str, what: str, value: Any) -> None:
    if not isinstance(value, Real):
        raise TypeError(f"{name}: {what} must be a number, not {type(value).__name__}")
