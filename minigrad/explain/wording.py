"""How the steps of the page put things."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from minigrad.explain.explanation import Entry
from minigrad.explain.source import Code
from minigrad.optim import SGD


def line_of(entry: Entry) -> dict[str, Any] | None:
    """Return the user's line that made an entry; None if there is none."""
    return None if entry.line is None else Code(str(entry.line), 0, entry.line.text)._asdict()


def where(entry: Entry) -> str:
    """Return the name of an operation with the layer it runs in."""
    operation = entry.operation
    if operation is None or not operation.layer:
        return entry.name
    return f"{entry.name} (layer {operation.layer})"


def maker(value: Any) -> str:
    """Return the name of what made an input; a number as it is."""
    return value.name if isinstance(value, Entry) else str(value)


def group(title: str, figures: list[dict[str, Any]]) -> dict[str, Any]:
    """Return figures that stand under one title."""
    return {"title": title, "figures": figures}


def of(kind: str, value: Any) -> str | None:
    """Name a tensor of the computation: of an entry its "value", "gradient", "updated", "buffer".

    The last two are what an optimizer's step made of a parameter. None for a number.
    """
    return f"{kind} {value.number}" if isinstance(value, Entry) else None


def short(value: Any) -> str:
    """Return a value as Python writes it, on one line and not too long."""
    said = " ".join(repr(value).split())
    return said if len(said) <= 80 else said[:79] + "…"


def listed(names: list[str]) -> str:
    """Return names with commas, and with 'and' before the last."""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]])) if names else "nothing"


def input_names(forward: Callable[..., Any], count: int) -> list[str]:
    """Return what the forward function calls its inputs; of `*xs` they are xs[0], xs[1], ...."""
    parameters = list(inspect.signature(forward).parameters.values())
    if parameters[0].kind is parameters[0].VAR_POSITIONAL:
        return [f"{parameters[0].name}[{i}]" for i in range(count)]
    return [parameter.name for parameter in parameters[:count]]


def formulas_of_sgd(options: dict[str, Any]) -> list[str]:
    """Return the lines of the docstring that are formulas, without what these options leave out."""
    lines = [line.strip() for line in (inspect.getdoc(SGD) or "").splitlines() if "←" in line]
    unused = [name for name in ("weight_decay", "momentum") if not options.get(name)]
    return [line for line in lines if not any(name in line for name in unused)]
