"""What a process tells of itself."""

import json
import os
import platform
import subprocess
import sys
from importlib import metadata
from typing import Any

import numpy as np
import pytest
import torch

import parity.environment
from parity.environment import blas_warning, environment
from parity.system import cpu_name


def in_new_process(code: str, **variables: str) -> Any:
    """What `code` prints, read as JSON."""
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | variables,
    )
    return json.loads(run.stdout)


def test_tells_versions_and_machine_in_json() -> None:
    told = environment()
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    versions = told["versions"]
    assert isinstance(versions, dict)
    assert versions["python"] == platform.python_version()
    assert versions["numpy"] == np.__version__
    assert versions["torch"] == metadata.version("torch")
    assert versions["minigrad-parity"]
    assert told["cpu"] == cpu_name() != ""
    assert isinstance(told["usable_cores"], int)
    assert 1 <= told["usable_cores"] <= (os.cpu_count() or 1)


def test_imports_neither_numpy_nor_torch() -> None:
    told = in_new_process(
        "import json, sys, parity.environment as e; told = e.environment();"
        "print(json.dumps([told, sorted({'numpy', 'torch', 'cpuinfo'} & set(sys.modules))]))"
    )
    assert told[1] == []
    assert told[0]["versions"]["torch"] == metadata.version("torch")
    assert told[0]["blas"] == []
    assert told[0]["torch_instructions"] is told[0]["gpu"] is None


def test_tells_the_threads_and_variables_of_this_process() -> None:
    code = "import json, numpy, parity.environment as e; print(json.dumps(e.environment()))"
    told = in_new_process(code, OPENBLAS_NUM_THREADS="1", MKL_CBWR="COMPATIBLE")
    assert told["variables"]["OPENBLAS_NUM_THREADS"] == "1"
    assert told["variables"]["MKL_CBWR"] == "COMPATIBLE"
    assert not {"PATH", "HOME"} & set(told["variables"])
    for library in told["blas"]:
        if library["library"] == "openblas":
            assert library["threads"] == 1
            assert library["kernel"]


def test_torch_is_asked_for_the_blas_within_it() -> None:
    told = environment()
    assert told["torch_instructions"] == torch.backends.cpu.get_cpu_capability()
    libraries = told["blas"]
    assert isinstance(libraries, list)
    if "BLAS_INFO=mkl" in torch.__config__.show():
        (mkl,) = [library for library in libraries if library["library"] == "mkl"]
        assert mkl["threads"] == torch.get_num_threads()
        assert mkl["version"] in torch.__config__.show()


def test_a_gpu_is_named_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "NVIDIA H100")
    assert environment()["gpu"] == "NVIDIA H100"


@pytest.mark.parametrize(
    ("path", "package"),
    [
        ("/v/lib/python3.11/site-packages/numpy.libs/libscipy_openblas64_.so", "numpy"),
        ("/v/lib/python3.11/site-packages/torch/lib/libopenblas.so.0", "torch"),
        (r"C:\v\Lib\site-packages\numpy.libs\libopenblas.dll", "numpy"),
        ("/usr/lib/x86_64-linux-gnu/libblas.so.3", None),
    ],
)
def test_a_library_is_put_down_to_its_package(
    monkeypatch: pytest.MonkeyPatch, path: str, package: str | None
) -> None:
    pool = {
        "user_api": "blas",
        "internal_api": "openblas",
        "version": "0.3",
        "architecture": "Zen",
        "num_threads": 3,
        "filepath": path,
    }
    monkeypatch.setattr(
        parity.environment, "threadpool_info", lambda: [pool, {"user_api": "openmp"}]
    )
    entry = {"library": "openblas", "version": "0.3", "kernel": "Zen", "threads": 3}
    expected = entry | {"loaded_by": package}
    monkeypatch.setitem(sys.modules, "torch", None)  # as if torch had not been imported
    assert environment()["blas"] == [expected]


OPENBLAS = [{"library": "openblas", "kernel": "Haswell"}]


def test_a_forced_openblas_kernel_is_warned_of() -> None:
    told = {"variables": {"OPENBLAS_CORETYPE": "Haswell"}, "blas": OPENBLAS}
    warning = blas_warning(told)
    assert warning is not None
    for word in ("OPENBLAS_CORETYPE=Haswell", "Haswell kernel", "unset"):
        assert word in warning


@pytest.mark.parametrize(
    "told",
    [
        {"variables": {}, "blas": OPENBLAS},
        {"variables": {"OPENBLAS_NUM_THREADS": "2"}, "blas": OPENBLAS},
        {
            "variables": {"OPENBLAS_CORETYPE": "Haswell"},
            "blas": [{"library": "mkl", "kernel": None}],
        },
        {},
    ],
)
def test_nothing_to_warn_of(told: dict[str, Any]) -> None:
    assert blas_warning(told) is None
