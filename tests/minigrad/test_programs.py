"""Short programs that once were silently different from torch: the same result on both libraries.

They stand in `programs.txt`, some one a line, others as a name after `#` and several lines. Each
leaves its result in `r`. What is compared is how the result prints, or the exception's class, and
the classes of warnings.
"""

import copy
import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import minigrad
from tests.minigrad.sessions import sessions

PROGRAMS: dict[str, str] = {}
for name, text in sessions(Path(__file__).with_name("programs.txt").read_text("utf-8")).items():
    single = name.endswith(", one a line")
    PROGRAMS.update({line: line for line in text.split("\n") if line} if single else {name: text})


def outcome(T: Any, code: str) -> tuple[str, list[type[Warning]]]:
    """Run a program; return its result as text or its exception's class, and its warnings."""
    scope: dict[str, Any] = {
        "T": T, "nn": T.nn, "grad": T.autograd.grad, "copy": copy, "np": np, "pickle": pickle
    }  # fmt: skip
    T.manual_seed(0)
    torch.set_warn_always(True)  # also where it would warn once only
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            exec(code, scope)
            found = repr(scope["r"])
        except Exception as error:
            found = type(error).__name__
        finally:
            torch.set_warn_always(False)
    return found, [warning.category for warning in caught]


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_does_the_same_on_both(name: str) -> None:
    ours = outcome(minigrad, PROGRAMS[name])
    assert ours == outcome(torch, PROGRAMS[name])
    assert ours[0] not in ("NameError", "SyntaxError"), "the program is no program"
