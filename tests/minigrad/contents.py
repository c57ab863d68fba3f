"""The table of what there is in the README; `python -m tests.minigrad.contents` writes it."""

import re
from pathlib import Path
from typing import Any

import minigrad
from minigrad.contents import table

README = Path(minigrad.__file__).parent / "README.md"
TABLE = re.compile(r"^\| where \| what \|\n(?:\|.*\n)+", re.MULTILINE)
NAMESPACES: dict[str, Any] = {
    "torch": minigrad,
    "torch.Tensor": minigrad.Tensor,
    "torch.autograd": minigrad.autograd,
    "torch.autograd.functional": minigrad.autograd.functional,
    "torch.nn": minigrad.nn,
    "torch.nn.functional": minigrad.nn.functional,
    "torch.nn.init": minigrad.nn.init,
    "torch.nn.utils": minigrad.nn.utils,
    "torch.optim": minigrad.optim,
    "torch.optim.lr_scheduler": minigrad.optim.lr_scheduler,
    "torch.utils.data": minigrad.utils.data,
}


def written() -> str:
    """Return the table as it stands in the text."""
    (found,) = TABLE.findall(README.read_text(encoding="utf-8"))
    return str(found)


if __name__ == "__main__":
    README.write_text(TABLE.sub(table(NAMESPACES), README.read_text(encoding="utf-8")), "utf-8")
