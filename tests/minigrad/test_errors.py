"""Wrong shapes, dtypes, types and values: torch's exception class, and words that help."""

import inspect
from typing import Any

import numpy as np
import pytest
import torch

import minigrad
from tests.minigrad.test_signatures import NAMESPACES, public
from tests.minigrad.test_tensor import SAYING

# For each operation calls that are wrong, and what the message has to say besides its name: what
# was given, and what would be right. `v` is a vector of 2, `m` a matrix (2, 3), `i` int64, `b` bool
# (both vectors of 2), `w` a leaf vector that requires a gradient, `T` the module.
GENERAL: dict[str, list[tuple[str, str, str]]] = {
    **{
        name: [
            (f"T.{name}(v, T.ones(3))", "[2] and [3]", "equal or one of them 1"),
            (f"T.{name}(v, 'a')", "str", "tensors or numbers"),
            (f"T.{name}('a', v)", "str", "Tensor"),
            (f"v.{name}(None)", "NoneType", "tensors or numbers"),
        ]
        for name in ("add", "sub", "mul", "div", "eq", "ne", "lt", "le", "gt", "ge")
    },
    **{
        name: [
            (f"T.{name}(v, T.ones(3))", "[2] and [3]", "equal or one of them 1"),
            (f"T.{name}(v, 1)", "int", "Tensor"),
        ]
        for name in ("maximum", "minimum")
    },
    **{
        name: [(f"T.{name}('a')", "str", "Tensor"), (f"T.{name}(1.0)", "float", "Tensor")]
        for name in (
            *("exp", "log", "sqrt", "square", "tanh", "sigmoid", "relu", "neg"),
            *("abs", "clone", "numel", "sin", "cos", "isnan", "isinf", "isfinite"),
            *("max", "min", "argmax", "argmin", "any", "all", "std", "var"),
        )
    },
    **{
        name: [
            (f"m.{name}(2)", "2", "[-2, 1]"),
            (f"m.{name}(axis=2)", "2", "[-2, 1]"),
            (f"m.{name}(0, axis=1)", "'axis'", "dim"),
            (f"m.{name}(0, False, axis=1)", "'axis'", "dim"),
            (f"m.{name}(0, True, keepdims=True)", "'keepdims'", "keepdim"),
            (f"m.{name}(0, keepdims=3)", "3", "True or False"),
            (f"m.{name}(0, axes=1)", "axes", f"Tensor.{name}()"),
            (f"m.{name}((0, 0))", "(0, 0)", "twice"),
            (f"m.{name}('a')", "str", "int"),
            (f"m.{name}(1.0)", "float", "int"),
            (f"m.{name}(0, 'yes')", "yes", "True or False"),
            (f"T.{name}('a')", "str", "Tensor"),
        ]
        for name in ("sum", "mean", "amax", "amin")
    },
}
LARGE = "1" + 30 * "0"  # beyond int64
OVERFLOW: list[tuple[str, str, str]] = [
    *((f"i {operator} {LARGE}", LARGE, "int64") for operator in ("+", "-", "*", "**", "==", "<")),
    (f"{LARGE} - i", LARGE, "int64"),
    (f"i - {2**64}", str(2**64), "int64"),
    ("v + 10**400", "size", "float32"),
    ("v.double() * 10**400", "size", "float64"),
    ("v.pow(10**400)", "size", "float32"),
    *((f"v {operator} {2**64}", str(2**64), "float32") for operator in ("+", "/", "**", "==")),
    (f"({-(2**63) - 1}) ** v", str(-(2**63) - 1), "float32"),
    (f"T.add(v, 0, alpha={2**64})", str(2**64), "float32"),
    ("T.sub(v, v, alpha=1e300)", "1e+300", "float32"),
    (f"T.where(b, i, {LARGE})", LARGE, "int64"),
    (f"T.where(b, v, {2**64})", str(2**64), "float32"),
    ("T.where(b, v, 1e300)", "1e+300", "float32"),
    ("T.where(b, 1e300, 2)", "1e+300", "float32"),
    (f"i.fill_({LARGE})", LARGE, "int64"),
    ("i.fill_(1e30)", "1e+30", "int64"),
    ("i.fill_(float('nan'))", "nan", "int64"),
    ("v.fill_(10**400)", "size", "float32"),
    ("v.fill_(1e300)", "1e+300", "float32"),
    (f"i.add_({LARGE})", LARGE, "int64"),
    ("i.__setitem__(0, 1e30)", "1e+30", "int64"),
    ("v.__setitem__(0, 1e300)", "1e+300", "float32"),
    (f"T.full((2,), {LARGE})", LARGE, "int64"),
    ("T.full((2,), float('inf'), dtype=T.int64)", "inf", "int64"),
    ("T.full((2,), 1e300)", "1e+300", "float32"),
    (f"T.arange({LARGE})", LARGE, "int64"),
    ("T.arange(0, 1e30, 1e29, dtype=T.int64)", "1e+30", "int64"),
    ("T.arange(1, -10**400, -1)", "size", "int64"),
    ("T.linspace(0, 10**400, 3)", "size", "float32"),
    ("T.linspace(0, 1e300, 3)", "1e+300", "float32"),
    (f"T.tensor({LARGE})", "int64", "too large"),
    ("T.tensor([1.0, 1e30], dtype=T.int64)", "int64", "too large"),
    ("T.tensor(float('nan'), dtype=T.int64)", "int64", "NaN"),
    ("T.tensor([10**400], dtype=T.float64)", "float64", "too large"),
]
SPECIFIC: dict[str, list[tuple[str, str, str]]] = {
    "without overflow": OVERFLOW,
    "Tensor.": [
        ("m.reshape(form=1)", "form", "reshape()"),
        ("v.item(1)", "2 were given", "item()"),
        ("v.add_(1, beta=1)", "beta", "add_()"),
        ("v.backward(seed=1)", "seed", "backward()"),
    ],
    "alpha": [
        ("T.add(v, v, alpha='a')", "str", "number"),
        ("T.sub(i, i, alpha=0.5)", "0.5", ".float()"),
        ("T.add(i, i, alpha=1.0)", "1.0", ".float()"),
        ("T.add(v, v, alpha=True)", "True", "an int"),
        ("T.add(b, i, alpha=False)", "False", "an int"),
    ],
    "sub": [
        *((code, "bool", "not supported") for code in ("b - b", "v - b", "T.sub(i, b, alpha=2)")),
        ("v.sub(True, alpha=2)", "bool", "not supported"),
    ],
    "pow": [
        ("T.pow(v, T.ones(3))", "[2] and [3]", "equal or one of them 1"),
        ("T.pow(v, 'a')", "str", "tensor or a number"),
        ("T.pow(w, T.ones(2) == 1).sum().backward()", "bools", ".long()"),
        ("i ** -1", "negative", ".float()"),
        ("b ** b", "bool", "convert"),
    ],
    "neg": [("-b", "bool", "convert")],
    "abs": [("T.abs(b)", "bool", "convert")],
    "relu": [("T.relu(b)", "bool", "convert")],
    "where": [
        ("T.where(i, v, v)", "int64", "bool"),
        ("T.where(True, v, v)", "bool", "Tensor"),
        ("T.where(b, 'a', v)", "str", "tensors or numbers"),
        ("T.where(b, T.ones(3), v)", "[3]", "equal or 1"),
    ],
    "as_tensor": [("T.as_tensor('a')", "str", "numbers")],
    "empty": [("T.empty(-1)", "-1", "not be negative"), ("T.empty('a')", "str", "ints")],
    "eye": [("T.eye(-1)", "-1", "not be negative"), ("T.eye(2.0)", "2.0", "ints")],
    "full_like": [
        ("T.full_like(v, 'a')", "str", "number"),
        ("T.full_like(1, 2)", "int", "Tensor"),
    ],
    "rand_like": [
        ("T.rand_like(i)", "int64", "float32 or float64"),
        ("T.rand_like(1)", "int", "Tensor"),
    ],
    "randn_like": [
        ("T.randn_like(i)", "int64", "float32 or float64"),
        ("T.randn_like(1)", "int", "Tensor"),
    ],
    "normal": [
        ("T.normal(v, -1.0)", "-1", "std >= 0"),
        ("T.normal(v, -v.abs())", "std", ".abs()"),
        ("T.normal(0.0, 1.0)", "size", "both numbers"),
        ("T.normal(v, 1.0, (2,))", "size", "tensors have them"),
    ],
    "randint": [
        ("T.randint(0, (2,))", "low = 0", "low < high"),
        ("T.randint(3, 2)", "int", "tuple of ints"),
        ("T.randint(2.0, (2,))", "2.0", "ints"),
        ("T.randint(0, 3, (2,), dtype=T.bool)", "[0, 3)", "give 0 and 2"),
    ],
    "set_rng_state": [("T.set_rng_state(3)", "3", "uint8")],
    "set_default_dtype": [("T.set_default_dtype(T.int64)", "int64", "float32 or float64")],
    "clamp": [
        ("v.clamp()", "None", "At least one"),
        ("v.clamp('a')", "str", "numbers"),
        ("v.clamp_('a')", "str", "numbers"),
        ("v.clip(v, 1)", "Tensor and int", "of a kind"),
        ("v.clip_(v, 1)", "Tensor and int", "of a kind"),
        ("v.clamp(v, 'a')", "str", "of a kind"),
        ("v.clamp(v, T.ones(3))", "[3]", "equal or 1"),
        ("b.clamp(True)", "bool", "tensors as bounds"),
    ],
    **{
        name: [
            (f"i {sign} 0", "0", "an integer is divided"),
            (f"b {sign} b", "bool", "convert"),
            (f"T.{name}(v, 'a')", "str", "tensors or numbers"),
            (f"v.{name}_('a')", "str", "tensors or numbers"),
            (f"v {sign} T.ones(3)", "[2] and [3]", "equal or one of them 1"),
        ]
        for name, sign in (("remainder", "%"), ("floor_divide", "//"))
    },
    "hstack": [("T.hstack([])", "empty", "non-empty"), ("T.hstack(3)", "int", "list or tuple")],
    "vstack": [("T.vstack([])", "empty", "non-empty"), ("T.vstack(3)", "int", "list or tuple")],
    "dot": [
        ("v.dot(T.ones(3))", "[2] and [3]", "as long as"),
        ("v.dot(m)", "[2, 3]", "matmul"),
        ("v.dot(i)", "float32 and int64", "same dtype"),
    ],
    "mv": [("m.mv(v)", "[2, 3] and [2]", "as long as"), ("v.mv(v)", "[2]", "matmul")],
    "outer": [("m.outer(v)", "[2, 3]", "two vectors")],
    "equal": [("v.equal(1)", "int", "Tensor")],
    "allclose": [
        ("v.allclose(v.double())", "float64", "convert"),
        ("v.allclose(v, rtol=-1)", "-1", "not be negative"),
        ("v.allclose(T.ones(3))", "[2] and [3]", "broadcast"),
    ],
    **{
        name: [
            (f"T.zeros(0).{name}()", "[0]", "another length"),
            (f"m.{name}(2)", "2", "[-2, 1]"),
            (f"T.zeros(0, 2).{name}(0)", "[0, 2]", "another length"),
        ]
        for name in ("max", "min")
    },
    "argmax": [("b.argmax()", "bool", "convert"), ("m.argmax(2)", "2", "[-2, 1]")],
    "argmin": [("b.argmin()", "bool", "convert"), ("m.argmin(2)", "2", "[-2, 1]")],
    **{
        name: [
            (f"i.{name}()", "int64", ".float()"),
            (f"m.{name}(unbiased=True, correction=1)", "unbiased", "not both"),
            (f"m.{name}(False, keepdim=True)", "keepdim", "dim, or neither"),
        ]
        for name in ("var", "std")
    },
    "norm": [
        ("i.norm()", "int64", ".float()"),
        ("m.norm('abc')", "'abc'", "a number or 'fro'"),
        ("T.zeros(0).norm(-1)", "[0]", "another length than 0"),
    ],
    "any": [("m.any(2)", "2", "[-2, 1]")],
    "all": [("m.all(2)", "2", "[-2, 1]")],
    "&": [("v & v", "float32", "bool")],
    "~": [("~v", "float32", "bool")],
    "+": [("+b", "bool", "convert")],
    "sum": [
        ("w.sum(dtype=T.int64)", "int64", ".detach()"),
        ("m.sum(keepdim=True)", "needs dim", "dim=None"),
    ],
    "mean": [
        ("i.mean()", "int64", ".float()"),
        ("b.mean()", "bool", ".float()"),
        ("m.mean(keepdim=True)", "needs dim", "dim=None"),
    ],
    "amax": [
        ("T.zeros(0).amax()", "[0]", "other lengths than 0"),
        ("T.zeros(0, 2).amax(0)", "[0, 2]", "another length"),
    ],
    "matmul": [
        ("m @ m", "[2, 3] and [2, 3]", "as long as"),
        ("T.tensor(1.0) @ v", "[] and [2]", "needs an axis"),
        ("T.ones(2, 3, 4) @ T.ones(3, 4, 5)", "[2, 3, 4] and [3, 4, 5]", "broadcast"),
        ("m @ m.double().T", "float32 and float64", "same dtype"),
        ("b @ b", "bool", "convert"),
        ("T.matmul(m, 1)", "int", "Tensor"),
        ("T.matmul(m, 'a')", "str", "Tensor"),
    ],
    "reshape": [
        ("v.reshape(3)", "[3]", "multiply to 2"),
        ("v.reshape(-1, -1)", "[-1, -1]", "one may be -1"),
        ("T.zeros(0, 2).reshape(-1, 0)", "[-1, 0]", "one may be -1"),
        ("v.reshape('a')", "str", "ints"),
        ("v.reshape(1.0)", "1.0", "ints"),
        ("v.reshape()", "nothing", "ints"),
        ("v.reshape(shape=2)", "[2]", "one tuple of them"),
        ("v.reshape(2, shape=(2,))", "[2, (2,)]", "by position or by keyword"),
        ("v.reshape(shape=(3,))", "[3]", "multiply to 2"),
    ],
    "view": [
        ("v.view(3)", "[3]", "multiply to 2"),
        ("m.T.view(6)", "[6]", ".reshape(...)"),
        ("v.view('a')", "str", "ints"),
        ("v.view(2, size=(2,))", "[2, (2,)]", "by position or by keyword"),
    ],
    "flatten": [
        ("T.nn.Flatten()(v)", "1", "[-1, 0]"),
        ("m.flatten(1, 0)", "1", "after"),
        ("m.flatten(2)", "2", "[-2, 1]"),
        ("m.flatten('a')", "str", "int"),
    ],
    "squeeze": [
        ("m.squeeze(2)", "2", "[-2, 1]"),
        ("m.squeeze('a')", "str", "int"),
        ("m.squeeze(0, axis=1)", "'axis'", "dim"),
    ],
    "unsqueeze": [
        ("v.unsqueeze(3)", "3", "[-2, 1]"),
        ("v.unsqueeze(1.0)", "float", "int"),
        ("v.unsqueeze(0, axis=0)", "'axis'", "dim"),
        ("v.unsqueeze()", "NoneType", "int"),
    ],
    "permute": [
        ("m.permute(0)", "[0]", "each of the 2 axes"),
        ("m.permute(0, 0)", "[0, 0]", "once"),
        ("m.permute(0, 2)", "2", "[-2, 1]"),
        ("m.permute('a', 'b')", "str", "int"),
    ],
    "transpose": [("m.transpose(0, 2)", "2", "[-2, 1]"), ("m.transpose('a', 0)", "str", "int")],
    "t": [("T.zeros(2, 2, 2).t()", "[2, 2, 2]", ".mT")],
    "mT": [("v.mT", "[2]", "matrix")],
    "expand": [
        ("v.expand(3)", "[3]", "be 1 before"),
        ("v.expand(-1, 2)", "[-1, 2]", "be 1 before"),
        ("v.expand(())", "[]", "be 1 before"),
        ("v.expand('a')", "str", "ints"),
        ("v.expand(size=2)", "[2]", "one tuple of them"),
    ],
    "index": [
        ("v[5]", "5", "[2]"),
        ("v[0, 0]", "[2]", "one for each axis"),
        ("v[1.0]", "1.0 of type float", "integers, slices"),
        ("v['a']", "'a'", "ints, slices"),
        ("v[::-1]", "-1", "greater than zero"),
        ("v[2**70]", "1180591620717411303424", "64 bits"),
        ("v[{}]", "{} of type dict", "integers, slices"),
        ("v[np.bool_(True)]", "of type bool", "integers, slices"),
        ("v[0, [0, None]]", "[2]", "one for each axis"),
        ("m[0, [0, None]]", "None of type NoneType", "integers, slices"),
        ("m[T.tensor([0, 1]), T.tensor([0, 1, 2])]", "(2,) (3,)", "[2, 3]"),
        ("v[T.tensor([2])]", "2", "[2]"),
        ("v[T.tensor([0.5])]", "float32", "of integers or bools"),
        ("v[T.tensor([True, False, True])]", "3", "[2]"),
    ],
    "assign": [
        ("v.__setitem__(0, 'a')", "str", "make a tensor"),
        ("v.__setitem__(slice(None), T.ones(3))", "[3]", "same or 1"),
        ("v.__setitem__(9, 1)", "9", "[2]"),
        ("v.__setitem__([0], T.ones(1, dtype=T.float64))", "float64", ".to("),
        ("v.__setitem__(0, 2**70)", "1180591620717411303424", "64 bits"),
        ("v.__setitem__(0, np.float32(1))", "float32", "make a tensor"),
        ("m.reshape(6).__setitem__(slice(1, None), m.reshape(6)[:-1])", "[5]", "clone()"),
        ("m.__setitem__([0], m[0])", "[3]", "clone()"),
    ],
    "cat": [
        ("T.cat([])", "empty", "non-empty list"),
        ("T.cat(v)", "Tensor", "list or tuple"),
        ("T.cat([v, 1])", "int", "Tensor"),
        ("T.cat([T.tensor(1.0)])", "position 0", "stack"),
        ("T.cat([v, v], 1)", "1", "[-1, 0]"),
        ("T.cat([m, m], 1, axis=0)", "'axis'", "dim"),
        ("T.cat([m, T.ones(2, 2)])", "[2, 2]", "equal but for axis 0"),
    ],
    "stack": [
        ("T.stack([])", "empty", "non-empty list"),
        ("T.stack(v)", "Tensor", "list or tuple"),
        ("T.stack([v, 1])", "int", "Tensor"),
        ("T.stack([v, m])", "[2, 3]", "equal shape"),
        ("T.stack([v, v], 2)", "2", "[-2, 1]"),
        ("T.stack([v, v], 1, axis=0)", "'axis'", "dim"),
    ],
    "zeros": [
        ("T.zeros(-1)", "[-1]", "not be negative"),
        ("T.zeros('a')", "str", "ints"),
        ("T.zeros(1.5)", "1.5", "ints"),
        ("T.zeros(2, dtype=3)", "3", "float32"),
        ("T.zeros()", "nothing", "ints"),
        ("T.zeros(2, size=(2,))", "[2, (2,)]", "by position or by keyword"),
    ],
    "ones": [("T.ones(-1)", "[-1]", "not be negative"), ("T.ones('a')", "str", "ints")],
    "full": [
        ("T.full(2, 1)", "int", "tuple of ints"),
        ("T.full((2,), 'a')", "str", "number"),
        ("T.full((-1,), 1)", "[-1]", "not be negative"),
    ],
    "zeros_like": [("T.zeros_like(1)", "int", "Tensor")],
    "ones_like": [("T.ones_like(1)", "int", "Tensor")],
    "arange": [
        ("T.arange(0, 1, 0)", "steps of 0", "not 0"),
        ("T.arange(5, 2)", "5 to 2", "sign of end - start"),
        ("T.arange('a')", "str", "number"),
        ("T.arange(float('nan'))", "nan", "finite"),
    ],
    "linspace": [
        ("T.linspace(0, 1, -1)", "-1", "negative"),
        ("T.linspace('a', 1, 3)", "str", "number"),
        ("T.linspace(0, None, 3)", "NoneType", "number"),
        ("T.linspace(0, 1, 2.0)", "2.0", "integer"),
        ("T.linspace(v, 1, 3)", "[2]", "without axes"),
    ],
    "rand": [
        ("T.rand(-1)", "[-1]", "not be negative"),
        ("T.rand('a')", "str", "ints"),
        ("T.rand(2, dtype=T.int64)", "int64", "float32 or float64"),
        ("T.rand(2, generator=1)", "int", "Generator"),
    ],
    "randn": [("T.randn(2, dtype=T.int64)", "int64", "float32 or float64")],
    "tensor": [
        ("T.tensor('a')", "str", "numbers"),
        ("T.tensor(None)", "NoneType", "numbers"),
        ("T.tensor([[1], [1, 2]])", "one has 2", "equal lengths"),
        ("T.tensor([v, v])", "[2]", "stack or cat"),
        ("T.tensor(1, dtype=3)", "3", "float32"),
    ],
    "from_numpy": [("T.from_numpy([1])", "list", "ndarray")],
    "item": [("v.item()", "2 elements", "exactly one")],
    "copy_": [
        ("v.copy_(T.ones(3))", "[3]", "same or 1"),
        ("v.copy_([1.0, 2.0])", "list", "Tensor"),
    ],
    "fill_": [("v.fill_('a')", "str", "number"), ("v.fill_(v)", "[2]", "copy_")],
    "add_": [
        ("v.add_(T.ones(2, 2))", "[2, 2]", "[2]"),
        ("i.add_(0.5)", "float32", "int64"),
        ("w.add_(1)", "leaf", "no_grad()"),
        ("v.expand(2, 2).add_(1)", "read-only", "clone()"),
    ],
    "sub_": [("w.sub_(1)", "leaf", "no_grad()"), ("i.sub_(0.5)", "float32", "int64")],
    "mul_": [("w.mul_(2)", "leaf", "no_grad()"), ("v.mul_(T.ones(2, 2))", "[2, 2]", "[2]")],
    "div_": [("i.div_(2)", "float32", "int64"), ("w.div_(2)", "leaf", "no_grad()")],
    "pow_": [("i.pow_(2.5)", "float32", "int64"), ("w.pow_(2)", "leaf", "no_grad()")],
    "zero_": [("w.zero_()", "leaf", "no_grad()")],
    "uniform_": [
        ("w.uniform_()", "leaf", "no_grad()"),
        ("v.uniform_('a')", "str", "number"),
        ("v.uniform_(1, 0)", "low = 1", "low <= high"),
        ("v.uniform_(generator=3)", "int", "Generator"),
        ("i.uniform_()", "int64", "float32 or float64"),
    ],
    "normal_": [
        ("w.normal_()", "leaf", "no_grad()"),
        ("v.normal_(0, 'a')", "str", "number"),
        ("v.normal_(0, -1)", "-1", "std >= 0"),
        ("v.normal_(generator=3)", "int", "Generator"),
        ("i.normal_()", "int64", "float32 or float64"),
    ],
    "index assignment": [
        ("w.__setitem__(0, 1)", "leaf", "no_grad()"),
        ("v.__setitem__(0, 'a')", "str", "tensor"),
    ],
    "to": [
        ("v.to('tpu')", "tpu", "cpu"),
        ("v.to('float64')", "float64", "cpu"),
        ("v.to(T.float64, 'cpu')", "float64", "a device and a dtype"),
        ("v.to(T.float64, dtype=T.float32)", "float32", "a device and a dtype"),
        ("v.to('cpu', 3)", "3", "float32"),
    ],
    "size": [("m.size(2)", "2", "[-2, 1]"), ("m.size('a')", "str", "int")],
    "register_hook": [("v.register_hook(print)", "[2]", "requires_grad_()")],
    "Linear": [
        ("T.nn.Linear(-1, 2)", "-1", "not be negative"),
        ("T.nn.Linear('a', 2)", "str", "int"),
        ("T.nn.Linear(2, 1.5)", "float", "int"),
    ],
    "linear": [
        ("T.nn.Linear(2, 2)(m)", "[2, 3]", "as long as"),
        ("T.nn.Linear(3, 2)(m.double())", "float64", "same dtype"),
        ("T.nn.Linear(3, 2)(3)", "int", "Tensor"),
    ],
    "mse_loss": [("T.nn.MSELoss(reduction='x')(v, v)", "'x'", "'mean', 'sum' or 'none'")],
    "l1_loss": [
        ("T.nn.L1Loss(reduction='x')(v, v)", "'x'", "'mean', 'sum' or 'none'"),
        ("T.nn.functional.l1_loss(v, m)", "[2] and [2, 3]", "same shape"),
    ],
    "huber_loss": [
        ("T.nn.HuberLoss('x')(v, v)", "'x'", "'mean', 'sum' or 'none'"),
        ("T.nn.functional.huber_loss(v, v, delta=0)", "0", "above 0"),
        ("T.nn.functional.huber_loss(i, i)", "int64", ".float()"),
        ("T.nn.functional.huber_loss(w, v.double()).backward()", "float32 and float64", "convert"),
    ],
    "smooth_l1_loss": [
        ("T.nn.SmoothL1Loss(reduction='x')(v, v)", "'x'", "'mean', 'sum' or 'none'"),
        ("T.nn.functional.smooth_l1_loss(v, v, beta=-1)", "-1", "at least 0"),
        ("T.nn.functional.smooth_l1_loss(i, i)", "int64", ".float()"),
    ],
    "Sequential": [
        ("T.nn.Sequential(3)", "int", "forward()"),
        ("T.nn.Sequential(T.nn.Tanh()).append(3)", "int", "forward()"),
        ("T.nn.Sequential(T.nn.Tanh()).insert(0, 3)", "int", "Module"),
        ("T.nn.Sequential(T.nn.Tanh()) + 3", "int", "append"),
        ("T.nn.Sequential(T.nn.Tanh()) * 0", "", "at least 1"),
    ],
    "range": [
        ("T.nn.Sequential(T.nn.Tanh())[1]", "1", "there are 1"),
        ("T.nn.ParameterList([v])[2]", "2", "there are 1"),
        ("T.nn.Sequential(T.nn.Tanh()).insert(2, T.nn.Tanh())", "2", "there are 1"),
    ],
    "ModuleList": [
        ("T.nn.ModuleList(3)", "int", "list"),
        ("T.nn.ModuleList([3])", "int", "forward()"),
    ],
    "ModuleDict": [
        ("T.nn.ModuleDict({'a': 3})", "int", "forward()"),
        ("T.nn.ModuleDict([3])", "int", "dict"),
        ("T.nn.ModuleDict(3)", "int", "list"),
    ],
    "ParameterList": [
        ("T.nn.ParameterList(v)", "Tensor", "list"),
        ("T.nn.ParameterList([v])(v)", "ParameterList", "only holds"),
    ],
    "Identity": [("T.nn.Identity()()", "input", "forward()")],
    "leaky_relu": [
        ("T.nn.LeakyReLU('a')(v)", "str", "number"),
        ("T.nn.functional.leaky_relu(3)", "int", "Tensor"),
        ("T.nn.functional.leaky_relu(i)", "int64", ".float()"),
    ],
    "softplus": [
        ("T.nn.Softplus('a')(v)", "str", "number"),
        ("T.nn.functional.softplus(3)", "int", "Tensor"),
        ("T.nn.functional.softplus(i)", "int64", ".float()"),
    ],
    "relu_": [
        ("T.relu_(w)", "leaf", "no_grad()"),
        ("T.relu_(3)", "int", "Tensor"),
        ("T.nn.ReLU(True)(w)", "leaf", "no_grad()"),
    ],
    "stride": [("m.stride(2)", "2", "[-2, 1]"), ("T.ones(()).stride(0)", "0", "no dimensions")],
    "view_as": [("m.view_as(3)", "int", "Tensor")],
    "reshape_as": [("m.reshape_as(3)", "int", "Tensor")],
    "expand_as": [("m.expand_as(3)", "int", "Tensor")],
    "type": [
        ("v.type('FloatTensor')", "FloatTensor", "torch.FloatTensor"),
        ("v.type(int)", "int", "torch.LongTensor"),
        ("v.type(3)", "3", "a dtype or a name"),
    ],
    "randperm": [
        ("T.randperm(-1)", "-1", "non-negative"),
        ("T.randperm(1.5)", "float", "int"),
        ("T.randperm(3, generator=3)", "int", "Generator"),
        ("T.randperm(3, dtype=T.bool)", "bool", "number"),
        ("T.randperm(2**24 + 2, dtype=T.float32)", "16777218", "int64"),
    ],
    "fan in": [
        ("T.nn.init.xavier_uniform_(v)", "[2]", "matrix"),
        ("T.nn.init.xavier_normal_(v)", "[2]", "matrix"),
    ],
    "sigmoid": [("T.nn.Sigmoid()(3)", "int", "Tensor")],
    "device": [
        ("T.zeros(2, device='tpu')", "tpu", "cpu"),
        ("T.device('tpu')", "tpu", "cpu"),
        ("T.device([])", "list", "cpu"),
    ],
    "mm": [
        ("T.mm(m, m)", "[2, 3] and [2, 3]", "as long as"),
        ("v.mm(m)", "[2]", "matrix"),
        ("m.mm(v)", "[2]", "matrix"),
        ("m.mm(m.double().T)", "float32 and float64", "same dtype"),
        ("T.mm(m, 'a')", "str", "Tensor"),
        ("T.mm(m > 0, m.T > 0)", "bool", "convert"),
    ],
}

CALLS = [(name, *case) for cases in (GENERAL, SPECIFIC) for name in cases for case in cases[name]]
UNNAMED = {
    "alpha": ("add", "sub"),
    "as_tensor": ("tensor",),
    "randint": ("randint", "integers"),
    "set_rng_state": ("set_state",),
    "assign": ("index",),
    "zeros": ("zeros", "dtype"),
    "tensor": ("tensor", "dtype"),
    "to": ("to", "device", "dtype"),
    "uniform_": ("uniform",),
    "normal_": ("normal",),
    "where": ("where",),
}
"""What counts as the operation's name where it is not the name of the cases."""


def raised(T: Any, code: str) -> BaseException | None:
    """Return the exception that a call raises."""
    scope = {
        "T": T,
        "v": T.tensor([1.0, -2.0]),
        "m": T.arange(6.0).reshape(2, 3),
        "i": T.tensor([1, 2]),
        "b": T.tensor([True, False]),
        "w": T.tensor([1.0, 2.0], requires_grad=True),
        "np": np,
    }
    try:
        eval(code, scope)
    except Exception as error:
        return error
    return None


@pytest.mark.parametrize(("name", "code", "given", "right"), CALLS, ids=[c[1] for c in CALLS])
def test_class_and_words(name: str, code: str, given: str, right: str) -> None:
    actual, expected = raised(minigrad, code), raised(torch, code)
    assert expected is not None, "torch does not mind"
    assert actual is not None, "nothing was raised"
    assert type(actual) is type(expected), f"{actual!r} against {expected!r}"
    text = str(actual)
    assert any(n in text for n in UNNAMED.get(name, (name,))), f"{text!r} names no {name}"
    assert given in text, f"{text!r} does not say what was given: {given}"
    assert right in text, f"{text!r} does not say what is right: {right}"


ELSEWHERE = {
    "CaptureError": "an exception",
    "capture": "test_capture",
    "explain": "test_explain",
    "enable_grad": "test_autograd",
    "Generator": "test_random",
    "manual_seed": "test_random",
    "nn.init.calculate_gain": "test_tensor",
    "set_printoptions": "test_printing",
    "Size": "a tuple",
}


def test_every_function_has_its_cases() -> None:
    """Those of generators, modules, optimisers, gradcheck and autograd.functional have test files
    of their own.
    """
    codes = "\n".join([*(code for _, code, *_ in CALLS), *(code for code, *_ in SAYING)])
    lacking = set()
    for prefix in ("", "Tensor", "nn", "nn.functional", "nn.init"):
        for name, _ in public(NAMESPACES[prefix][0]):
            function = getattr(NAMESPACES[prefix][0], name)
            path = f"{prefix}.{name}".lstrip(".")
            if callable(function) and takes_arguments(function) and f"{name}(" not in codes:
                lacking.add(path)
    assert lacking - set(ELSEWHERE) == set()
    assert set(ELSEWHERE) - lacking == set(), "stale"


def takes_arguments(function: Any) -> bool:
    """Return whether a function takes more than a tensor that it is a method of."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return True
    return bool(set(parameters) - {"self", "input"})


def test_an_array_that_is_read_only_is_not_written_to() -> None:
    array = np.ones(2)
    array.flags.writeable = False
    with pytest.warns(UserWarning, match=r"read-only.*\.copy\(\)"):
        x = minigrad.from_numpy(array)
    with pytest.raises(RuntimeError, match="read-only"):
        x.add_(1)
    with pytest.raises(RuntimeError, match="read-only"):
        x[0] = 1
    assert array.tolist() == [1, 1]
