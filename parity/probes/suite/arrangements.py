"""Operations that combine or move elements, one by one: sums, shapes, indices, products."""

from typing import Any

from parity.probes.probe import distinct, integers, normal, probe, twelve_bits
from parity.probes.suite import singly


@probe(exact=True, x=integers(2, 4, 8))
def sums_and_means(lib: Any, inputs: Any, note: Any) -> None:
    """Over one axis, several and all, kept and not: each divided by how many it combines."""
    calls = {
        "sum": lambda x: x.sum(),
        "sum over one axis": lambda x: x.sum(1),
        "sum kept": lambda x: x.sum(-1, keepdim=True),
        "sum over two": lambda x: x.sum((0, -1)),
        "mean": lambda x: x.mean(),
        "mean over one axis": lambda x: x.mean(-1),
        "mean kept": lambda x: x.mean(1, keepdim=True),
        "mean over two": lambda x: x.mean((0, 2)),
    }
    singly(lib, note, calls, *inputs)


@probe(exact=True, x=distinct(4, 4))
def sums_and_means_of_a_square(lib: Any, inputs: Any, note: Any) -> None:
    """Where the shape does not tell along which axis was summed."""
    calls = {
        "rows": lambda x: x.sum(0),
        "columns": lambda x: x.sum(1),
        "mean of rows": lambda x: x.mean(0),
        "mean of columns": lambda x: x.mean(1),
        "largest of rows": lambda x: x.amax(0),
    }
    singly(lib, note, calls, *inputs)


@probe(x=normal(5, 7))
def sums_and_means_of_reals(lib: Any, inputs: Any, note: Any) -> None:
    """Sums in which every digit counts, of numbers of terms that are no powers of two."""
    calls = {"sum": lambda x: x.sum(0), "mean": lambda x: x.mean(1), "all": lambda x: x.mean()}
    singly(lib, note, calls, *inputs)


@probe(exact=True, x=distinct(3, 4, 2))
def largest_and_smallest(lib: Any, inputs: Any, note: Any) -> None:
    """Amax and amin over one axis, several and all: the gradient goes to one element."""
    calls = {
        "amax": lambda x: x.amax(),
        "amax over one axis": lambda x: x.amax(1),
        "amax kept": lambda x: x.amax((0, 2), keepdim=True),
        "amin": lambda x: x.amin(),
        "amin over one axis": lambda x: x.amin(-1),
        "amin kept": lambda x: x.amin((0, 1), True),
    }
    singly(lib, note, calls, *inputs)


@probe(exact=True, x=integers(2, 3, 4), y=integers(1, 3), cube=integers(3, 3, 3))
def shapes(lib: Any, inputs: Any, note: Any) -> None:
    """Elements that are moved or repeated: each gradient has to find its way back."""
    calls = {
        "permute": lambda x: x.permute(2, 1, 0),
        "permute in a cycle": lambda x: x.permute(1, 2, 0),
        "transpose": lambda x: x.transpose(0, -1),
        "mT": lambda x: x.mT,
        "reshape": lambda x: x.reshape(3, 8),
        "reshape of a transpose": lambda x: x.transpose(0, 1).reshape(-1, 2),
        "view": lambda x: x.view(4, -1),
        "flatten": lambda x: x.flatten(1),
    }
    singly(lib, note, calls, "x")
    thin = {
        "expand": lambda y: y.expand(5, 2, 3),
        "squeeze": lambda y: y.squeeze(0),
        "unsqueeze": lambda y: y.unsqueeze(-1),
        "t": lambda y: y.t(),
    }
    singly(lib, note, thin, "y")
    singly(lib, note, {"permute of a cube": lambda cube: cube.permute(1, 2, 0)}, "cube")


@probe(exact=True, x=integers(2, 3), y=integers(2, 3))
def joined(lib: Any, inputs: Any, note: Any) -> None:
    """Cat and stack: each input receives the part of the gradient that lies where it was put."""
    calls = {
        "cat": lambda x, y: lib.cat([x, y]),
        "cat of columns": lambda x, y: lib.cat([x, y[:, :1]], -1),
        "stack": lambda x, y: lib.stack([x, y]),
        "stack of columns": lambda x, y: lib.stack([x, y], dim=-1),
    }
    singly(lib, note, calls, *inputs)


@probe(exact=True, x=integers(4, 5))
def indices(lib: Any, inputs: Any, note: Any) -> None:
    """Rows, columns, slices, steps, new axes, masks, lists: read, and their gradients put back."""
    calls = {
        "row": lambda x: x[1],
        "row from the end": lambda x: x[-2],
        "column": lambda x: x[:, -1],
        "element": lambda x: x[2, 3],
        "slice": lambda x: x[1:, ::2],
        "ellipsis": lambda x: x[..., 2],
        "new axis": lambda x: x[:, None, 0],
        "list": lambda x: x[[0, 3]],
        "pairs": lambda x: x[lib.tensor([0, 1]), lib.tensor([4, 0])],
        "mask": lambda x: x[x > 0],
        "one element several times": lambda x: x[lib.tensor([0, 2, 2, 1, 2, 0])],
    }
    singly(lib, note, calls, *inputs)


@probe(exact=True, x=integers(4, 5), y=integers(2, 5))
def index_assignment(lib: Any, inputs: Any, note: Any) -> None:
    """What is written over no longer counts; what is written does."""

    def written(key: Any, value: Any) -> Any:
        def call(x: Any, y: Any) -> Any:
            target = x * 1
            target[key] = value(y)
            return target

        return call

    calls = {
        "rows": written(slice(1, 3), lambda y: y),
        "rows, one value": written(slice(1, 3), lambda y: y[0]),
        "element": written((0, 1), lambda y: y[1, 1]),
        "pairs": written((lib.tensor([3, 3]), lib.tensor([0, 2])), lambda y: y[0, :2]),
    }
    singly(lib, note, calls, *inputs)
    singly(lib, note, {"number": lambda x: written((0, 1), lambda y: 3.0)(x, None)}, "x")


@probe(exact=True, x=integers(5, 3), y=integers(3, 4))
def matrix_product(lib: Any, inputs: Any, note: Any) -> None:
    """Both gradients of a product of matrices none of which is square."""
    singly(lib, note, {"xy": lambda x, y: x @ y}, *inputs)


@probe(x=normal(6, 5), y=normal(5, 4))
def matrix_product_of_reals(lib: Any, inputs: Any, note: Any) -> None:
    """A product in which every digit counts."""
    singly(lib, note, {"xy": lib.matmul}, *inputs)


@probe(exact=True, x=integers(2, 1, 3, 4), y=integers(5, 4, 2), v=integers(4), w=integers(4))
def products_of_batches_and_vectors(lib: Any, inputs: Any, note: Any) -> None:
    """Leading axes that broadcast, on both sides; vectors as rows and columns."""
    singly(lib, note, {"batch": lib.matmul}, "x", "y")
    singly(lib, note, {"vector times matrix": lambda v, y: v @ y[0]}, "v", "y")
    singly(lib, note, {"matrix times vector": lambda x, v: x[0, 0] @ v}, "x", "v")
    singly(lib, note, {"batch times vector": lib.matmul}, "x", "v")
    singly(lib, note, {"dot": lib.matmul}, "v", "w")


@probe(exact=True, x=integers(5, 3), weight=integers(2, 3), bias=integers(2))
def linear(lib: Any, inputs: Any, note: Any) -> None:
    """A linear layer: a dropped row, a transposed weight, a forgotten bias."""
    singly(lib, note, {"linear": lib.nn.functional.linear}, *inputs)
    singly(lib, note, {"without bias": lib.nn.functional.linear}, "x", "weight")


@probe(exact=True, x=integers(3, 3), weight=integers(3, 3), bias=integers(3))
def linear_with_a_square_weight(lib: Any, inputs: Any, note: Any) -> None:
    """Where the shapes do not tell whether the weight is transposed."""
    singly(lib, note, {"linear": lib.nn.functional.linear}, *inputs)
    singly(lib, note, {"without bias": lib.nn.functional.linear}, "x", "weight")
    singly(lib, note, {"xy": lib.matmul}, "x", "weight")


@probe(x=normal(5, 3), weight=normal(2, 3), bias=normal(2))
def linear_of_reals(lib: Any, inputs: Any, note: Any) -> None:
    """A linear layer in which every digit counts."""
    singly(lib, note, {"linear": lib.nn.functional.linear}, *inputs)


@probe(
    exact=True,
    x=twelve_bits(5, 3),
    weight=twelve_bits(2, 3),
    bias=twelve_bits(2),
    small_x=integers(5, 3),
    small_weight=integers(2, 3),
)
def linear_of_twelve_bits(lib: Any, inputs: Any, note: Any) -> None:
    """Operands rounded to the eleven bits of float16 and TF32, where all products are exact."""
    linear = lib.nn.functional.linear
    singly(lib, note, {"large x": linear}, "x", "small_weight", "bias")
    singly(lib, note, {"large weight": linear}, "small_x", "weight", "bias")


@probe(exact=True, x=integers(2, 4), y=integers(2, 4))
def mean_squared_error(lib: Any, inputs: Any, note: Any) -> None:
    """The loss and its gradients by both sides, for every reduction."""
    loss = lib.nn.functional.mse_loss
    calls = {
        "mean": loss,
        "sum": lambda x, y: loss(x, y, reduction="sum"),
        "none": lambda x, y: loss(x, y, reduction="none"),
    }
    singly(lib, note, calls, *inputs)


@probe(x=normal(3, 5), y=normal(3, 5))
def mean_squared_error_of_reals(lib: Any, inputs: Any, note: Any) -> None:
    """The loss in which every digit counts."""
    singly(lib, note, {"loss": lib.nn.functional.mse_loss}, *inputs)
