"""Which extra of this distribution brings a package that is not installed."""

import re
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata

OWN = ("minigrad", "torch_impl", "parity")


def how_to_install(package: str) -> str:
    """Return a command, such as "pip install 'minigrad-parity[peers]'"."""
    try:
        required = metadata.requires("minigrad-parity") or []
    except metadata.PackageNotFoundError:  # a checkout that is not installed
        required = []
    lines = [re.findall(r"^([\w-]+).*extra == .(\w+)", line) for line in required]
    pairs = [pair for found in lines for pair in found]
    sizes = Counter(extra for _, extra in pairs)
    extras = sorted((extra for name, extra in pairs if name == package), key=sizes.__getitem__)
    # The smallest of them: some extras have all that others have.
    return f"pip install 'minigrad-parity[{extras[0]}]'" if extras else f"pip install {package}"


def missing(error: ModuleNotFoundError, program: str) -> str | None:
    """Return what to tell a person; None where a module of ours is not there."""
    package = (error.name or "").partition(".")[0]
    if not package or package in OWN:
        return None
    return f"{program} needs {package}, which is not installed: {how_to_install(package)}"


@contextmanager
def needed_by(program: str) -> Iterator[None]:
    """End with exit status 2 if a package that is imported within is not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        if said := missing(error, program):
            print(said, file=sys.stderr)
            sys.exit(2)
        raise
