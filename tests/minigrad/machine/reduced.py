"""A failing program, made shorter as long as it fails in the same way."""

import ast
from collections.abc import Iterator, Sequence

from tests.minigrad.machine.twins import GIVEN, Disagreement, Known, compiled, disagreement

DTYPES = ["torch.float32", "torch.float64", "torch.int64", "torch.bool"]


def reduced(
    program: Sequence[str], error: Disagreement, known: Sequence[Known]
) -> tuple[list[str], Disagreement]:
    """Return a program of which nothing more can be left out, and how it fails."""
    statements = list(program)

    def fails(candidate: list[str]) -> bool:
        nonlocal error, statements
        try:
            found = disagreement(candidate, known)
        except RecursionError:  # a module has become a part of itself
            return False
        if found is None or kind(found) != kind(error):
            return False
        error, statements = found, candidate
        return True

    found = disagreement(statements, known)
    if found is None:  # what was refused on the way matters
        return statements, error
    error = found
    before: list[str] = []
    while before != statements:
        before = statements
        for i in reversed(range(len(statements))):
            fails([*statements[:i], *statements[i + 1 :]])
        i = len(statements) - 1
        while i >= 0:
            candidates = simpler(statements[i], _names(statements[:i]))
            if not any(fails([*statements[:i], s, *statements[i + 1 :]]) for s in candidates):
                i -= 1
    return statements, error


def kind(error: Disagreement) -> str:
    """Return in what way a program fails: everything but where, and the values."""
    what, *rest = str(error).split("\n")
    classes = [line.split("(")[0] for line in rest] if what in ("raises", "warns") else []
    return " ".join([what.split(" of ")[0], *classes])


def simpler(statement: str, known: Sequence[str] = ()) -> Iterator[str]:
    """Yield statements with a part less than this one, or about a tensor named before.

    Args:
        statement: what is to be made simpler.
        known: the names that earlier statements gave.
    """
    tree = ast.parse(statement)
    for node in ast.walk(tree):
        for name, value in ast.iter_fields(node):
            if isinstance(value, list):
                for i, part in enumerate(value):
                    yield from _with(tree, node, name, [*value[:i], *value[i + 1 :]])
                    if isinstance(part, ast.With):
                        yield from _with(tree, node, name, part.body)
                    for simple in _within(part, known):
                        yield from _with(tree, node, name, [*value[:i], simple, *value[i + 1 :]])
            for simple in _within(value, known):
                yield from _with(tree, node, name, simple)


def _within(value: object, known: Sequence[str]) -> Iterator[ast.expr]:
    """Yield what can stand in the place of an expression: parts of it, and simpler ones."""
    if isinstance(value, ast.expr):
        yield from (part for part in ast.walk(value) if isinstance(part, ast.expr))
    if isinstance(value, ast.Constant) and value.value not in (0, 1, 2):
        yield ast.Constant(1)
    if isinstance(value, ast.Name) and isinstance(value.ctx, ast.Load) and value.id in known:
        yield from (ast.Name(name) for name in known[: known.index(value.id)])


def _with(tree: ast.Module, node: ast.AST, name: str, value: object) -> Iterator[str]:
    """Yield the statement with another value in a field of one of its nodes."""
    kept = getattr(node, name)
    before = ast.unparse(tree)
    setattr(node, name, value)
    try:
        text = ast.unparse(ast.fix_missing_locations(tree))
        compiled(text)  # which refuses more than the parser does
        if _takes_a_library(ast.parse(text)):
            text = ""  # the next program would find it changed
    except (SyntaxError, ValueError, AttributeError, TypeError, IndexError):
        text = ""  # nothing that can be written down
    setattr(node, name, kept)
    if text not in ("", before):
        yield text


def _takes_a_library(tree: ast.Module) -> bool:
    """Return whether more is done with a part of a library than to call it, or name a dtype.

    Or with a private attribute of an object than to read it.
    """
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    within = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    for node in ast.walk(tree):
        if isinstance(node, (ast.Name, ast.Attribute)):
            path, is_read = ast.unparse(node), isinstance(node.ctx, ast.Load)
            is_used = id(node) in called | within or path in DTYPES
            if path.split(".")[0] in GIVEN and not (is_read and is_used):
                return True
            if isinstance(node, ast.Attribute) and node.attr[0] == "_" and not is_read:
                return True
    return False


def _names(statements: Sequence[str]) -> list[str]:
    """Return the names that statements give, in the order in which they do."""
    found = [node for s in statements for node in ast.walk(ast.parse(s))]
    return list(
        dict.fromkeys(
            node.id
            for node in found
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        )
    )
