"""Square brackets against torch: read, assigned, differentiated, and refused."""

import random
import warnings
from typing import Any

import numpy as np
import pytest
import torch

import minigrad
from minigrad.tensor import indexing, keys
from tests.minigrad.index_keys import random_key, random_shape
from tests.minigrad.operations import FUZZ
from tests.minigrad.sessions import agree, sessions

SESSIONS = sessions("""
# an int beside an index tensor, apart from it
x = T.arange(8.0).reshape(2, 2, 2)
x[0, :, [0, 1]]
x[T.tensor(0), :, T.tensor([0, 1])]
x[0, :, T.tensor([True, True])]
x[0, ..., [1, 0, 0]]
x[0, None, [1, 0, 0]]
x[[0, 1], None, 0]
x[None, [0, 1], ..., [1, 0], :]
y = T.arange(4.0).reshape(2, 2)
y[None, [0, 1], ..., [1, 0]]
z = leaf([[1.0, 2.0], [3.0, 4.0]])
picked = z[None, 0, :, None].expand(2, 1, 2, 1)[1, 0, [1, 1, 0]]
picked
grad((picked * T.tensor([[1.0], [10.0], [100.0]])).sum(), z)
x[1, :, [0, 1]] = T.tensor([[10.0, 20.0], [30.0, 40.0]])
x
# what a list is taken for
x = T.arange(24.0).reshape(2, 3, 4)
warned("tuple", lambda: x[[[0, 1], [1, 0]]])
warned("tuple", lambda: x[[None, 0]])
x[([0, 1], [1, 0])]
x[0, [T.tensor(1), 0]]
x[0, [True, T.tensor(False), True]]
x[[1.7, -0.5]]
x[[np.True_, False]]
refused("bool", lambda: x[[0, np.True_]])
x[range(2), (0, 1)]
x[np.array([[0, 1], [1, 0]])].shape
x[[[]], ].shape
x[T.Size([0, 1])]
# where torch counts one axis for an array without axes
x = T.arange(6.0).reshape(2, 3)
x[..., np.array(True)].shape
x[..., T.tensor(True)].shape
refused("too many", lambda: x[0, 0, np.array(True)])
x[0, 0, T.tensor(True)]
# what is not there
def delete(x):
    del x[0]
refused("delet", delete, T.ones(2))
refused("0-d", lambda: list(T.tensor(1.0)))
[*T.arange(4.0).reshape(2, 2)]
# a second backward
x = leaf([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
i, m = T.tensor([0, 1]), T.tensor([True, False])
def twice(result):
    result.sum().backward()
    return refused("a second time", result.sum().backward)
x[0].sum().backward()
for key in (i, m, [0], True, (0, i)):
    assert twice(x[key]) == "RuntimeError"
for key in (0, slice(1, None), None, ..., (0, None)):
    y = x[key].sum()
    y.backward()
    y.backward()
x.grad
def assigned(key, value):
    out = x.clone()
    out[key] = value
    return out
for key in (0, i, m, None, (0, i)):
    assert twice(assigned(key, 1.0)) == "RuntimeError"
# an index tensor that is changed before backward
x = leaf([[1.0, 2.0], [4.0, 5.0]])
i, m = T.tensor([0, 1]), T.tensor([True, False])
y, z, a = x[i], x[0, m], x.clone()
a[m] = 0.0
i.add_(0)
m[0] = False
refused("inplace", y.sum().backward)
refused("inplace", z.sum().backward)
refused("inplace", a.sum().backward)
n = T.tensor(0)
y = x[n]
n.add_(1)
grad(y.sum(), x)
# values that are assigned
x = T.zeros(2, 3)
x[T.tensor([True, False])] = T.tensor(7)
x[:, [True, False, True]] = T.tensor([2], dtype=T.float64)
x[1] = T.tensor([[[1, 2, 3]]])
x[0, 0] = T.tensor([[5.0]])
x[np.int64(0), 1] = np.int64(4)
x[False] = T.ones(7)
x
refused("dtype", lambda: x.__setitem__([0], T.tensor(7)))
refused("dtype", lambda: x.__setitem__((True,), T.tensor(7)))
refused("str", lambda: x.__setitem__(False, "a"))
refused("unpacking|64 bits", lambda: x.__setitem__(0, 2**63))
refused("float32", lambda: x.__setitem__(0, np.float32(1)))
refused("shape", lambda: x.__setitem__(T.tensor(False), T.ones(7)))
b = T.zeros(2, dtype=T.bool)
b[0] = 0.5
b[1] = float("nan")
b
w = leaf([1.0, 2.0])
w[False] = 1.0
refused("leaf", lambda: w.__setitem__(0, 1.0))
refused("leaf", lambda: w.__setitem__([0], 1.0))
# values from the same memory
def x():
    return T.arange(12.0).reshape(3, 4)
def put(x, key, value):
    x[key] = value
    return x
refused("memory", lambda: (a := x(), put(a, slice(1, None), a[:-1])))
refused("memory", lambda: (a := x(), put(a, slice(2), a[1:])))
refused("memory", lambda: (a := x(), put(a, [0, 1], a[:2])))
refused("memory", lambda: (a := x(), put(a, [0], a[0])))
a = x(); a[:] = a; a
a = x(); a[...] = a[0]; a
a = x(); a[:] = a[:, 1:2]; a
a = x(); a[:, ::2] = a[:, 1::2]; a
a = x(); a[a > 3] = a[0, 1]; a
a = x(); a[0, [0, 1]] = a[1, :2]; a
a = x(); a[0] += 1; a[:, 0] *= 2; a
""")


@pytest.mark.parametrize("name", SESSIONS)
def test_sessions(name: str) -> None:
    agree(SESSIONS[name])


def test_an_order_of_elements_that_torch_does_not_notice_is_refused() -> None:
    """`x[:, 1:] = x[:, :-1]`: torch reads elements that it has replaced before."""
    x = minigrad.arange(12.0).reshape(3, 4)
    with pytest.raises(RuntimeError, match=r"index assignment: .*clone\(\)"):
        x[:, 1:] = x[:, :-1]
    assert x.tolist() == np.arange(12.0).reshape(3, 4).tolist()


# ---- random keys -------------------------------------------------------------------------------

KEYS = 20_000 if FUZZ else 500
OTHERS = ["'a'", "None", "[1]", "2**70", "2**63", "1e300", "float('nan')", "True", "1.5", "-2"]
OTHERS += ["np.float32(1)", "np.float64(1.5)", "np.int64(1)", "np.bool_(True)"]
"""Values that are no tensors."""


def test_random_keys() -> None:
    rng = random.Random(0)
    fit = 0
    for seed in range(KEYS):
        shape = random_shape(rng)
        key = random_key(rng, shape)
        for run in (reading, assigning):
            ours, theirs = run(minigrad, key, shape, seed), run(torch, key, shape, seed)
            fit += len(theirs) > 1
            assert ours == theirs, f"{run.__name__}, x[{key}] of a tensor of shape {shape}"
    assert fit > KEYS, "most keys do not fit"


def reading(T: Any, key: str, shape: tuple[int, ...], seed: int) -> list[Any]:
    """Return what a key gives, with its derivatives, or the class of the error."""
    rng = random.Random(seed)
    leaf = numbers(T, shape, rng).requires_grad_()
    x = leaf * 1
    if rng.random() < 0.3:
        x = x.permute(rng.sample(range(len(shape)), len(shape)))
    found, y = tried(lambda: eval(f"x[{key}]", {"T": T, "np": np, "x": x}))
    if y is None:
        return found[:1]
    y_grad = numbers(T, tuple(y.shape), rng).requires_grad_()
    found += described(y)
    (x_grad,) = T.autograd.grad(y, leaf, y_grad, create_graph=True)
    (second,) = T.autograd.grad(x_grad, y_grad, numbers(T, shape, rng))
    found += [x_grad.tolist(), second.tolist()]
    found += [tried(lambda: y.backward(y_grad))[0] for _ in range(2)]
    with T.no_grad():
        y.detach().add_(1)
    return [*found, x.tolist()]


def assigning(T: Any, key: str, shape: tuple[int, ...], seed: int) -> list[Any]:
    """Return what an assignment makes of a tensor, with its derivatives."""
    rng = random.Random(seed)
    place, twice = place_of(key, shape)
    kind = rng.choice(["tensor", "tensor", "recorded", "recorded", "number", "other"])
    if place is None:
        place, kind = [], "number"  # one mistake is enough
    dtype = rng.choice(["float64"] * 6 + ["float32", "int64", "bool"])
    of = rng.choice([dtype] * 6 + ["float64", "float32", "int64", "bool"])
    if kind == "recorded":
        dtype = of = "float64"
    leaf = numbers(T, shape, rng).to(getattr(T, dtype))
    if dtype[:5] == "float" and rng.random() < 0.5:
        leaf.requires_grad_()
    x = leaf * 1
    lengths = [rng.choice([n, n, n, 1]) for n in place][rng.choice([0, 0, 0, 1, 2]) :]
    lengths = [1] * rng.choice([0, 0, 0, 1, 2]) + ([] if twice else lengths)
    values = numbers(T, tuple([*lengths, 2] if rng.random() < 0.05 else lengths), rng)
    values = values.to(getattr(T, of)).requires_grad_(kind == "recorded")
    given = {"number": 7.5, "other": eval(rng.choice(OTHERS), {"np": np})}.get(kind, values)
    before = described(x)
    found, _ = tried(lambda: exec(f"x[{key}] = given", {"T": T, "np": np, "x": x, "given": given}))
    if found[
        0
    ]:  # torch may have assigned to some elements before it finds that an int is too large
        assert T is torch or described(x) == before
        return found
    found += described(x)
    if x.grad_fn is not None:
        x_grad = numbers(T, shape, rng).to(x.dtype).requires_grad_()
        inputs = [t for t in (leaf, values) if t.requires_grad]
        first = T.autograd.grad(x, inputs, x_grad, create_graph=True, allow_unused=True)
        found += [None if g is None else (g.tolist(), g.requires_grad) for g in first]
        total = [(g * g).sum() for g in first if g is not None and g.requires_grad]
        if total:
            (second,) = T.autograd.grad(sum(total), x_grad)
            found.append(second.tolist())
        found += [tried(lambda: x.backward(x_grad))[0] for _ in range(2)]
    return found


def numbers(T: Any, shape: tuple[int, ...], rng: random.Random) -> Any:
    """Return a tensor of small whole numbers, which are exact in any order of additions."""
    values = np.reshape([rng.randint(-9, 9) for _ in range(int(np.prod(shape)))], shape)
    return T.tensor(values.tolist(), dtype=T.float64).reshape(shape).clone()


def tried(call: Any) -> tuple[list[Any], Any]:
    """Return the classes of the error and of the warnings of a call, and its result."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = call()
        except Exception as error:
            return [type(error).__name__], None
    return ["", *(warning.category.__name__ for warning in caught)], result


def described(x: Any) -> list[Any]:
    """Return what can be seen of a tensor, its values as text so that NaN equals NaN."""
    name = None if x.grad_fn is None else x.grad_fn.name().rpartition(":")[2]
    is_contiguous = torch.from_numpy(x._array).is_contiguous if hasattr(x, "_array") else None
    contiguous = (is_contiguous or x.is_contiguous)()
    dtype = str(x.dtype).removeprefix("torch.")
    return [list(x.shape), dtype, str(x.tolist()), x.requires_grad, name, contiguous]


def place_of(key: str, shape: tuple[int, ...]) -> tuple[list[int] | None, bool]:
    """Return the shape that torch has at a key, if any, and whether an element is there twice."""
    x = torch.zeros(shape, requires_grad=True)
    _, y = tried(lambda: eval(f"(x * 1)[{key}]", {"T": torch, "np": np, "x": x}))
    if y is None:
        return None, False
    (named,) = torch.autograd.grad(y.sum(), x)
    return list(y.shape), bool((named > 1).any())


# ---- the test itself: each of these defects has to be found ------------------------------------


def as_numpy_does(given: Any, shape: Any) -> keys.Key:
    """Take an int beside an index array for an index array, and `...` for an axis between them."""
    found = keys.key_of(given, shape)
    ints = [part for part in found.view if isinstance(part, int)]
    if not found.arrays or not ints or None in found.view:
        return found
    rest = iter(found.arrays)
    mixed = [part if isinstance(part, int) else next(rest, keys.ALL) for part in found.view[:-1]]
    return found._replace(view=(...,), arrays=tuple(map(as_array, mixed)), is_whole=True)


def as_array(part: Any) -> Any:
    return np.array(part) if isinstance(part, int) else part


def every_array_fills(given: Any, shape: Any) -> keys.Key:
    return keys.key_of(given, shape)._replace(is_mask=True)


@pytest.mark.parametrize("wrong", [as_numpy_does, every_array_fills])
def test_wrong_keys_are_found(wrong: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing, "key_of", wrong)
    with pytest.raises(AssertionError, match=r"x\["):
        test_random_keys()


def test_numpy_layout_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing, "in_torch_order", lambda picked, *_: picked)
    with pytest.raises(AssertionError, match=r"x\["):
        test_random_keys()
