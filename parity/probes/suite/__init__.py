"""The probes themselves, in modules by what they show; here is what they share."""

from collections.abc import Callable, Mapping
from typing import Any


def singly(lib: Any, note: Any, calls: Mapping[str, Callable[..., Any]], *inputs: str) -> None:
    """Note the value of every call, and its gradients by the inputs of these names.

    Each call is given leaves of its own, and backward starts from numbers that are all different:
    so what is wrong is wrong with this operation.
    """
    for name, call in calls.items():
        leaves = [note.leaf(by) for by in inputs]
        out = note(name, call(*leaves), gradient=False)
        out.retain_grad()
        out.backward(note(f"{name}: given gradient", counted(lib, out)))
        note.gradient(f"{name}: by itself", out)
        for by, leaf in zip(inputs, leaves, strict=True):
            note.gradient(f"{name}: by {by}", leaf)
            note.unchanged(f"{name}: {by}", leaf)


def counted(lib: Any, out: Any) -> Any:
    """Return 1, 2, 3, … in the shape of a tensor."""
    return lib.arange(1, out.numel() + 1, dtype=out.dtype).reshape(out.shape)


def parameter(lib: Any, note: Any, name: str) -> Any:
    """Return a parameter with the values of an input, in memory of its own."""
    return lib.nn.Parameter(note.leaf(name))
