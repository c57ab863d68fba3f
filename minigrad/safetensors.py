"""Tensors in files: the safetensors format, which holds numbers and can hold nothing else.

A file that is written here is read by `safetensors.torch.load_file`, and the other way round. No
code is run when a file is loaded, as it is when pickles are.

The format is read and written by the `safetensors` package, which is needed for this module alone:
`pip install safetensors`.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import numpy as np

from minigrad.dtypes import SUPPORTED
from minigrad.files import write_whole
from minigrad.tensor import Tensor


def save_file(
    tensors: Mapping[str, Tensor],
    filename: str | os.PathLike[str],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write tensors to a file by their names, `model.state_dict()` for example.

    The file is written as by `minigrad.files.write_whole`: whole or not at all, and one that is
    there already is replaced.

    Args:
        tensors: of any shape and of every dtype that minigrad has.
        filename: where to.
        metadata: texts to be stored beside them.

    Raises:
        TypeError: `tensors` is no mapping of names to tensors, or the metadata are no texts.
        ValueError: a name is `__metadata__`, or a text has no form in UTF-8.
        OSError: the file cannot be written.
        ModuleNotFoundError: the package `safetensors` is not installed.
    """
    package = _package()
    arrays = _arrays(tensors)
    texts = dict(metadata or {})
    for key, value in texts.items():
        if not (isinstance(key, str) and isinstance(value, str)):
            raise TypeError(f"save_file: metadata must be texts, but got {key!r}: {value!r}")
    for text in (*arrays, *texts, *texts.values()):
        if text == "__metadata__" and text in arrays:
            raise ValueError(f"save_file: {text!r} is the format's own name: rename the tensor")
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise ValueError(
                f"save_file: {text!r} has no form in UTF-8, which the format is in: {error.reason}"
            ) from error
    write_whole(filename, package.save(arrays, texts or None))


def load_file(filename: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Return the tensors in a file by their names, sorted; `model.load_state_dict` takes them.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no safetensors file, is damaged or cut short, or holds a dtype that
            minigrad does not have.
        ModuleNotFoundError: the package `safetensors` is not installed.
    """
    package = _package()
    content = Path(filename).read_bytes()
    name = os.fspath(filename)
    try:
        arrays = package.load(content)
    except KeyError as error:  # a dtype that NumPy does not have, bfloat16 for example
        raise _unsupported(name, error.args[0]) from error
    except Exception as error:  # the package has a class of its own, and raises others too
        raise ValueError(
            f"load_file: {name!r} is no valid safetensors file, or is damaged: {error}"
        ) from error
    for key, array in arrays.items():
        if array.dtype not in SUPPORTED:
            raise _unsupported(name, array.dtype)
        if array.dtype == np.bool_ and (array.view(np.uint8) > 1).any():
            raise ValueError(
                f"load_file: {name!r} is damaged: {key!r} is of bools, and has bytes that are "
                "neither 0 nor 1"
            )
    return {key: Tensor._wrapped(np.array(array)) for key, array in sorted(arrays.items())}


def _unsupported(name: str, dtype: object) -> ValueError:
    known = ", ".join(map(str, SUPPORTED))
    return ValueError(
        f"load_file: {name!r} holds a tensor of dtype {dtype}, but minigrad has {known} only: "
        "convert it before saving it"
    )


def _arrays(tensors: Mapping[str, Tensor]) -> dict[str, np.ndarray[tuple[int, ...], np.dtype]]:
    """Return the values as arrays in the order of their elements, as the format wants them."""
    if not isinstance(tensors, Mapping):
        raise TypeError(
            f"save_file: expected a mapping of names to tensors, not {type(tensors).__name__}: "
            "give model.state_dict() or {'name': tensor}"
        )
    arrays = {}
    for name, tensor in tensors.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise TypeError(
                "save_file: expected names and tensors, but got "
                f"{name!r} and a {type(tensor).__module__}.{type(tensor).__name__}"
            )
        arrays[name] = np.array(tensor.detach().numpy(), order="C")
    return arrays


def _package() -> ModuleType:
    try:
        import safetensors.numpy
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "minigrad.safetensors needs the package safetensors, which is not installed: "
            "pip install safetensors (minigrad itself needs NumPy alone)",
            name="safetensors",
        ) from error
    return safetensors.numpy
