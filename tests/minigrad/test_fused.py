"""The fused multiply-add against rational arithmetic, and arange and linspace against torch."""

import math
import os
import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from minigrad.random import fused
from minigrad.random.fused import arange, fused_multiply_add, linspace
from tests.minigrad.operations import FUZZ

EXAMPLES = 2_000 if FUZZ else 300
KINDS = [(np.float32, torch.float32), (np.float64, torch.float64)]


def correctly_rounded(a: Any, b: Any, c: Any, result: Any) -> bool:
    """Whether `result` is a * b + c rounded once, decided in rational arithmetic."""
    kind = type(result)
    a, b, c = float(a), float(b), float(c)
    if not all(map(math.isfinite, (a, b, c))):
        product = a * b if not (math.isfinite(a) and math.isfinite(b)) else 0.0
        return np.array_equal(kind(product + c), result, equal_nan=True)
    exact = Fraction(a) * Fraction(b) + Fraction(c)
    if exact == 0:
        sum_of_zeros = a * b + c
        return bool(result == 0 and np.signbit(result) == np.signbit(sum_of_zeros))
    if np.signbit(result) != (exact < 0) or np.isnan(result):
        return False
    # Infinity stands for the number that would follow the largest one.
    largest = Fraction(float(np.finfo(kind).max))
    ulp = largest - Fraction(float(np.nextafter(np.finfo(kind).max, kind(0))))

    def value(x: Any) -> Fraction:
        return Fraction(float(x)) if np.isfinite(x) else (1 if x > 0 else -1) * (largest + ulp)

    error = abs(value(result) - exact)
    if np.isinf(result) and abs(exact) >= largest + ulp:
        return True
    for towards in (-np.inf, np.inf):
        with np.errstate(all="ignore"):
            neighbour = np.nextafter(result, kind(towards))
        if neighbour == result:
            continue
        other = abs(value(neighbour) - exact)
        tie_lost = other == error and int(result.view(f"u{kind(0).itemsize}")) % 2
        if other < error or tie_lost:
            return False
    return True


def from_bits(kind: type, bits: int) -> Any:
    return np.array(bits, f"u{kind(0).itemsize}").view(kind)[()]


@st.composite
def triples(draw: st.DrawFn, kind: type) -> tuple[Any, Any, Any]:
    """Any three numbers; often the third nearly cancels the product, or is far from it."""
    width = 8 * kind(0).itemsize
    number = st.one_of(
        st.floats(width=width), st.integers(0, 2**width - 1).map(lambda bits: from_bits(kind, bits))
    )
    a, b, c = (kind(draw(number)) for _ in range(3))
    with np.errstate(all="ignore"):
        if draw(st.booleans()):
            c = kind(-a * b)
            for _ in range(draw(st.integers(0, 2))):
                c = np.nextafter(c, kind(np.inf))
        elif draw(st.booleans()):
            c = kind(np.ldexp(kind(a * b), draw(st.integers(-110, 110))))
    return a, b, c


MIDPOINT = (2**-24 * (1 + 2**-23), 1 - 2**-23, 1 + 2**-23)


@given(triples(np.float32))
@example(tuple(map(np.float32, MIDPOINT)))
@settings(max_examples=EXAMPLES, deadline=None)
def test_float32_rounds_once(numbers: tuple[Any, Any, Any]) -> None:
    assert correctly_rounded(*numbers, fused_multiply_add(*numbers)[()])


@given(triples(np.float64))
@example(tuple(map(np.float64, (2**-53 * (1 + 2**-52), 1 - 2**-52, 1 + 2**-52))))
@example(tuple(map(np.float64, (1 + 2**-52, 1 - 2**-52, -1.0))))
@example(tuple(map(np.float64, (2.0**1000, 2.0**30, -math.inf))))
@example(tuple(map(np.float64, (2.0**1000, 2.0**30, -1e308))))
@example(tuple(map(np.float64, (-1e-200, 1e-200, 0.0))))
@example(tuple(map(np.float64, (-0.0, 3.0, -0.0))))
@settings(max_examples=EXAMPLES, deadline=None)
def test_float64_rounds_once(numbers: tuple[Any, Any, Any]) -> None:
    assert correctly_rounded(*numbers, fused_multiply_add(*numbers)[()])


def test_the_oracle_catches_double_rounding() -> None:
    a, b, c = map(np.float32, MIDPOINT)
    twice = np.float32(np.float64(a) * np.float64(b) + np.float64(c))
    assert twice != fused_multiply_add(a, b, c)
    assert not correctly_rounded(a, b, c, twice)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_the_oracle_catches_an_unfused_result(kind: Any) -> None:
    generator = np.random.default_rng(0)
    a, b, c = generator.standard_normal((3, 1000)).astype(kind)
    unfused, once = a * b + c, fused_multiply_add(a, b, c)
    differing = np.flatnonzero(unfused != once)
    assert len(differing) > 50
    for i in differing:
        assert correctly_rounded(a[i], b[i], c[i], once[i])
        assert not correctly_rounded(a[i], b[i], c[i], unfused[i])


def test_arrays_broadcast_and_extreme_elements_stand_beside_ordinary_ones() -> None:
    a = np.array([[1e-300], [0.1], [1e300]])
    b = np.array([1e-20, 0.3, 1e20, 0.0])
    out = fused_multiply_add(a, b, 0.7)
    assert out.shape == (3, 4)
    assert out.dtype == np.float64
    for i in range(3):
        for j in range(4):
            assert correctly_rounded(a[i, 0], b[j], 0.7, out[i, j])
    assert fused_multiply_add(np.ones(2, np.float32), 0.1, 0.7).dtype == np.float32
    assert fused_multiply_add(np.zeros((0, 3)), 0.1, 0.7).shape == (0, 3)


def test_other_dtypes_are_refused() -> None:
    with pytest.raises(TypeError, match=r"float32 or float64.*int64"):
        fused_multiply_add(np.array([1]), 2, 3)


def assert_linspace_is_torchs(start: float, end: float, steps: int) -> None:
    for kind, torch_kind in KINDS:
        actual = linspace(start, end, steps, kind)
        expected = torch.linspace(start, end, steps, dtype=torch_kind).numpy()
        assert actual.dtype == kind
        assert actual.shape == (steps,)
        np.testing.assert_array_equal(actual, expected)
        signs = [np.signbit(x) & ~np.isnan(x) for x in (actual, expected)]
        np.testing.assert_array_equal(*signs)


ENDS = [(-5, 5), (0, 1), (1, 0), (0.1, 0.7), (-1, 1e-3), (3, 3), (0, 0)]
ENDS += [(1e30, -1e30), (-1e-42, 1e-42), (7.3, 1e6)]
# Around multiples of the vector width, and around torch's grain of 32,768 elements a thread.
LENGTHS = [*range(140), *(255, 256, 257, 1000, 1023, 4099, 32767, 32768, 32769, 65537, 100_000)]
SHORT = LENGTHS if FUZZ else LENGTHS[:-5]


@pytest.mark.parametrize(("start", "end"), ENDS)
def test_linspace_of_every_length(start: float, end: float) -> None:
    for steps in LENGTHS:
        assert_linspace_is_torchs(start, end, steps)


@given(
    st.floats(width=32, allow_nan=False, allow_infinity=False),
    st.floats(width=32, allow_nan=False, allow_infinity=False),
    st.integers(0, 5000),
)
@settings(max_examples=EXAMPLES // 3, deadline=None)
def test_linspace_between_any_ends(start: float, end: float, steps: int) -> None:
    assert_linspace_is_torchs(start, end, steps)


@pytest.mark.parametrize("end", [1, 0, math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("start", [math.inf, -math.inf, math.nan])
def test_linspace_from_infinity_and_nan_is_torchs(start: float, end: float) -> None:
    for steps in (*range(6), 17, 100):
        assert_linspace_is_torchs(start, end, steps)
        assert_linspace_is_torchs(end, start, steps)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_an_unfused_linspace_would_differ(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    right = linspace(-5, 5, 100, kind)
    monkeypatch.setattr(fused, "fused_multiply_add", lambda a, b, c: a * b + c)
    assert (linspace(-5, 5, 100, kind) != right).any()


def test_linspace_refuses_what_it_cannot_do() -> None:
    with pytest.raises(RuntimeError, match="non-negative, but got -1"):
        linspace(0, 1, -1)
    for steps in (2.5, True, "3"):
        with pytest.raises(TypeError, match="integer number of steps, but got"):
            linspace(0, 1, steps)  # type: ignore[arg-type]
    with pytest.raises(NotImplementedError, match="float32 or float64, but dtype is int64"):
        linspace(0, 1, 3, np.int64)
    with pytest.raises(RuntimeError, match=r"end: value 1e\+300 cannot be converted to float32"):
        linspace(0, 1e300, 3)


@pytest.fixture
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def assert_arange_is_torchs(start: float, end: float, step: float) -> None:
    for kind, torch_kind in KINDS:
        actual = arange(start, end, step, kind)
        expected = torch.arange(start, end, step, dtype=torch_kind).numpy()
        assert actual.dtype == kind
        assert actual.tobytes() == expected.tobytes(), (start, end, step)


BOUNDS = [(-5, 5), (0, 1), (1, 0), (0.1, 0.7), (-1, 1e-3), (1000, 2000), (2**53, 2**53 + 600)]
BOUNDS += [(3e38, 4e38), (1e39, -1e39), (-1e-42, 1e-42), (-1e-60, 1.0), (-0.0, 1e6), (3, 3)]


@pytest.mark.usefixtures("_one_thread")
@pytest.mark.parametrize(("start", "end"), BOUNDS)
def test_arange_of_every_length(start: float, end: float) -> None:
    for steps in (LENGTHS if start == -5 else SHORT)[1:]:
        step = (end - start) / steps or 1
        assert_arange_is_torchs(start, end, step)
        assert_arange_is_torchs(start, end, step * 0.99)


@given(
    st.floats(-1e300, 1e300),
    st.floats(allow_nan=False, allow_infinity=False).filter(lambda step: 0 != step < 1e290),
    st.floats(0, 3000),
)
@example(1000.0, 0.01, 1e5)
@settings(max_examples=EXAMPLES, deadline=None)
def test_arange_between_any_ends(start: float, step: float, steps: float) -> None:
    end = start + step * steps
    if math.isfinite(end):
        assert_arange_is_torchs(start, end, step)


@given(
    st.integers(-(2**63), 2**63 - 1), st.integers(-(2**40), 2**40).filter(bool), st.integers(0, 99)
)
@settings(max_examples=EXAMPLES, deadline=None)
def test_arange_of_integers_is_exact(start: int, step: int, steps: int) -> None:
    end = start + step * steps
    if -(2**63) <= end < 2**63:
        expected = torch.arange(start, end, step).tolist()
        assert arange(start, end, step, np.int64).tolist() == expected == [*range(start, end, step)]


def test_arange_truncates_what_becomes_an_integer() -> None:
    for start, end, step in [(0, 5, 1.7), (-0.5, 3.7, 1), (-2.9, -0.1, 1.0), (0, -5, -1.7)]:
        expected = torch.arange(start, end, step, dtype=torch.int64).tolist()
        assert arange(start, end, step, np.int64).tolist() == expected
    with pytest.raises(ValueError, match=r"0\.5 is 0 as an integer"):
        arange(0, 1, 0.5, np.int64)
    with pytest.raises(RuntimeError, match="int64"):
        arange(-(2**63), 2**63 - 1, 2**62, np.int64)  # torch: empty, because a sum overflows


ELSEWHERE = """
import sys
import numpy as np
import torch
from minigrad.random.fused import arange

for threads in map(int, sys.argv[1:]):
    torch.set_num_threads(threads)
    differing = 0
    for start, end, steps in [(-5, 5, 9973), (1000, 2000, 100_003), (0.1, 0.7, 65_541)]:
        for kind, torch_kind in ((np.float32, torch.float32), (np.float64, torch.float64)):
            ours = arange(start, end, (end - start) / steps, kind)
            theirs = torch.arange(start, end, (end - start) / steps, dtype=torch_kind).numpy()
            assert ours.shape == theirs.shape
            unit = np.spacing(kind(max(abs(start), abs(end))))
            assert (np.abs(ours - theirs) <= 4 * unit).all()
            differing += (ours != theirs).any()
    assert differing, "the bits agree: then the docstring can say more"
"""


@pytest.mark.usefixtures("_one_thread")
def test_arange_elsewhere_is_as_near_as_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """With several threads, and on a processor without AVX2: there torch's own bits differ."""
    monkeypatch.setattr(sys, "argv", ["", "3"])
    exec(ELSEWHERE, {})
    subprocess.run(
        [sys.executable, "-c", ELSEWHERE, "1", "3"],
        env={**os.environ, "ATEN_CPU_CAPABILITY": "default", "OMP_NUM_THREADS": "3"},
        check=True,
    )
