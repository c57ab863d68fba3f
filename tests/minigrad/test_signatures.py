"""Public names and signatures against torch's: no undocumented difference, no stale exception."""

import inspect
import itertools
import re
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, get_origin

import numpy as np
import pytest
import torch

import minigrad
from minigrad.contents import names, table
from minigrad.tensor.reduction import VOID
from tests.minigrad import contents

Parameters = dict[str, Any]  # default by name, in order; REQUIRED where there is none
REQUIRED = inspect.Parameter.empty

NAMESPACES: dict[str, tuple[Any, Any]] = {
    "": (minigrad, torch),
    "Tensor": (minigrad.Tensor, torch.Tensor),
    "Size": (minigrad.Size, torch.Size),
    "Generator": (minigrad.Generator, torch.Generator),
    "autograd": (minigrad.autograd, torch.autograd),
    "autograd.Function": (minigrad.autograd.Function, torch.autograd.Function),
    "autograd.functional": (minigrad.autograd.functional, torch.autograd.functional),
    "nn": (minigrad.nn, torch.nn),
    **{
        f"nn.{name}": (getattr(minigrad.nn, name), getattr(torch.nn, name))
        for name in ("Module", "ModuleDict", "ModuleList", "ParameterList", "Sequential")
    },
    "nn.functional": (minigrad.nn.functional, torch.nn.functional),
    "nn.init": (minigrad.nn.init, torch.nn.init),
    "nn.utils": (minigrad.nn.utils, torch.nn.utils),
    "optim": (minigrad.optim, torch.optim),
    "utils.data": (minigrad.utils.data, torch.utils.data),
    "optim.lr_scheduler": (minigrad.optim.lr_scheduler, torch.optim.lr_scheduler),
    **{
        f"optim.lr_scheduler.{name}": (
            getattr(minigrad.optim.lr_scheduler, name),
            getattr(torch.optim.lr_scheduler, name),
        )
        for name in ("LRScheduler", "LambdaLR", "StepLR")
    },
    "optim.SGD": (minigrad.optim.SGD, torch.optim.SGD),
}

# What torch has and minigrad has not, wherever it stands: what is here is what an engine needs
# that runs on NumPy alone and stays readable.
NOT_HERE = {
    "out": "results are always new arrays",
    "device": "there is only the CPU",
    "layout": "arrays are strided, never sparse",
    "pin_memory": "there is only the CPU",
    "memory_format": "arrays are as NumPy lays them out",
    "size_average": "deprecated in torch",
    "reduce": "deprecated in torch",
    "non_blocking": "there is only the CPU",
}

NUMPY_NAMES = {"axis": "dim", "keepdims": "keepdim"}
"""Other names that torch's parser accepts although no signature says so; `test_tensor` does."""

RANDOM = "the generator's own methods, which torch keeps in its functions"
OVERLOADS = "torch has several signatures for it, and here one stands for all"
DECORATOR = "the decorated function is no parameter here: __call__ takes it"
NO_SIGNATURE = "torch tells no signature to compare with"
ONE_TREE = "a module is not expected twice in the tree, so nothing has to be told apart"
CHOSEN = "None, for which it is chosen from the dtype and the size of each element"
NO_OTHER_MODE = "checks a part of torch that minigrad has not"
DIFFERENCES: dict[str, str] = {
    **{
        f"{name} (no signature)": NO_SIGNATURE
        for name in (
            *("Generator.get_state", "Generator.set_state", "Tensor", "dtype"),
            *(
                "autograd.Function",
                "nn.Identity",
                "nn.Module",
                "nn.Sequential",
                "nn.Sigmoid",
                "nn.Tanh",
            ),
        )
    },
    "CaptureError": "of minigrad's own `capture`",
    "Generator.integer": RANDOM,
    "Generator.normal": RANDOM,
    "Generator.integers": RANDOM,
    "Generator.permutation": RANDOM,
    "Generator.uniform": RANDOM,
    "Generator.seed": "made with its seed in place of a device",
    "Tensor.add_.b": "an overload for lists, which are not tensors",
    "Tensor.copy_.src": "torch's name for the overload that minigrad's `other` stands for",
    "Tensor.div.rounding_mode": "quotients only, no integer division",
    "Tensor.div_.rounding_mode": "quotients only, no integer division",
    "capture": "of minigrad's own: it records a step and replays it",
    "explain": "of minigrad's own: it shows the tape of a computation",
    "div.rounding_mode": "quotients only, no integer division",
    "Tensor.expand.implicit": "set by torch's compiler alone",
    **{
        f"{function}.other": "given by position, in the place of dim"
        for function in ("max", "min", "Tensor.max", "Tensor.min")
    },
    **{
        f"{prefix}{name}": "results are always new arrays"
        for prefix in ("", "Tensor.")
        for name in ("max.max", "max.max_values", "min.min", "min.min_indices")
    },
    "normal.mean": OVERLOADS,
    "normal.requires_grad": OVERLOADS,
    **{f"randint.{name}": OVERLOADS for name in ("dtype", "high", "low", "size")},
    "Tensor.numpy.force": "use .detach().numpy()",
    "Tensor.to.copy": "use .clone()",
    "Tensor.type.kwargs": "deprecated in torch",
    "Tensor.mm.out_dtype": "there is no mixed precision",
    "mm.out_dtype": "there is no mixed precision",
    "device.index": "there is only one CPU",
    "device.type": "given by position",
    "Tensor.to.other": "given by position",
    "Tensor.uniform_.from": "a word of Python's, and no name",
    "Tensor.uniform_.from_": "torch's `from`",
    "randperm.dtype": "None, for int64, which torch's schema gives as a number",
    "arange.end": "given alone it stands in the place of start",
    "nn.Module.state_dict.destination": "a new dict each time; the caller may merge it",
    "Tensor.unsqueeze.dim": "required, but under either of two names: dim or axis",
    "unsqueeze.dim": "required, but under either of two names: dim or axis",
    "Tensor.view.dtype": "bits are not reinterpreted",
    "autograd.enable_grad.function": DECORATOR,
    "autograd.enable_grad.orig_func": DECORATOR,
    "autograd.no_grad.function": DECORATOR,
    "enable_grad.function": DECORATOR,
    "enable_grad.orig_func": DECORATOR,
    "no_grad.function": DECORATOR,
    "autograd.Function.apply.kwargs": "arguments are given by position",
    "autograd.Function.forward.kwargs": "arguments are given by position",
    "autograd.backward.grad_variables": "deprecated in torch",
    **{
        f"autograd.{function}.{option}": CHOSEN
        for function in ("gradcheck", "gradgradcheck")
        for option in ("eps", "atol", "rtol")
    },
    **{
        f"autograd.{function}.{option}": NO_OTHER_MODE
        for function in ("gradcheck", "gradgradcheck")
        for option in (
            *("check_batched_grad", "check_grad_dtypes", "check_undefined_grad"),
            *("fast_mode", "masked", "nondet_tol"),
        )
    },
    "autograd.gradcheck.check_backward_ad": NO_OTHER_MODE,
    "autograd.gradcheck.check_batched_forward_grad": NO_OTHER_MODE,
    "autograd.gradcheck.check_forward_ad": NO_OTHER_MODE,
    "autograd.gradgradcheck.check_fwd_over_rev": NO_OTHER_MODE,
    "autograd.gradgradcheck.check_rev_over_rev": NO_OTHER_MODE,
    "autograd.gradgradcheck.gen_non_contig_grad_outputs": NO_OTHER_MODE,
    "autograd.grad.is_grads_batched": "there is no vmap",
    "autograd.grad.only_inputs": "deprecated in torch",
    "nn.Module.forward.inputs": "the name of what a subclass takes is its own",
    "nn.Module.load_state_dict.assign": "values are copied, so that optimisers keep their tensors",
    "nn.Module.modules.remove_duplicate": ONE_TREE,
    "nn.Module.named_modules.memo": ONE_TREE,
    "nn.Module.named_modules.remove_duplicate": ONE_TREE,
    "nn.Module.to.copy": "use copy.deepcopy",
    "nn.Module.to.other": "given by position",
    "nn.Parameter.data": "always made from a tensor",
    **{
        f"optim.lr_scheduler.{name}.step.epoch": "deprecated in torch"
        for name in ("LRScheduler", "LambdaLR", "StepLR")
    },
    **{
        f"utils.data.DataLoader.{name}": "a dataset in memory is read in this process, in batches"
        for name in (
            *("batch_sampler", "in_order", "multiprocessing_context", "num_workers"),
            *("persistent_workers", "pin_memory_device", "prefetch_factor", "timeout"),
            "worker_init_fn",
        )
    },
    "nn.Module.forward.options": "so that every `forward` is one for type checkers",
    "nn.Module.register_forward_hook.always_call": "an error ends the call, hooks included",
    **{
        f"nn.functional.{loss}.weight": "errors are not weighted"
        for loss in ("huber_loss", "l1_loss", "mse_loss")
    },
}
"""`name.parameter` or `name`, and why it differs from torch."""


def public(namespace: Any) -> Iterator[tuple[str, Any]]:
    """Yield the names that are a namespace's own and for users, with what they stand for."""
    for name in sorted(getattr(namespace, "__all__", dir(namespace))):
        value = inspect.getattr_static(namespace, name)
        listed = isinstance(namespace, type) or hasattr(namespace, "__all__")
        home = getattr(value, "__module__", None) or ""
        own = listed or namespace is minigrad or home.startswith(namespace.__name__)
        if not name.startswith("_") and not isinstance(value, ModuleType) and own:
            yield name, value


def signature(function: Any, bound: bool) -> Parameters | None:
    """Return a Python signature's parameters, without `self`.

    `f(*lengths, size=None)` takes the same argument in two ways, of which one is required.
    """
    if get_origin(function) is np.dtype:  # NumPy 2.5 tells one, torch does not
        return None
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return None
    if bound:
        parameters = parameters[1:]
    builtin = inspect.isbuiltin(function) or inspect.ismethoddescriptor(function)
    if builtin and [p.name for p in parameters] in ([], ["object"]):
        return None  # which Python 3.13 and later make up for one that tells none
    found = {p.name: p.default for p in parameters}
    for several, p in itertools.pairwise(parameters):
        if several.kind is not p.VAR_POSITIONAL or several.name == "args":
            continue
        if p.kind is p.KEYWORD_ONLY and p.default is None:
            del found[several.name]
            found[p.name] = REQUIRED
    return found


def builtin_signatures(function: Any, name: str) -> list[Parameters]:
    """Return a builtin's signatures: torch's schemas of its operator, else its docstring's."""
    found = []
    text = re.search(r"requires_grad=(\w+)", (function.__doc__ or "").partition("->")[0])
    # torch's parser adds it to what the schema says.
    added = {} if text is None else {"requires_grad": _default(text[1])}
    for schema in torch._C._jit_get_schemas_for_operator(f"aten::{name}"):
        names = [a.name for a in schema.arguments]
        overload = schema.overload_name
        # Named dimensions are experimental, and operators on Python numbers are TorchScript's.
        if "out" in names or "imname" in overload or set(names) & {"a", "l", "n", "t"}:
            continue
        found.append(
            {
                "input" if a.name == "self" else a.name: (
                    a.default_value if a.has_default_value() else REQUIRED
                )
                for a in schema.arguments
            }
            | added
        )
    pattern = rf"^\s*(?:\.\. (?:function|method):: )?{name}\((.*?)\)(?: *->.*)?$"
    texts = re.findall(pattern, function.__doc__ or "", re.M)
    return found or [_parsed(text) for text in texts]


def _parsed(text: str) -> Parameters:
    parameters: Parameters = {}
    for part in re.split(r",\s*(?![^(]*\))", text):
        name, _, default = part.partition("=")
        name = name.split(":")[0].strip().lstrip("*").strip()
        if name.isidentifier():
            parameters[name] = _default(default.strip()) if default else REQUIRED
    return parameters


def _default(text: str) -> Any:
    try:
        return eval(text, {"torch": torch})
    except (NameError, SyntaxError, AttributeError):
        return text


def differences(path: str, ours: Parameters, theirs: list[Parameters]) -> Iterator[str]:
    """Yield every parameter that the signatures do not share, as `path.parameter`."""
    best: Parameters = max(theirs, key=lambda them: (len(set(ours) & set(them)), -len(them)))
    everything = {name: default for them in theirs for name, default in them.items()}
    for name, default in ours.items():
        if default is VOID and NUMPY_NAMES.get(name) in everything:
            continue
        if default in (None, VOID) and any(name not in them for them in theirs):
            theirs_too = name in everything  # by another signature, it may be left out
        else:
            theirs_too = any(same_default(default, them[name]) for them in theirs if name in them)
        if not theirs_too:
            yield f"{path}.{name}"
    yield from (f"{path}.{name}" for name in everything if name not in ours)
    shared = [name for name in ours if name in best]
    if shared != [name for name in best if name in ours]:
        yield f"{path} (order)"


def same_default(ours: Any, theirs: Any) -> bool:
    if ours in (None, ()) and isinstance(ours, (tuple, type(None))):
        return theirs in (None, [], ())
    return repr(ours) == repr(theirs)


def found_differences() -> set[str]:
    found: set[str] = set()
    for prefix, (ours, theirs) in NAMESPACES.items():
        for name, value in public(ours):
            path = f"{prefix}.{name}".lstrip(".")
            if prefix != "nn.Module" and getattr(minigrad.nn.Module, name, None) is value:
                continue  # inherited, and compared there
            if not hasattr(theirs, name):
                found.add(path)
                continue
            if not callable(value) and not isinstance(value, (staticmethod, classmethod)):
                continue
            found |= set(callable_differences(path, ours, theirs, name))
    return found


def callable_differences(path: str, ours: Any, theirs: Any, name: str) -> Iterator[str]:
    mine, its = getattr(ours, name), getattr(theirs, name)
    bound = isinstance(ours, type) and not isinstance(mine, type)
    parameters = signature(mine, bound)
    python = signature(its, bound)
    if python is not None and "args" in python:  # *args may stand for anything
        python = {k: v for k, v in python.items() if k not in ("args", "kwargs")} or None
    wanted = builtin_signatures(its, name) if python is None else [python]
    if parameters is None or not wanted:
        yield f"{path} (no signature)"
        return
    if bound:
        parameters.pop("input", None)
        wanted = [{k: v for k, v in them.items() if k != "input"} for them in wanted]
    for difference in differences(path, parameters, wanted):
        if difference.rpartition(".")[2] not in NOT_HERE:
            yield difference


def test_differences_are_documented_and_exceptions_are_not_stale() -> None:
    found = found_differences()
    assert found - set(DIFFERENCES) == set(), "undocumented"
    assert set(DIFFERENCES) - found == set(), "stale"


def test_the_readme_lists_what_there_is() -> None:
    rewrite = "write it anew: python -m tests.minigrad.contents"
    assert contents.written() == table(contents.NAMESPACES), rewrite


MODULES = {name: each for name, each in contents.NAMESPACES.items() if not isinstance(each, type)}


@pytest.mark.parametrize("title", MODULES)
def test_what_is_not_here_answers_with_what_is(title: str) -> None:
    asked = f"{title}.conv2d".removeprefix("torch.")
    with pytest.raises(AttributeError) as caught:
        getattr(MODULES[title], "conv2d")  # noqa: B009 - what there is not
    had = ", ".join(names(MODULES[title]))
    assert str(caught.value).startswith(
        f"minigrad has no {asked}, on purpose: it has {had}; to add"
    )
    assert not hasattr(MODULES[title], "conv2d")
    with pytest.raises(AttributeError, match=r"^module .* has no attribute"):
        getattr(MODULES[title], "__conv2d__")  # noqa: B009


@pytest.mark.parametrize("title", MODULES)
def test_dir_shows_what_is_for_users(title: str) -> None:
    """And not the files it is in, nor what they import."""
    module = MODULES[title]
    shown = {name for name in dir(module) if not isinstance(getattr(module, name), ModuleType)}
    assert shown - {"__version__"} == set(names(module))
    modules = {
        "torch": {"autograd", "cuda", "nn", "optim", "utils"},
        "torch.autograd": {"functional"},
        "torch.nn": {"functional", "init", "utils"},
        "torch.optim": {"lr_scheduler"},
    }
    assert set(dir(module)) - shown == modules.get(title, set())


def test_every_exception_has_a_reason() -> None:
    assert all(len(reason) > 10 for reason in [*DIFFERENCES.values(), *NOT_HERE.values()])


def ours(input: Any, dim: Any = None, keepdim: bool = False) -> None: ...
def without_keepdim(input: Any, dim: Any = None) -> None: ...
def other_default(input: Any, dim: Any = None, keepdim: bool = True) -> None: ...
def other_order(input: Any, keepdim: bool = False, dim: Any = None) -> None: ...
def required(input: Any, dim: Any, keepdim: bool = False) -> None: ...
def numpys(
    input: Any, dim: Any = None, keepdim: bool = False, *, axis: Any = VOID, keepdims: Any = VOID
) -> None: ...
def other_default_of_axis(
    input: Any, dim: Any = None, keepdim: bool = False, axis: int = 0
) -> None: ...
def several(input: Any, *dims: Any, dim: Any = None, keepdim: bool = False) -> None: ...
def extra(input: Any, dim: Any = None, keepdim: bool = False, size: int = 3) -> None: ...


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (ours, set()),
        (without_keepdim, {"amax.keepdim"}),
        (other_default, {"amax.keepdim"}),
        (other_order, {"amax (order)"}),
        (required, {"amax.dim"}),
        (numpys, set()),
        (other_default_of_axis, {"amax.axis"}),
        (several, {"amax.dim"}),
        (extra, {"amax.size"}),
    ],
)
def test_differences_are_found(function: Callable[..., Any], expected: set[str]) -> None:
    parameters = signature(function, bound=False)
    assert parameters is not None
    theirs = builtin_signatures(torch.amax, "amax")
    found = set(differences("amax", parameters, theirs))
    assert {d for d in found if d.rpartition(".")[2] not in NOT_HERE} == expected
