"""The source of rules as text and as formulas, read from the functions themselves.

Nothing here is a second copy of a derivative: a formula is the Python text in mathematical signs,
with its products put in the usual order and what is used once put in its place.
"""

import ast
import inspect
import re
import textwrap
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from minigrad.explain.events import Code
from minigrad.optim import SGD

ROOT = Path(__file__).parents[2]

INFIX = {
    "add": ("+", 1),
    "subtract": ("−", 1),
    "matmul": ("@", 2),
    "power": ("^", 4),
    "equal": ("=", 0),
    "not_equal": ("≠", 0),
    "less": ("<", 0),
    "less_equal": ("≤", 0),
    "greater": (">", 0),
    "greater_equal": ("≥", 0),
    "logical_and": ("and", -1),
}
"""Functions of two arguments: their sign, and how tightly it binds."""

PRODUCT = 2
"""How tightly products and quotients bind."""

REDUCED = {"add": "Σ", "maximum": "max", "minimum": "min"}
RENAMED = {"maximum": "max", "minimum": "min", "add.at": "add at", "prod": "∏"}
ATOM, UNARY, WHERE = 9, 3, -2

OPERATORS = {
    ast.Add: "add",
    ast.Sub: "subtract",
    ast.Mult: "multiply",
    ast.Div: "divide",
    ast.Eq: "equal",
}
"""The operators that rules use. Any other stands in a formula as in Python."""


@cache
def code_of(function: Callable[..., Any]) -> Code:
    """Return the source of a function."""
    lines, first = inspect.getsourcelines(function)
    return Code(_file(function), first, textwrap.dedent("".join(lines)).rstrip())


@cache
def block_of(function: Callable[..., Any], kind: type[ast.AST], containing: str) -> Code:
    """Return the innermost statement of a kind in a function that contains a text."""
    lines, first = inspect.getsourcelines(function)
    tree = ast.parse(textwrap.dedent("".join(lines)))
    found = [
        node
        for node in ast.walk(tree)
        if isinstance(node, kind) and containing in ast.unparse(node)
    ]
    block: Any = found[-1]  # `walk` goes from the outside inwards
    text = textwrap.dedent("".join(lines[block.lineno - 1 : block.end_lineno]))
    return Code(_file(function), first + block.lineno - 1, text.rstrip())


def _file(function: Callable[..., Any]) -> str:
    file = Path(str(inspect.getsourcefile(function)))
    return (file.relative_to(ROOT) if file.is_relative_to(ROOT) else file).as_posix()


@cache
def remark_of(function: Callable[..., Any]) -> str:
    """Return a function's docstring and comments as text; empty if there are none."""
    lines = inspect.getsource(function).splitlines()
    comments = (line.strip() for line in lines)
    said = [line.removeprefix("#").strip() for line in comments if line.startswith("#")]
    return " ".join([*(inspect.getdoc(function) or "").split("\n\n")[:1], *said]).strip()


def formula_of(function: Callable[..., Any], result: str) -> list[str]:
    """Return a function's statements as formulas, `result` standing for what is returned.

    >>> from minigrad.ops.linalg import linear_backward_weight
    >>> formula_of(linear_backward_weight, "∂weight")
    ['∂weight = ∂outᵀ @ x']
    """
    definition: Any = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    body = _Counted().visit(definition).body
    found = _statements(_with_each_in_its_place(body), result)
    counted = any(isinstance(part, ast.Name) and part.id == "n" for part in ast.walk(definition))
    return [*found, "n: how many elements are combined"] if counted else found


class _Counted(ast.NodeTransformer):
    """Writes n for the number of elements."""

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        name = ast.unparse(node.func)
        at_least_one = name == "max" and ast.unparse(node.args[0]) == "n"
        of_a_shape = name == "prod" and ".shape" in ast.unparse(node)
        return ast.Name("n") if name == "_count" or of_a_shape or at_least_one else node


def _with_each_in_its_place(body: list[ast.stmt]) -> list[ast.stmt]:
    """Put in its place what is computed in a line of its own, if it is short and used once."""
    if any(isinstance(statement, ast.If) for statement in body):
        return body
    rest = list(body)
    for statement in body:
        if not isinstance(statement, ast.Assign) or not isinstance(statement.targets[0], ast.Name):
            continue
        name, said = statement.targets[0].id, ast.unparse(statement.value)
        uses = [n for s in rest for n in ast.walk(s) if isinstance(n, ast.Name) and n.id == name]
        if len(uses) == 2 and "where" not in said and " if " not in said and len(said) < 50:
            rest.remove(statement)
            rest = [_Replaced(name, statement.value).visit(other) for other in rest]
    return rest


class _Replaced(ast.NodeTransformer):
    """Puts an expression in the place of a name."""

    def __init__(self, name: str, value: ast.expr) -> None:
        self.name, self.value = name, value

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self.value if node.id == self.name else node


def _statements(body: list[ast.stmt], result: str) -> list[str]:
    found = []
    for statement in body:
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
            continue  # the docstring
        if isinstance(statement, ast.Return) and statement.value is not None:
            found.append(f"{result} = {_text(statement.value)}")
        elif isinstance(statement, ast.Assign):
            targets = ", ".join(_text(target) for target in statement.targets)
            found.append(f"{targets} = {_text(statement.value)}")
        elif isinstance(statement, ast.If):
            inner = _statements(statement.body, result)
            found += [f"{line}, if {_text(statement.test)}" for line in inner]
            found += _statements(statement.orelse, result)
        elif isinstance(statement, ast.Expr):
            found.append(_text(statement.value))
        else:
            found.append(ast.unparse(statement))
    return found


def _text(node: ast.expr, binding: int = -9) -> str:
    """Return an expression, in parentheses if what is around it binds more tightly."""
    said, own = _expression(node)
    return f"({said})" if own < binding else said


def _expression(node: ast.expr) -> tuple[str, int]:
    if isinstance(node, ast.Name):
        return ("∂out" if node.id == "grad_out" else node.id.replace("grad_", "∂")), ATOM
    if isinstance(node, ast.Attribute):
        if node.attr in ("mT", "T"):
            return f"{_text(node.value, ATOM)}ᵀ", ATOM
        return f"{_text(node.value, ATOM)}.{node.attr}".removeprefix("np."), ATOM
    over, under = _factors(node)
    if len(over) + len(under) > 1:
        return _product(over, under), PRODUCT
    if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
        return _infix(OPERATORS[type(node.op)], node.left, node.right)
    if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in OPERATORS:
        return _infix(OPERATORS[type(node.ops[0])], node.left, node.comparators[0])
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return _negative(node.operand)
    if isinstance(node, ast.IfExp):
        yes, no = (_text(part, WHERE + 1) for part in (node.body, node.orelse))
        return f"{yes} if {ast.unparse(node.test)}, else {no}", WHERE
    if isinstance(node, ast.Call):
        return _call(node)
    return ast.unparse(node).replace("np.", ""), ATOM


def _infix(name: str, left: ast.expr, right: ast.expr) -> tuple[str, int]:
    sign, binding = INFIX[name]
    return f"{_text(left, binding)} {sign} {_text(right, binding + 1)}", binding


def _factors(node: ast.expr) -> tuple[list[ast.expr], list[ast.expr]]:
    """Return what is above and what is below the line of a quotient."""
    if isinstance(node, ast.BinOp):
        name, parts = OPERATORS.get(type(node.op), ""), [node.left, node.right]
    elif isinstance(node, ast.Call):
        name, parts = ast.unparse(node.func).removeprefix("np."), node.args
    else:
        return [node], []
    if name not in ("multiply", "divide"):
        return [node], []
    (over, under), (more, less) = map(_factors, parts)
    return (over + more, under + less) if name == "multiply" else (over + less, under + more)


def _product(over: list[ast.expr], under: list[ast.expr]) -> str:
    """Return a product, the gradient first, then numbers, names, the rest; and what divides it."""

    def listed(factors: list[ast.expr]) -> list[str]:
        said = [_text(each, PRODUCT + 1) for each in sorted(factors, key=_rank)]
        for name in {each for each in said if each.isidentifier() and said.count(each) == 2}:
            said[said.index(name)] += "²"
            said.remove(name)
        return said

    ones = [each for each in over if ast.unparse(each) != "1"]
    said = re.sub(r"(?<!\S)(\d+) · \(", r"\1(", " · ".join(listed(ones)) or "1")
    below = listed(under)
    together = " · ".join(below)
    closed = len(below) == 1 and " " not in _within_parentheses(together)
    return said if not below else f"{said}/{together}" if closed else f"{said}/({together})"


def _within_parentheses(said: str) -> str:
    """Return a text without what stands in parentheses."""
    return re.sub(r"\(.*\)", "", said)


def _rank(factor: ast.expr) -> int:
    if ast.unparse(factor) in ("grad_out", "np.negative(grad_out)"):
        return 0
    if isinstance(factor, ast.Name):
        return 2
    return 1 if isinstance(factor, ast.Constant) else 3


def _negative(node: ast.expr) -> tuple[str, int]:
    said, own = _expression(node)
    return (f"−{said}", min(own, UNARY)) if own >= PRODUCT else (f"−({said})", UNARY)


def _call(node: ast.Call) -> tuple[str, int]:
    name = ast.unparse(node.func).removeprefix("np.")
    keywords = {keyword.arg: keyword.value for keyword in node.keywords}
    if name in INFIX and len(node.args) == 2 and not node.keywords:
        return _infix(name, *node.args)
    if name == "power" and "exponent" in keywords:
        return _infix(name, node.args[0], keywords["exponent"])
    if name == "contiguous":
        return _expression(node.args[0])
    if name == "broadcast_to" and (inner := _reshaped(node.args[0])) is not None:
        return f"{_text(inner, PRODUCT)} repeated to x's shape", WHERE + 1
    if name == "where" and len(node.args) == 3:
        condition, yes, no = (_text(argument, WHERE + 1) for argument in node.args)
        if condition == "out":
            condition = "out ≠ 0"
        return f"{yes} where {condition}, else {no}", WHERE
    reduced = "add.reduce" if name == "sum" and "axis" in keywords else name
    if reduced.endswith(".reduce") and reduced[:-7] in REDUCED:
        axis = ast.unparse(keywords["axis"]) if "axis" in keywords else "0"
        over = "" if axis == "None" else f" over {'axis ' * axis.isdecimal()}{axis}"
        return f"{REDUCED[reduced[:-7]]} {_text(node.args[0], UNARY)}{over}", -1 if over else 1
    if name == "square":
        return f"{_text(node.args[0], ATOM)}²", 4
    if name == "positive":
        return _text(node.args[0], ATOM), ATOM
    if name == "negative":
        return _negative(node.args[0])
    if name == "sqrt":
        return f"√{_text(node.args[0], ATOM)}", UNARY
    if name == "absolute":
        return f"|{_text(node.args[0])}|", ATOM
    arguments = [_text(argument) for argument in node.args]
    arguments += [f"{keyword.arg}={_text(keyword.value)}" for keyword in node.keywords]
    return f"{RENAMED.get(name, name)}({', '.join(arguments)})", ATOM


def _reshaped(node: ast.expr) -> ast.expr | None:
    """Return what is reshaped; None if nothing is."""
    is_reshape = isinstance(node, ast.Call) and ast.unparse(node.func) == "np.reshape"
    return node.args[0] if is_reshape else None  # type: ignore[attr-defined]


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
