"""What a run ran on, as far as it can change results or timings.

Call `environment` in the process that computes: the BLAS libraries, their kernels and thread counts
are those of the calling process.
"""

import os
import platform
import re
import sys
from collections.abc import Mapping
from importlib import metadata
from typing import Any

from threadpoolctl import threadpool_info

from parity.system import cpu_name, usable_cores

DISTRIBUTIONS = ("numpy", "torch", "minigrad-parity")
# Whatever steers BLAS or its threads: OpenBLAS, MKL, OpenMP, Apple's Accelerate.
VARIABLE_PREFIXES = ("OPENBLAS_", "MKL_", "OMP_", "GOMP_", "BLIS_", "VECLIB_")


def environment() -> dict[str, object]:
    """Describe this process and its machine, in values that JSON can hold.

    - `versions`: of `python` and the `DISTRIBUTIONS`; `None` if not installed
    - `platform`, `cpu`: names; `logical_cores`: of the machine; `usable_cores`: by this process
    - `blas`: one entry a BLAS library in this process: `library`, `version`, `kernel` (the
      architecture it is written for), `threads`, `loaded_by` (the package that brought it, `None`
      if the system did)
    - `torch_instructions`: the vector instructions of torch's own kernels, `None` without torch
    - `variables`: environment variables that steer BLAS, with their values
    - `gpu`: name of the current CUDA device, `None` without torch or CUDA

    Imports neither NumPy nor torch, but tells of them where the process has. In torch's wheels MKL
    is linked statically, out of threadpoolctl's sight: torch is asked. MKL hides its kernel.
    """
    torch: Any = sys.modules.get("torch")
    return {
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in DISTRIBUTIONS},
        "platform": platform.platform(),
        "cpu": cpu_name(),
        "logical_cores": os.cpu_count(),
        "usable_cores": usable_cores(),
        "blas": _blas(torch),
        "torch_instructions": torch.backends.cpu.get_cpu_capability() if torch else None,
        "variables": {
            name: value
            for name, value in sorted(os.environ.items())
            if name.startswith(VARIABLE_PREFIXES)
        },
        "gpu": torch.cuda.get_device_name() if torch and torch.cuda.is_available() else None,
    }


def blas_warning(environment: Mapping[str, Any]) -> str | None:
    """Return what to print beside timings if OpenBLAS was told which kernel to use, else `None`.

    `environment` is a result of the function `environment`. The variable matters only where the
    process has an OpenBLAS.
    """
    forced = environment.get("variables", {}).get("OPENBLAS_CORETYPE")
    kernels = [
        entry["kernel"] for entry in environment.get("blas", ()) if entry["library"] == "openblas"
    ]
    if not forced or not kernels:
        return None
    return (
        f"OPENBLAS_CORETYPE={forced} forces OpenBLAS to its {kernels[0]} kernel. One older "
        "than the processor slows NumPy by up to 1.7 times. To let OpenBLAS choose, unset that "
        "variable and run again."
    )


def version(distribution: str) -> str | None:
    """Return the version of an installed distribution; None if it is not installed."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _blas(torch: Any) -> list[dict[str, object]]:
    libraries: list[dict[str, object]] = [
        {
            "library": pool["internal_api"],
            "version": pool["version"],
            "kernel": pool.get("architecture"),
            "threads": pool["num_threads"],
            "loaded_by": _package(pool["filepath"]),
        }
        for pool in threadpool_info()
        if pool["user_api"] == "blas"
    ]
    if torch is None or any(library["loaded_by"] == "torch" for library in libraries):
        return libraries
    built_with = torch.__config__.show()
    name = re.search(r"BLAS_INFO=(\w+)", built_with)
    if name is None or (name[1], None) in {
        (library["library"], library["loaded_by"]) for library in libraries
    }:
        return libraries  # torch's BLAS is the system's, and in the list already
    release = (
        re.search(r"Math Kernel Library Version (\S+?)(?:-|\s)", built_with)
        if name[1] == "mkl"
        else None
    )
    threads = torch.get_num_threads()
    entry = {
        "library": name[1],
        "version": release and release[1],
        "kernel": None,
        "threads": threads,
    }
    return [*libraries, entry | {"loaded_by": "torch"}]


def _package(path: str) -> str | None:
    """Return the package that has the library `path`, such as a file in `torch/lib`."""
    found = re.search(r"(?:site|dist)-packages[/\\]([^/\\.]+)", path)
    return found[1] if found else None
