"""`torch.nn.init`: where parameters start is given, so nothing is left to do."""

from typing import Any

from parity.checks.exact.lacking import Lacking
from parity.checks.exact.tensor import Tensor


def __getattr__(name: str) -> Any:
    if not name.endswith("_") or name.startswith("__"):
        raise AttributeError(name)

    def started(tensor: Tensor, *args: Any, **options: Any) -> Tensor:
        if "grad" not in vars(tensor):
            raise Lacking(f"nn.init.{name} of what is no parameter")
        return tensor

    return started
