"""The table of operations: how each is called in torch's names, and what it is given."""

from collections.abc import Callable
from typing import Any, NamedTuple

Shapes = list[tuple[int, ...]]
Call = Callable[..., Any]


class Operation(NamedTuple):
    """An operation.

    Attributes:
        call: called as `call(lib, *tensors)`.
        shapes: of the tensors, for a batch and a width.
        exact: of small integers, values and gradients are the same numbers in any engine.
        kind: "each" if the shapes broadcast, "whole" if not; of what is in place, "into" if all
            but the first do and "written" if not; "choice" for broadcasting without a gradient.
        domain: what the last tensor is from: "any", "positive" or "nonzero" numbers.
    """

    call: Call
    shapes: Callable[[int, int], Shapes]
    exact: bool = True
    kind: str = "whole"
    domain: str = "any"


def of(count: int, rows: int = 0, columns: int = 0) -> Callable[[int, int], Shapes]:
    """So many tensors of (batch, width), each axis longer by a number."""
    return lambda b, w: [(b + rows, w + columns)] * count


def square(*ndims: int) -> Callable[[int, int], Shapes]:
    """Tensors of so many axes, all of one length, up to 33."""
    return lambda b, w: [(min(w, 33),) * n for n in ndims]


def written(key: Any, value: Call) -> Call:
    """Write values into a copy of the first tensor, at a key."""

    def call(lib: Any, x: Any, *y: Any) -> Any:
        target = x * 1
        target[key(lib) if callable(key) else key] = value(*y)
        return target

    return call


def loss(reduction: str) -> Call:
    """Return the mean squared error of a reduction."""
    return lambda lib, x, y: lib.nn.functional.mse_loss(x, y, reduction=reduction)


def linear(lib: Any, *tensors: Any) -> Any:
    """Call the function of this name."""
    return lib.nn.functional.linear(*tensors)


OPERATIONS: dict[str, Operation] = {}
"""By a word for each."""


def _add(shapes: Callable[[int, int], Shapes], *more: Any, **calls: Call) -> None:
    OPERATIONS.update({name: Operation(call, shapes, *more) for name, call in calls.items()})


# fmt: off
_add(of(1), True, "each",
    neg=lambda lib, x: -x,
    add_number=lambda lib, x: x + 2,
    number_sub=lambda lib, x: 2 - x,
    mul_number=lambda lib, x: 0.5 * x,
    div_number=lambda lib, x: x / 4,
    square=lambda lib, x: x.square(),
    abs=lambda lib, x: x.abs(),
    relu=lambda lib, x: lib.relu(x),
    clone=lambda lib, x: x.clone(),
    clamp=lambda lib, x: x.clamp(-1, 1.5),
    clamp_min=lambda lib, x: x.clamp(0.5),
    pow_0=lambda lib, x: x**0,
    pow_1=lambda lib, x: x**1,
    pow_2=lambda lib, x: x**2,
    pow_3=lambda lib, x: x**3,
    where_number=lambda lib, x: lib.where(x > 0, x, 2.0) - lib.where(x < 1, 3.0, x),
    single=lambda lib, x: x.float(),
    double=lambda lib, x: x.double(),
    there_and_back=lambda lib, x: x.double().float().to(x.dtype),
    mask_factor=lambda lib, x: x * (x > 0),
    long_factor=lambda lib, x: x * (x > 0).long(),
)
_add(of(2), True, "each",
    add=lambda lib, x, y: x + y,
    sub=lambda lib, x, y: x - y,
    mul=lambda lib, x, y: x * y,
    maximum=lambda lib, x, y: lib.maximum(x, y),
    minimum=lambda lib, x, y: lib.minimum(x, y),
    where=lambda lib, x, y: lib.where(x > y, x, y),
    add_alpha=lambda lib, x, y: lib.add(x, y, alpha=2),
    sub_alpha=lambda lib, x, y: x.sub(y, alpha=3),
    two_dtypes=lambda lib, x, y: x.float() * y.double(),
    no_axes=lambda lib, x, y: x.float() * lib.tensor(2.0, dtype=lib.float64) + y.float(),
    remainder=lambda lib, x, y: x % y,
)
_add(of(3), True, "whole",
    clamp_tensors=lambda lib, x, y, z: x.clamp(y, z),
)
_add(of(1), False, "each",
    tanh=lambda lib, x: lib.tanh(x),
    sigmoid=lambda lib, x: lib.sigmoid(x),
    exp=lambda lib, x: lib.exp(x),
    sin=lambda lib, x: x.sin(),
    cos=lambda lib, x: x.cos(),
    number_pow=lambda lib, x: 2**x,
    leaky_relu=lambda lib, x: lib.nn.functional.leaky_relu(x, 0.2),
    softplus=lambda lib, x: lib.nn.functional.softplus(x, 1.5, 1.0),
)
_add(of(1), False, "each", "positive",
    log=lambda lib, x: lib.log(x),
    sqrt=lambda lib, x: lib.sqrt(x),
    pow_half=lambda lib, x: x**0.5,
    pow_minus_half=lambda lib, x: x**-0.5,
    pow_odd=lambda lib, x: x**-1.5,
)
_add(of(1), False, "each", "nonzero",
    number_div=lambda lib, x: 2 / x,
    reciprocal=lambda lib, x: x**-1,
    div_3=lambda lib, x: x / 3,
)
_add(of(2), False, "each", "nonzero", div=lambda lib, x, y: x / y)
_add(of(2), False, "each", pow=lambda lib, x, y: x.abs() ** y)
_add(of(2), True, "into",
    add_=lambda lib, x, y: (x * 1).add_(y),
    sub_=lambda lib, x, y: (x * 1).sub_(y, alpha=2),
    mul_=lambda lib, x, y: (x * 1).mul_(y),
    copy_=lambda lib, x, y: (x * 1).copy_(y),
)
_add(of(2), True, "choice",
    eq=lambda lib, x, y: x == y,
    ne=lambda lib, x, y: x != y,
    lt=lambda lib, x, y: x < y,
    le=lambda lib, x, y: x <= y,
    gt=lambda lib, x, y: x > y,
    ge=lambda lib, x, y: x >= y,
    logical_or=lambda lib, x, y: (x > 0) | (y > 1),
    isnan=lambda lib, x, y: (x * y).isnan(),
    isinf=lambda lib, x, y: (x * y).isinf(),
    isfinite=lambda lib, x, y: (x * y).isfinite(),
    floor_divide=lambda lib, x, y: x // y,
    any=lambda lib, x, y: (x > y).any(),
    all=lambda lib, x, y: (x == x).all(),
)
_add(of(2, 1, 1), True, "choice",
    argmax=lambda lib, x, y: (x * y).argmax(-1),
    argmin=lambda lib, x, y: (x * y).argmin(-1),
)
_add(of(1),
    reshape=lambda lib, x: x.reshape(x.shape[1], x.shape[0]),
    sum=lambda lib, x: x.sum(),
    sum_rows=lambda lib, x: x.sum(0),
    sum_columns=lambda lib, x: x.sum(-1),
    sum_kept=lambda lib, x: x.sum(1, keepdim=True),
    t=lambda lib, x: x.t(),
    mT=lambda lib, x: x.mT,
    permute=lambda lib, x: x.permute(1, 0),
    reshape_turned=lambda lib, x: x.t().reshape(x.shape),
    view=lambda lib, x: lib.cat([x]).view(-1),
    flatten=lambda lib, x: x.flatten(),
    expand=lambda lib, x: x.expand(3, *x.shape),
    unsqueeze=lambda lib, x: x.unsqueeze(-1),
    squeeze=lambda lib, x: x.unsqueeze(0).unsqueeze(2).squeeze(2),
    ellipsis=lambda lib, x: x[..., 1:],
    new_axis=lambda lib, x: x[:, None],
    steps=lambda lib, x: x[1:, ::2],
    mask=lambda lib, x: x[x > 0],
)
_add(of(1), False,
    mean=lambda lib, x: x.mean(),
    mean_rows=lambda lib, x: x.mean(0),
    mean_columns=lambda lib, x: x.mean(-1),
    var=lambda lib, x: x.var(0),
    std=lambda lib, x: x.std(),
    norm=lambda lib, x: x.norm(),
    norm_1=lambda lib, x: x.norm(1),
    norm_3=lambda lib, x: (x.abs() + 1).norm(3, 0),
    mean_kept=lambda lib, x: x.mean(1, keepdim=True),
)
_add(of(1, 1, 1), False,  # ties share the gradient, in parts that are rounded
    amax=lambda lib, x: x.amax(),
    norm_inf=lambda lib, x: x.norm(float("inf")),
    max=lambda lib, x: x.max(),
    min=lambda lib, x: x.min(),
    max_columns=lambda lib, x: x.max(1)[0],
    min_rows=lambda lib, x: x.min(0)[0],
    amax_rows=lambda lib, x: x.amax(0),
    amax_kept=lambda lib, x: x.amax(1, keepdim=True),
    amin=lambda lib, x: x.amin(),
    amin_rows=lambda lib, x: x.amin(0),
    amin_columns=lambda lib, x: x.amin(-1),
)
_add(of(1, 3, 2), True, "written", write_number=written((0, 1), lambda: 3.0))
_add(of(1), True, "written",
    fill_=lambda lib, x: (x * 1).fill_(2.5),
    zero_=lambda lib, x: (x * 1).zero_(),
)
_add(of(1, 3, 2),
    element=lambda lib, x: x[2, 1],
    row=lambda lib, x: x[-2],
    column=lambda lib, x: x[:, -1],
    list=lambda lib, x: x[[0, 2]],
    pairs=lambda lib, x: x[lib.tensor([0, 1]), lib.tensor([1, 0])],
    repeated=lambda lib, x: x[lib.tensor([0, 2, 2, 1, 2, 0])],
)
_add(of(2, 3, 2), True, "written",
    write_rows=written(slice(1, 3), lambda y: y[:2]),
    write_one_row=written(slice(1, 3), lambda y: y[0]),
    write_column=written((slice(None), 1), lambda y: y[:, 0]),
    write_element=written((0, 1), lambda y: y[1, 1]),
    write_pairs=written(lambda lib: (lib.tensor([2, 2]), lib.tensor([0, 1])), lambda y: y[0, :2]),
)
_add(lambda b, w: [(b, 2, w)],
    permute_cycle=lambda lib, x: x.permute(1, 2, 0),
    transpose_ends=lambda lib, x: x.transpose(0, -1),
    sum_ends=lambda lib, x: x.sum((0, -1)),
    flatten_end=lambda lib, x: x.flatten(1),
)
_add(lambda b, w: [(b, 2, w)], False, mean_ends=lambda lib, x: x.mean((0, 2)))
_add(lambda b, w: [(min(b, 9),) * 3],
    permute_cube=lambda lib, x: x.permute(1, 2, 0),
    sum_middle=lambda lib, x: x.sum(1),
)
_add(square(2), sum_square=lambda lib, x: x.sum(1), t_square=lambda lib, x: x.t())
_add(of(3, 0, 2),
    cat=lambda lib, *xs: lib.cat(xs),
    cat_columns=lambda lib, *xs: lib.cat([x[:, i:] for i, x in enumerate(xs)], -1),
    stack=lambda lib, *xs: lib.stack(xs),
    stack_columns=lambda lib, *xs: lib.stack(xs, dim=-1),
)
_add(lambda b, w: [(b, w), (w, 3)], matmul=lambda lib, x, y: x @ y)
_add(lambda b, w: [(2, b), (b, w)], matmul_wide=lambda lib, x, y: x.mm(y))
_add(lambda b, w: [(b, 2), (2, w)], matmul_outer=lambda lib, x, y: x @ y)
_add(lambda b, w: [(2, 1, b, 3), (min(w, 17), 3, 2)], matmul_batch=lambda lib, x, y: x @ y)
_add(lambda b, w: [(b,), (b, w)], row_matrix=lambda lib, x, y: x @ y)
_add(lambda b, w: [(b, w), (w,)], matrix_column=lambda lib, x, y: x @ y)
_add(lambda b, w: [(2, b, w), (w,)], batch_column=lambda lib, x, y: x @ y)
_add(lambda b, w: [(w,), (w,)], dot=lambda lib, x, y: x @ y)
_add(square(2, 2), matmul_square=lambda lib, x, y: x @ y, linear_square_no_bias=linear)
_add(lambda b, w: [(b, w), (2, w)], linear_no_bias=linear)
_add(lambda b, w: [(b, w), (2, w), (2,)], linear=linear)
_add(lambda b, w: [(b, 3), (w, 3), (w,)], linear_wide=linear)
_add(square(2, 2, 1), linear_square=linear)
_add(lambda b, w: [(2, b, 3), (w, 3), (w,)], linear_axes=linear)
_add(lambda b, w: [(w,), (2, w), (2,)], linear_row=linear)
_add(of(2), True, "each", mse_sum=loss("sum"), mse_none=loss("none"))
_add(of(2), False, "each", mse_mean=loss("mean"),
    l1=lambda lib, x, y: lib.nn.functional.l1_loss(x, y, reduction="sum"),
    huber=lambda lib, x, y: lib.nn.functional.huber_loss(x, y, "none", 0.75),
    huber_mean=lambda lib, x, y: lib.nn.functional.huber_loss(x, y, delta=0.75),
    smooth_l1=lambda lib, x, y: lib.nn.functional.smooth_l1_loss(x, y, reduction="sum", beta=0.75),
)
