"""torch's names for the rules: the methods of `Tensor`, file by file those of `minigrad.ops`.

Each is written once. Its first parameter is called `input`, as in torch's functions, so the same
object serves as `tensor.sum(dim=0)` and as `minigrad.sum(tensor, dim=0)`. What is done here is
what a rule leaves to its caller: torch's argument forms, checks, type promotion. Beside the
methods stand the other names that torch has for a rule, which `grad_fn` shows.
"""

from minigrad.tensor.arithmetic import Elementwise
from minigrad.tensor.conversion import Conversions
from minigrad.tensor.indexing import Indexing
from minigrad.tensor.inplace import InPlace
from minigrad.tensor.products import MatrixProducts
from minigrad.tensor.reduction import Reductions
from minigrad.tensor.shape import Shapes


class Methods(Elementwise, Reductions, Shapes, MatrixProducts, Indexing, Conversions, InPlace):
    """Operations on `Tensor` under torch's names."""
