"""Every draw against torch's own generator, bit by bit, and the state after it."""

import copy
import math
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import minigrad
from minigrad import random
from minigrad.random import Generator, box_muller
from minigrad.random import generator as generators
from tests.minigrad.operations import FUZZ
from tests.minigrad.sessions import parts

KINDS = {np.float32: torch.float32, np.float64: torch.float64}
SIZES = [0, 1, 2, 3, 7, 15, 16, 17, 31, 32, 33, 100, 640, 1001]


def pair(seed: int) -> tuple[Generator, torch.Generator]:
    return Generator().manual_seed(seed), torch.Generator().manual_seed(seed)


def identical(actual: NDArray[Any], expected: torch.Tensor) -> bool:
    reference = expected.detach().numpy()
    same_form = actual.dtype == reference.dtype and actual.shape == reference.shape
    return same_form and actual.tobytes() == reference.tobytes()


def same_state(generator: Generator, reference: torch.Generator) -> bool:
    return generator.get_state().tobytes() == reference.get_state().numpy().tobytes()


seeds = st.integers(0, 2**64 - 1)
sizes = st.sampled_from(SIZES) | st.integers(0, 300)
kinds = st.sampled_from(list(KINDS))
numbers = st.floats(-1e6, 1e6)
draws = st.one_of(
    st.tuples(st.just("uniform"), kinds, sizes, numbers, st.floats(0, 1e6)),
    st.tuples(st.just("symmetric"), kinds, sizes, st.just(0.0), st.floats(0, 1e6)),
    st.tuples(st.just("normal"), kinds, sizes, numbers, st.floats(0, 1e6)),
    st.tuples(st.just("randn"), kinds, sizes, st.just(0.0), st.just(0.0)),
)


def draw_both(
    generator: Generator, reference: torch.Generator, draw: tuple[Any, ...]
) -> tuple[NDArray[Any], torch.Tensor]:
    name, kind, size, a, b = draw
    empty = torch.empty(size, dtype=KINDS.get(kind))
    match name:
        case "uniform":
            return generator.uniform(size, a, a + b, kind), empty.uniform_(
                a, a + b, generator=reference
            )
        case "symmetric":
            return generator.uniform(size, -b, b, kind), empty.uniform_(-b, b, generator=reference)
        case "normal":
            return generator.normal(size, a, b, kind), empty.normal_(a, b, generator=reference)
        case _:
            expected = torch.randn(size, dtype=KINDS[kind], generator=reference)
            return generator.normal(size, dtype=kind), expected


@given(seeds, st.lists(draws, min_size=1, max_size=8))
@settings(max_examples=2_000 if FUZZ else 150, deadline=None)
def test_any_sequence_of_draws_is_torchs(seed: int, sequence: list[tuple[Any, ...]]) -> None:
    generator, reference = pair(seed)
    assert same_state(generator, reference)
    for draw in sequence:
        assert identical(*draw_both(generator, reference, draw)), draw
        assert same_state(generator, reference), draw


def test_long_draws_are_torchs() -> None:
    for kind, torch_kind in KINDS.items():
        generator, reference = pair(7)
        expected = torch.rand(333_121, dtype=torch_kind, generator=reference)
        assert identical(generator.uniform(333_121, dtype=kind), expected)
        expected = torch.randn(100, 1001, dtype=torch_kind, generator=reference)
        assert identical(generator.normal((100, 1001), dtype=kind), expected)


LAYOUTS = """
ones(20); ones(3, 4).t(); ones(4, 5).t(); ones(6, 8).t(); ones(8, 8).t()[1:4]; ones(17, 1).t()
ones(20)[:, None]; ones(3, 4)[:, ::2]; ones(4, 10)[:, ::2]; ones(8, 5)[::2]; ones(40)[::2]
ones(33)[3:]; ones(30, 3)[:, 1]; ones(2, 3, 4).permute(2, 0, 1); ones(4, 5, 6).permute(2, 0, 1)
ones(4, 5, 6).transpose(0, 1); ones(4, 5, 6).permute(1, 2, 0)[::2]; ones(4, 5, 6)[:, 1:3]
ones(1)[0]; ones(0, 3).t(); ones(1, 5).expand(4, 5); ones(1, 20).expand(4, 20)
ones(20).requires_grad_(); ones(20).requires_grad_()[:18]
"""


@pytest.mark.parametrize("fill", ["uniform_()", "uniform_(2, 5)", "normal_()", "normal_(1, 3)"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layout", parts(LAYOUTS))
def test_memory_of_any_layout_is_filled_as_torch_fills_it(
    layout: str, dtype: str, fill: str
) -> None:
    """The values and where they are, also around them; what is refused; the next numbers."""
    found: list[Any] = []
    for T in (torch, minigrad):
        T.manual_seed(7)
        whole, *view = layout.split(")", 1)
        base = eval(f"T.{whole}, dtype=T.{dtype})", {"T": T})
        x = eval(f"base{view[0]}", {"base": base})
        try:
            assert eval(f"x.{fill}", {"x": x}) is x
            result: Any = base.detach().numpy().tobytes(), x.detach().tolist()
        except RuntimeError:
            result = "refused"
        found.append((result, T.rand(2).tolist(), T.randn(1).tolist()))
    assert found[1] == found[0]


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda g: pickle.loads(pickle.dumps(g))]
)
@pytest.mark.parametrize("drawn", [0, 1, 623, 1000])
def test_a_copy_goes_on_by_itself(copied: Any, drawn: int) -> None:
    """Also with the second normal number that is kept."""
    found = []
    for make, T in ((Generator, minigrad), (torch.Generator, torch)):
        generator = make().manual_seed(5)
        T.rand(drawn, generator=generator)
        T.randn(1, generator=generator)
        other = copied(generator)
        found.append(
            [T.randn(3, generator=g).tolist() for g in (other, other, generator, generator)]
        )
        assert other.initial_seed() == 5
    assert found[0] == found[1]
    assert found[0][:2] == found[0][2:]


def drawing(words: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """A state from which these, at most 623 of 32 bits, come next: MT19937's tempering undone."""

    def undo(y: NDArray[np.uint64], mix: Any) -> NDArray[np.uint64]:
        x = y
        for _ in range(32):  # each turn makes at least one more bit right
            x = y ^ mix(x)
        return x

    state = undo(words, lambda x: x >> 18)
    state = undo(state, lambda x: x << 15 & 0xEFC60000)
    state = undo(state, lambda x: x << 7 & 0x9D2C5680)
    state = undo(state, lambda x: x >> 11)
    reference = torch.Generator().manual_seed(0)
    torch.rand((), generator=reference)
    raw = reference.get_state().numpy().copy()
    raw[24:].view(np.uint64)[1 : 1 + len(words)] = state
    return raw


def test_rare_words_are_treated_as_torch_treats_them() -> None:
    """The ends of the range, results that round to `high`, angles at the octants."""
    ends = [0, 1, 2, 3, 2**24 - 2, 2**24 - 1]
    octants = [eighth * 2**21 + near for eighth in range(1, 8) for near in (-3, -1, 0, 1, 3)]
    stride = np.arange(0, 2**24, 2**24 // 5000)
    words = np.concatenate([ends, octants, stride]).astype(np.uint64)
    generator, reference = Generator(), torch.Generator()
    for block in np.array_split(words, -(-len(words) // 304)):
        other = np.full_like(block, 2**21 + 5)
        for first, second in ((block, other), (other, block)):
            count = len(block) // 8 * 8
            mixed = np.stack(
                [first[:count].reshape(-1, 8), second[:count].reshape(-1, 8)], 1
            ).reshape(-1)
            for draw in (
                ("randn", np.float32, len(mixed), 0.0, 0.0),
                ("normal", np.float32, len(mixed), 0.3, 1.7),
                ("uniform", np.float32, len(mixed), 100.0, 1.1),
                ("uniform", np.float32, len(mixed), 1.0, 2.0**-23),
                ("uniform", np.float64, len(mixed) // 2, 1.0, 2.0**-52),
                ("symmetric", np.float32, len(mixed), 0.0, 0.3),
            ):
                state = drawing(mixed)
                generator.set_state(state)
                reference.set_state(torch.from_numpy(state))
                assert identical(*draw_both(generator, reference, draw)), draw


def test_the_second_normal_number_is_kept_until_a_short_draw_or_a_seed() -> None:
    generator, reference = pair(3)
    generator.normal(1), torch.randn(1, generator=reference)
    second = copy.deepcopy(generator).normal(1)
    generator.uniform(5), torch.rand(5, generator=reference)
    generator.normal(16), torch.randn(16, generator=reference)
    assert same_state(generator, reference)
    assert (generator.normal(1) == second).all()
    assert identical(second, torch.randn(1, generator=reference))
    generator.normal(1)
    generator.manual_seed(3)
    assert same_state(generator, torch.Generator().manual_seed(3))


def unfused(a: Any, b: Any, c: Any) -> Any:
    return a * b + c


@pytest.mark.parametrize(
    ("module", "name", "defect", "seen_in"),
    [
        (generators, "fused_multiply_add", unfused, {0, 1, 3, 4}),
        (box_muller, "fused_multiply_add", unfused, {2}),
        (box_muller, "_each", lambda function, x: function(x[0, 0]) + 0 * x, {3}),
        (box_muller, "_LOG", tuple(np.nextafter(np.array(box_muller._LOG, np.float32), 0)), {2}),
    ],
)
def test_a_planted_defect_is_seen(
    module: Any, name: str, defect: Any, seen_in: set[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, name, defect)
    checks = [
        ("uniform", np.float32, 1000, 0.1, 0.6),
        ("uniform", np.float64, 1000, 0.1, 0.6),
        ("randn", np.float32, 1000, 0.0, 0.0),
        ("normal", np.float64, 1000, 0.1, 0.6),
        ("normal", np.float64, 15, 0.1, 0.6),
    ]
    differing = {i for i, draw in enumerate(checks) if not identical(*draw_both(*pair(1), draw))}
    assert differing == seen_in


def test_states_are_exchanged_with_torch() -> None:
    for drawn in (0, 1, 5, 623, 624, 625, 2000):
        generator, reference = pair(11)
        torch.rand(drawn, generator=reference)
        torch.randn(1, generator=reference)
        generator.set_state(reference.get_state().numpy())
        assert same_state(generator, reference)
        assert generator.initial_seed() == 11
        assert identical(generator.normal(3), torch.randn(3, generator=reference))
        back = torch.Generator().set_state(torch.from_numpy(generator.get_state()))
        assert identical(generator.normal(40), torch.randn(40, generator=back))


@pytest.mark.parametrize(
    "seed", [0, 1, -1, -(2**63), 2**32, 2**63, 2**64 - 1, np.int64(-5), np.uint64(2**63)]
)
def test_every_seed_that_torch_takes(seed: Any) -> None:
    generator, reference = pair(int(seed))
    assert Generator().manual_seed(seed).initial_seed() == reference.initial_seed()
    assert same_state(generator, reference)


@pytest.mark.parametrize("seed", [2**64, -(2**63) - 1, 1.5, "1", None, True])
def test_every_seed_that_torch_refuses(seed: Any) -> None:
    with pytest.raises((RuntimeError, ValueError)) as refusal:
        torch.Generator().manual_seed(seed)
    with pytest.raises(refusal.type, match=r"manual_seed expected .*but got"):
        Generator().manual_seed(seed)


def test_a_new_generator_is_torchs() -> None:
    assert same_state(Generator(), torch.Generator())
    with pytest.raises(RuntimeError, match="'cuda'; pass 'cpu'"):
        Generator("cuda")


def test_the_default_generator() -> None:
    assert random.manual_seed(-3) is random.default_generator
    assert random.initial_seed() == 2**64 - 3
    seed = random.seed()
    assert 0 <= seed < 2**53
    assert random.initial_seed() == seed
    assert random.seed() != seed
    for bad in ("x", None):
        with pytest.raises((ValueError, TypeError)) as refusal:
            torch.manual_seed(bad)
        with pytest.raises(refusal.type):
            random.manual_seed(bad)  # type: ignore[arg-type]


REFUSED: list[tuple[str, str, str]] = [
    ("uniform(3, 2, 1)", "empty(3).uniform_(2, 1)", "low = 2 > high = 1"),
    ("uniform(0, 2, 1)", "empty(0).uniform_(2, 1)", "low = 2 > high = 1"),
    ("uniform(3, nan, 1)", "empty(3).uniform_(nan, 1)", "low = nan"),
    ("uniform(3, 0, 1e300)", "empty(3).uniform_(0, 1e300)", "high = 1e.300 is out"),
    ("uniform(3, -3e38, 3e38)", "empty(3).uniform_(-3e38, 3e38)", "beyond float32"),
    ("uniform((2, -1))", "rand(2, -1)", r"shape is \(2, -1\)"),
    ("uniform(3, 0, 1, np.int64)", "rand(3, dtype=torch.int64)", "int64"),
    ("normal(3, 0, -1)", "empty(3).normal_(0, -1)", "std = -1"),
    ("normal(3, 0, nan)", "empty(3).normal_(0, nan)", "std = nan"),
    ("normal(-1)", "randn(-1)", r"shape is \(-1,\)"),
    ("normal(3, 0, 1, np.int64)", "randn(3, dtype=torch.int64)", "int64"),
    ("uniform(3, 'a')", "empty(3).uniform_('a')", "low .*number, not str"),
    ("uniform(3, 0, None)", "empty(3).uniform_(0, None)", "high .*NoneType"),
    ("uniform('a')", "rand('a')", "uniform: the shape .*'a'"),
    ("uniform((2, 0.5))", "rand(2, 0.5)", r"uniform: the shape .*\(2, 0.5\)"),
    ("normal(3, 'a')", "empty(3).normal_('a')", "mean .*number, not str"),
    ("normal(3, 0, [1])", "empty(3).normal_(0, [1])", "std .*list"),
    ("normal({2})", "randn({2})", r"normal: the shape .*\{2\}"),
    ("set_state(3)", "Generator().set_state(3)", "uint8"),
    ("set_state(raw[:3])", "Generator().set_state(torch.tensor(raw[:3]))", "bytes, but got 3"),
    ("set_state(raw)", "Generator().set_state(torch.tensor(raw))", "invalid"),
]


@pytest.mark.parametrize(("ours", "torchs", "text"), REFUSED)
def test_what_torch_refuses_is_refused(ours: str, torchs: str, text: str) -> None:
    names = {"np": np, "nan": math.nan, "torch": torch, "raw": np.zeros(5056, np.uint8)}
    with pytest.raises(Exception) as expected:  # noqa: PT011 - the class is what is asked for
        eval(f"torch.{torchs}", names)
    with pytest.raises(expected.type, match=text):
        eval(f"generator.{ours}", {**names, "generator": Generator()})
