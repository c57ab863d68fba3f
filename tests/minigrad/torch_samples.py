"""The inputs that torch tests itself with, run on torch and on minigrad.

torch ships them: for each operation sample inputs, more of them with a NumPy reference, and inputs
that must be refused; the same for layers and optimisers. Each operation that minigrad has a name
for is called in each of its forms, as a function, a method, an operator and in place.

`torch_samples.json` has what came of it: how many calls were compared, and for the others what they
ask for that minigrad lacks. `python -m tests.minigrad.torch_samples` writes it anew.
"""

import copy
import functools
import inspect
import itertools
import json
import operator
import random
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch

import minigrad

TABLE = Path(__file__).with_suffix(".json")

DTYPES = {
    torch.float32: minigrad.float32,
    torch.float64: minigrad.float64,
    torch.int64: minigrad.int64,
    torch.bool: minigrad.bool,
}

DEFAULTS: dict[str, Any] = {
    "device": ("cpu", torch.device("cpu")),
    "layout": (torch.strided,),
    "memory_format": (torch.preserve_format,),
}
"""Options that say what holds without them. They are left out where minigrad does not have them."""


@cache
def database(module: str, name: str) -> Any:
    """Return one of torch's lists; its modules take seconds to import."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return getattr(import_module(f"torch.testing._internal.{module}"), name)


# ---- the operations, and the forms of each -----------------------------------------------------


@dataclass(frozen=True)
class Form:
    """A way to call an operation: a function, a method, a property, an operator."""

    name: str
    theirs: Callable[..., Any]
    ours: Callable[..., Any]
    in_place: bool = False


@cache
def covered() -> dict[str, tuple[Any, list[Form]]]:
    """Return each of torch's operations that minigrad has, with its forms here, by its name."""
    found = {f"{op.name} {op.variant_test_name}".strip(): (op, forms(op)) for op in _operations()}
    del found["empty"]  # whose values nobody has set
    return {name: (op, its_forms) for name, (op, its_forms) in found.items() if its_forms}


def _operations() -> Any:
    return database("common_methods_invocations", "op_db")


def forms(op: Any) -> list[Form]:
    """Return the forms of an operation that minigrad has too."""
    names = [op.name, *(alias.name for alias in op.aliases)]
    names += [op.name.removeprefix("nn.functional.")]
    found = []
    for name in dict.fromkeys(names):
        ours, theirs = reached(minigrad, name), reached(torch, name)
        if callable(ours) and callable(theirs):
            found.append(Form(name, theirs, ours))
        for method in (name, f"{name}_"):
            ours, theirs = attribute(minigrad.Tensor, method), attribute(torch.Tensor, method)
            if ours is None or theirs is None:
                continue
            if not callable(ours):
                ours = theirs = operator.attrgetter(method)
            in_place = method.endswith("_") and not method.endswith("__")
            found.append(Form(f"Tensor.{method}", theirs, ours, in_place))
    for variant, in_place in ((op.operator_variant, False), (op.inplace_operator_variant, True)):
        if variant is not None and found:
            found.append(Form(f"operator.{variant.__name__}", variant, variant, in_place))
    return found


def reached(module: Any, path: str) -> Any:
    """Return what a dotted path names in a module, None if nothing."""
    for name in path.split("."):
        module = getattr(module, name, None)
    return module


def attribute(kind: type, name: str) -> Any:
    """Return a class's own attribute, not one of its metaclass, None if it has none."""
    return next((vars(base)[name] for base in kind.__mro__ if name in vars(base)), None)


# ---- the samples -------------------------------------------------------------------------------


def samples(op: Any) -> Iterator[tuple[str, Any]]:
    """Return the inputs of an operation, each with its kind: sample, reference or error."""
    for dtype in DTYPES:
        if dtype not in op.dtypes:
            continue
        grad = op.supports_autograd and dtype.is_floating_point
        for sample in drawn(op.sample_inputs_func, op, "cpu", dtype, grad):
            yield "sample", sample
        references = op.reference_inputs_func or op.sample_inputs_func
        for sample in drawn(references, op, "cpu", dtype, False):
            yield "reference", sample.transform(recorded) if grad else sample
    if op.error_inputs_func is not None:
        for error in drawn(op.error_inputs_func, op, "cpu"):
            yield "error", error.sample_input


def drawn(make: Callable[..., Any], *arguments: Any) -> list[Any]:
    """Return samples, the same ones each time."""
    torch.manual_seed(0)
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 - which torch's samples draw from
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return list(make(*arguments))


def recorded(value: Any) -> Any:
    """Return a tensor that requires a gradient if its dtype can, other things as they are."""
    can = isinstance(value, torch.Tensor) and value.is_floating_point()
    return value.detach().requires_grad_() if can else value


def mapped(convert: Callable[[Any], Any], value: Any) -> Any:
    """Return a value with all converted that is in its lists, tuples and dictionaries."""
    if isinstance(value, dict):
        return {key: mapped(convert, each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return (list if isinstance(value, list) else tuple)(mapped(convert, v) for v in value)
    return convert(value)


def parts_of(value: Any) -> list[Any]:
    """Return all that is in a value's lists, tuples and dictionaries."""
    found: list[Any] = []
    mapped(found.append, value)
    return found


def for_torch(value: Any) -> Any:
    """Return a leaf in memory of its own that is laid out alike, other things as they are."""
    if not isinstance(value, torch.Tensor) or value.layout != torch.strided:
        return value
    alone = value.untyped_storage().nbytes() == value.numel() * value.element_size()
    if alone and value.is_contiguous():
        alike = value.detach().clone(memory_format=torch.contiguous_format)
        if alike.stride() == value.stride():
            return alike.requires_grad_(value.requires_grad)
    length = value.untyped_storage().nbytes() // value.element_size()
    memory = torch.as_strided(value.detach(), (length,), (1,), 0).clone()
    alike = torch.as_strided(memory, value.shape, value.stride(), value.storage_offset())
    return alike.detach().requires_grad_(value.requires_grad)


def lacking(value: Any) -> str | None:
    """Return what minigrad has not that one of torch's arguments asks for."""
    if isinstance(value, torch.Tensor):
        if value.layout != torch.strided:
            return f"a tensor of layout {value.layout}"
        if value.dtype not in DTYPES:
            return f"a tensor of {value.dtype}"
        return "a tensor of more than 64 axes" if value.ndim > 64 else None
    if isinstance(value, torch.dtype) and value not in DTYPES:
        return f"a result of {value}"
    return "a complex number" if isinstance(value, complex) else None


def for_minigrad(value: Any) -> Any:
    """Return the like of one of torch's arguments."""
    if isinstance(value, torch.Tensor):
        memory = for_torch(value).detach().numpy()
        return minigrad.from_numpy(memory).requires_grad_(value.requires_grad)
    if isinstance(value, torch.dtype):
        return DTYPES[value]
    if isinstance(value, torch.device):
        return minigrad.device(str(value))
    if isinstance(value, slice):
        return slice(*map(for_minigrad, (value.start, value.stop, value.step)))
    return value


# ---- what comes of a call ----------------------------------------------------------------------


@dataclass
class Outcome:
    """What came of a call.

    Attributes:
        error: the exception it raised.
        value: what it returned, with arrays in place of tensors.
        warned: the classes of its warnings.
        recorded: which tensors require a gradient: results, then the gradients of each order.
        gradients: for each order the gradients by each source, each None or an array.
        scales: for each order the largest number that went into it.
    """

    error: Exception | None = None
    value: Any = None
    warned: set[type[Warning]] = field(default_factory=set)
    recorded: list[bool] = field(default_factory=list)
    gradients: list[list[Any]] = field(default_factory=list)
    scales: list[float] = field(default_factory=list)


def outcome(
    m: Any, call: Callable[[], Any], leaves: list[Any], orders: int, by_weights: bool = False
) -> Outcome:
    """Call a function of a module and differentiate what it returns, several times over.

    Args:
        m: minigrad or torch.
        call: what is called.
        leaves: what to differentiate by.
        orders: how many times; each time a weighted sum of the gradients of the time before.
        by_weights: whether to differentiate by the first weights, too.
    """
    found = Outcome()
    m.default_generator.set_state(seeded(m))
    with warnings.catch_warnings(record=True) as caught, np.errstate(all="ignore"):
        warnings.simplefilter("always")
        try:
            result = call()
        except Exception as error:
            found.error = error
            return found
        finally:
            found.warned = {warning.category for warning in caught}
        found.value = mapped(as_array, result)
        outputs = [x for x in parts_of(result) if is_tensor(x)]
        found.recorded += [x.requires_grad for x in outputs]
        sources = leaves
        rng = np.random.default_rng(0)
        for order in range(orders if leaves else 0):
            outputs = [x for x in outputs if x is not None and x.requires_grad]
            if not outputs:
                break
            draws = [m.tensor(rng.normal(size=tuple(x.shape))) for x in outputs]
            weights = [w.to(x.dtype) for w, x in zip(draws, outputs, strict=True)]
            if by_weights and order == 0:
                sources = leaves + [w.requires_grad_() for w in weights]
            more = order + 1 < orders
            got = m.autograd.grad(
                outputs,
                leaves if order == 0 else sources,
                weights,
                allow_unused=True,
                create_graph=more,
            )
            found.gradients.append([as_array(g) for g in got])
            found.scales.append(max(map(largest, [*found.gradients[-1], *map(as_array, weights)])))
            if more:
                found.recorded += [g is not None and g.requires_grad for g in got]
            outputs = got[: len(leaves)]
    return found


@cache
def seeded(m: Any) -> Any:
    """Return a generator's state after seed 0, which is set faster than a seed."""
    return m.default_generator.manual_seed(0).get_state()


def is_tensor(value: Any) -> bool:
    return isinstance(value, (torch.Tensor, minigrad.Tensor))


def as_array(value: Any) -> Any:
    """Return a tensor's values, other things as they are."""
    if isinstance(value, torch.Tensor):
        return value.numpy(force=True)
    return np.asarray(value.detach().numpy()) if isinstance(value, minigrad.Tensor) else value


def largest(array: Any) -> float:
    """Return the largest finite magnitude."""
    if array is None or array.dtype.kind != "f":
        return 0.0
    return float(np.max(np.abs(array), initial=0, where=np.isfinite(array)))


# ---- the judge ---------------------------------------------------------------------------------

SUMMING = {"matmul", "mean", "mm", "nn.functional.linear", "nn.functional.mse_loss", "sum"}
"""Operations that add up elements. Their rounding errors are those of the largest terms."""

CANCELLING = {*SUMMING, "sigmoid", "tanh"}
"""Operations in whose derivative terms cancel: 1 - tanh² for instance."""


def differences(ours: Outcome, theirs: Outcome, sums: bool, cancels: bool) -> list[str]:
    """Return in what two outcomes differ.

    Args:
        ours, theirs: the outcomes.
        sums: whether elements of the value are sums, so that large terms may have cancelled.
        cancels: the same of the gradients.
    """
    if type(ours.error) is not type(theirs.error):
        return [f"raises {ours.error!r}, on torch {theirs.error!r}"]
    found = []
    if ours.warned != theirs.warned:
        found.append(f"warns {ours.warned}, on torch {theirs.warned}")
    if ours.recorded != theirs.recorded:
        found.append(f"requires_grad {ours.recorded}, on torch {theirs.recorded}")
    pairs = [(parts_of(ours.value), parts_of(theirs.value))]
    pairs += zip(ours.gradients, theirs.gradients, strict=False)
    for order, (got, wanted) in enumerate(pairs):
        what = f"gradient of order {order}" if order else "value"
        if len(got) != len(wanted):
            found.append(f"{what}: {len(got)} of them, on torch {len(wanted)}")
        for i, (x, y) in enumerate(zip(got, wanted, strict=False)):
            if order == 0:
                scale = max(largest(y), 1.0) if sums and isinstance(y, np.ndarray) else 0.0
            else:
                terms = (
                    cancels
                    or order > 1
                    or any(z is not None and z.size != pairs[0][1][0].size for z in wanted)
                )
                scale = theirs.scales[order - 1] if terms else 0.0
            found += [f"{what}, {i}: {text}" for text in unequal(x, y, scale, order)]
    if len(ours.gradients) != len(theirs.gradients):
        found.append(f"{len(ours.gradients)} derivatives, on torch {len(theirs.gradients)}")
    return found


def unequal(x: Any, y: Any, scale: float, order: int) -> list[str]:
    """Return how two values differ, given how large what was added up to them may have been."""
    if not isinstance(x, np.ndarray) or not isinstance(y, np.ndarray):
        same = type(x) is type(y) and (x is y or x == y or (x != x and y != y))
        return [] if same else [f"{shown(x)}, on torch {shown(y)}"]
    if (x.shape, x.dtype) != (y.shape, y.dtype):
        return [f"{x.dtype} {list(x.shape)}, on torch {y.dtype} {list(y.shape)}"]
    right = (x == y) | ((x != x) & (y != y))
    if x.dtype.kind == "f":
        unit = float(np.finfo(x.dtype).eps) / 2
        with np.errstate(all="ignore"):
            bound = 16 * unit * np.abs(y) + 64 * unit * scale * 1e3 ** max(order - 1, 0)
            bound += 4 * np.finfo(x.dtype).smallest_subnormal
            right |= np.isfinite(y) & (np.abs(x - y) <= bound)
    if right.all():
        return []
    at = tuple(int(i) for i in np.argwhere(~right)[0])
    count = f"{np.count_nonzero(~right)} of {right.size}"
    return [f"{count} elements, at {at} {x[at]!r}, on torch {y[at]!r}"]


def shown(value: Any) -> str:
    return f"an array {list(value.shape)}" if isinstance(value, np.ndarray) else repr(value)


# ---- calls -------------------------------------------------------------------------------------


@dataclass
class Result:
    """What came of all samples of an operation.

    Attributes:
        counts: how many calls were compared, were called without an option that is torch's
            default, or ask for what minigrad lacks.
        different: the calls that differ, in words.
    """

    counts: Counter[str] = field(default_factory=Counter)
    different: list[str] = field(default_factory=list)


def run(op: Any, its_forms: list[Form], every: bool) -> Result:
    """Run each sample of an operation in each of its forms.

    Args:
        op: the operation.
        its_forms: how to call it.
        every: all forms with all derivatives. Otherwise only the first form is differentiated
            several times, and references are run in it alone: the others are the same code.
            And each form has a quarter of the samples, another one than its neighbours, for that
            is what an ordinary run has time for. All of them are counted.
    """
    result = Result()
    for number, (kind, sample) in enumerate(samples(op)):
        ours = theirs = given = [sample.input, *sample.args], sample.kwargs
        lack = next(filter(None, map(lacking, parts_of(given))), None)
        if lack is not None:
            result.counts[f"lacks {lack}"] += len(its_forms)
            continue
        judged = [
            every
            or kind == "error"
            or ((kind != "reference" or place == 0) and (number + place) % 4 == 0)
            for place in range(len(its_forms))
        ]
        if any(judged):
            ours, theirs = mapped(for_minigrad, given), mapped(for_torch, given)
        for form, judge in zip(its_forms, judged, strict=True):
            thorough = every or form is its_forms[0]
            orders = (4 if thorough else 1) if kind == "sample" else 2 if every else 1
            found = compared(op.name, form, ours, theirs, orders, result.counts, judge)
            if found:
                call = f"{form.name}({describe(sample)})"
                result.different.append(f"{call}: {'; '.join(found)}")
    return result


def compared(
    operation: str,
    form: Form,
    ours: Any,
    theirs: Any,
    orders: int,
    counts: Counter[str],
    judge: bool = True,
) -> list[str]:
    """Return how minigrad's outcome of a call differs from torch's, and count the call.

    Args:
        operation: its name.
        form: how it is called.
        ours, theirs: the arguments by position and the options, for each library.
        orders: how many derivatives are compared.
        counts: where it is counted.
        judge: whether to call it, too.
    """
    arguments, options = theirs
    reason = _no_call(form, arguments, options)
    if reason is not None:
        counts[f"no call: {reason}"] += 1
        return []
    for name in _left_out(form, options):
        counts[f"without {name}="] += 1
        ours, theirs = ((x, {k: v for k, v in o.items() if k != name}) for x, o in (ours, theirs))
    arguments, options = theirs
    refusal = _refusal(operation, form, arguments, options)
    if refusal is not None:
        reason, kind = refusal
        counts[f"lacks {reason}"] += 1
        if not judge:
            return []
        error = outcome(minigrad, _call(form, form.ours, ours), [], 0).error
        return [] if type(error) is kind else [f"lacks {reason}, but raises {error!r}"]
    counts["compared"] += 1
    both = ((minigrad, form.ours, ours), (torch, form.theirs, theirs))
    found = []
    if operation == "clamp" and len({x.shape for x in arguments if is_tensor(x)}) > 1:
        orders = 0  # torch's derivative raises where both bounds are broadcast
    for by_weights in (False, True)[: max(orders, 1)] if judge else ():
        mine, wanted = (
            outcome(m, _call(form, call, given), _leaves(given), orders, by_weights)
            for m, call, given in both
        )
        sums, cancels = operation in SUMMING or "alpha" in options, operation in CANCELLING
        found += differences(mine, wanted, sums, cancels)
        if not wanted.gradients:
            break
    return found


def _call(form: Form, function: Callable[..., Any], given: Any) -> Callable[[], Any]:
    """Return a call of a form. In place it changes a clone, which is part of what is shown."""
    (input, *arguments), options = given

    def in_place() -> Any:
        changed = input.clone()
        result = function(changed, *arguments, **options)
        return [result, changed.clone(), result is changed]

    return in_place if form.in_place else lambda: function(input, *arguments, **options)


def _leaves(given: Any) -> list[Any]:
    return [x for x in parts_of(given) if is_tensor(x) and x.requires_grad]


def _left_out(form: Form, options: dict[str, Any]) -> list[str]:
    """Return the options that minigrad's function lacks and that say what holds without them."""
    return [name for name in _unknown(form, options) if options[name] in DEFAULTS.get(name, ())]


def _unknown(form: Form, options: dict[str, Any]) -> list[str]:
    """Return the options that minigrad's function has no parameter for."""
    return sorted(options.keys() - _parameters(form.ours)) if options else []


@cache
def _parameters(function: Callable[..., Any]) -> frozenset[str]:
    return frozenset(inspect.signature(function).parameters)


def _no_call(form: Form, arguments: list[Any], options: dict[str, Any]) -> str | None:
    """Return what keeps a sample from being a call of this form that Python lets one write."""
    if form.name.startswith("Tensor.") and not isinstance(arguments[0], torch.Tensor):
        return "a method of no tensor"
    return "an operator with options" if options and form.name.startswith("operator.") else None


def _refusal(
    operation: str, form: Form, arguments: list[Any], options: dict[str, Any]
) -> tuple[str, type[Exception]] | None:
    """Return what minigrad refuses in this call, and with which exception."""
    unknown = _unknown(form, options)
    if unknown:
        return ", ".join(f"{name}=" for name in unknown), TypeError
    if operation == "linspace" and options.get("dtype") == torch.int64:
        return "a linspace of integers", NotImplementedError
    if hasattr(form.ours, "__wrapped__") and isinstance(arguments[0], (bool, int, float)):
        return "a number as input", TypeError
    if operation == "to" and any(isinstance(x, bool) for x in arguments):
        return "non_blocking and copy by position", TypeError
    logical = operation in ("__rand__", "__ror__", "__rxor__")
    if logical and torch.result_type(*arguments) != torch.bool:
        return "bits of integers", NotImplementedError
    if operation == "norm" and (arguments[1:] or [options.get("p", 2)])[0] == "nuc":
        return "norms of singular values", RuntimeError
    of_number = operation == "remainder" and not is_tensor(arguments[0]) and not form.in_place
    by_number = operation == "__rmod__" and not is_tensor(arguments[1])
    if (of_number or by_number or operation == "floor_divide") and _leaves((arguments, options)):
        return "what has no derivative", RuntimeError
    if form.name == "normal" and _leaves((arguments, options)):
        return "gradients of random numbers", RuntimeError
    if operation in ("pow", "__rpow__"):
        base, exponent = arguments[:: -1 if operation == "__rpow__" else 1]
        kinds = torch.result_type(base, exponent)
        tensors = isinstance(exponent, torch.Tensor)
        if tensors and not kinds.is_floating_point and bool((exponent < 0).any()):
            return "integers to negative powers, torch's 0", RuntimeError
    return None


def describe(sample: Any) -> str:
    """Return a sample's arguments, short."""
    return " ".join(sample.summary().removeprefix("SampleInput").split())[:300]


# ---- layers and optimisers ---------------------------------------------------------------------


@cache
def layers() -> dict[str, Any]:
    """Return each of torch's layers that minigrad has, by its name."""
    found = {info.name: info for info in database("common_modules", "module_db")}
    return {name: info for name, info in found.items() if reached(minigrad, name)}


def run_layer(info: Any, every: bool) -> Result:
    """Run each sample of a layer, built anew in either library with the same random numbers."""
    result = Result()
    for dtype, training in itertools.product(info.dtypes, (True, False)):
        for sample in drawn(info.module_inputs_func, info, "cpu", dtype, True, training):
            built, given = sample.constructor_input, sample.forward_input
            call = f"{info.name}{built.args}{built.kwargs} {sample.desc}, {dtype}"
            outcomes = []
            for m, convert in ((minigrad, for_minigrad), (torch, for_torch)):
                arguments, options = mapped(convert, (given.args, given.kwargs))
                m.manual_seed(0)
                layer = reached(m, info.name)(*built.args, **built.kwargs)
                layer.to(convert(dtype)).train(training)
                leaves = [*layer.parameters(), *_leaves((arguments, options))]
                run = functools.partial(layer, *arguments, **options)
                outcomes.append(outcome(m, run, leaves, 2, by_weights=True))
            result.counts["compared"] += 1
            mine, wanted = outcomes
            found = differences(mine, wanted, sums=True, cancels=True)
            result.different += [f"{call}: {text}" for text in found]
    return result


@cache
def optimisers() -> dict[str, Any]:
    """Return each of torch's optimisers that minigrad has, by its name."""
    found = {info.optim_cls.__name__: info for info in database("common_optimizers", "optim_db")}
    return {name: info for name, info in found.items() if hasattr(minigrad.optim, name)}


def run_optimiser(info: Any, every: bool) -> Result:
    """Train with each sample of an optimiser, and build it with each that must be refused."""
    result = Result()
    name = info.optim_cls.__name__
    inputs = database("common_optimizers", "_get_optim_inputs_including_global_cliquey_kwargs")
    for dtype in (torch.float32, torch.float64):
        errors = drawn(info.optim_error_inputs_func, "cpu", dtype)
        given = [*drawn(inputs, "cpu", dtype, info), *(e.optimizer_error_input for e in errors)]
        for sample in given:
            refusal: tuple[str, type[Exception]] | None = None
            if sample.kwargs.get("differentiable"):
                refusal = "differentiable=True", NotImplementedError
            elif any(isinstance(x, str) for x in parts_of(sample.params)):
                refusal = "named parameters", TypeError
            ours = trained(minigrad, name, sample, dtype)
            if refusal is None:
                result.counts["compared"] += 1
                theirs = trained(torch, name, sample, dtype)
                found = differences(ours, theirs, sums=True, cancels=True)
            else:
                reason, kind = refusal
                result.counts[f"lacks {reason}"] += 1
                found = [] if type(ours.error) is kind else [f"{reason}: {ours.error!r}"]
            result.different += [f"{name}({sample.kwargs}) {sample.desc}: {text}" for text in found]
    return result


def trained(m: Any, name: str, sample: Any, dtype: torch.dtype) -> Outcome:
    """Take five steps with an optimiser; return parameters, gradients and state after each."""
    convert = for_minigrad if m is minigrad else for_torch
    rng = np.random.default_rng(0)
    draws = [rng.normal(size=shape) for shape in ((3, 2), (2,), (4, 3), (4, 2))]
    weight, bias, x, y = (m.tensor(draw).to(convert(dtype)) for draw in draws)
    weight, bias = (m.nn.Parameter(z) for z in (weight, bias))

    def train() -> Any:
        params, options = mapped(convert, (sample.params, dict(sample.kwargs)))
        optimiser = getattr(m.optim, name)([weight, bias] if params is None else params, **options)
        shown = []
        for _ in range(5):
            optimiser.zero_grad()
            loss = m.nn.functional.mse_loss((x @ weight + bias).relu(), y)
            loss.backward()
            optimiser.step()
            shown += [loss, weight.clone(), bias.clone(), weight.grad, bias.grad]
            shown += [list(s.values()) for s in optimiser.state_dict()["state"].values()]
        return copy.deepcopy(mapped(lambda z: z.detach() if is_tensor(z) else z, shown))

    return outcome(m, train, [], 0)


# ---- the table ---------------------------------------------------------------------------------


@cache
def everything() -> dict[str, Callable[[bool], Result]]:
    """Return how to run the samples of each operation, layer and optimiser, by its name.

    It is told whether to run every sample in every form, references with second derivatives.
    """
    found: dict[str, Callable[[bool], Result]] = {}
    for name, (op, its_forms) in covered().items():
        found[name] = functools.partial(run, op, its_forms)
    for name, info in layers().items():
        found[name] = functools.partial(run_layer, info)
    for name, info in optimisers().items():
        found[f"optim.{name}"] = functools.partial(run_optimiser, info)
    return found


def main() -> None:
    """Write the table anew, and show what differs."""
    table = {}
    for name in sorted(everything()):
        result = everything()[name](True)
        table[name] = dict(sorted(result.counts.items()))
        print(name, table[name], *result.different[:3], sep="\n    ")
    rows = ",\n".join(f"{json.dumps(name)}: {json.dumps(row)}" for name, row in table.items())
    TABLE.write_text(f"{{\n{rows}\n}}\n")


if __name__ == "__main__":
    main()
