"""What there is, by namespace; and what is answered where something is not.

torch has thousands of names. minigrad has those that a course on regression and backpropagation
needs, and whoever asks for another is told which these are.
"""

from functools import partial
from types import ModuleType
from typing import Any, NoReturn


def names(namespace: Any) -> list[str]:
    """Return the public names of a class or a module; of modules in it none."""
    if isinstance(namespace, type):
        found = dir(namespace)
    else:
        found = [n for n in _listed(namespace) if not isinstance(vars(namespace)[n], ModuleType)]
    return sorted((n for n in found if n[0] != "_"), key=lambda name: (name.lower(), name))


def _listed(module: ModuleType) -> list[str]:
    """Return what a module says is for users, or what is its own."""
    own = {"__all__": [k for k, v in vars(module).items() if _home(v) == module.__name__]}
    found: list[str] = (own | vars(module))["__all__"]
    return [name for name in found if name[0] != "_" or name == "__version__"]


def _home(value: Any) -> Any:
    return getattr(value, "__module__", None)


def answer(*modules: ModuleType) -> None:
    """Have modules say what there is: to `dir`, and where they are asked for what there is not."""
    for module in modules:
        # Not written as a function in each: type checkers would then take every name for granted.
        vars(module)["__getattr__"] = _answering(module)
        vars(module)["__dir__"] = partial(_listed, module)


def _answering(module: ModuleType) -> Any:
    prefix = "".join(f"{part}." for part in module.__name__.split(".")[1:])

    def missing(name: str) -> NoReturn:
        if name[:2] == "__":  # Python asks for these by itself
            raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")
        raise AttributeError(
            f"minigrad has no {prefix}{name}, on purpose: it has {', '.join(names(module))}; to "
            "add an operation see 'Adding an operation' in minigrad/README.md",
            name=name,
            obj=module,
        )

    return missing


def table(namespaces: dict[str, Any]) -> str:
    """Return what there is as a table in Markdown, a row for each namespace."""
    rows = [
        f"| {title} | {', '.join(map(_code, names(each)))} |" for title, each in namespaces.items()
    ]
    return "\n".join(["| where | what |", "|---|---|", *rows]) + "\n"


def _code(name: str) -> str:
    return f"`{name}`"
