"""Fixed tolerances that projects judge gradients by, to be compared with the derived budget.

Where a project has tolerances for each dtype, they are used.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from parity.engines.protocol import Array


class Practice(NamedTuple):
    """|actual - expected| ≤ atol + rtol·|expected|.

    Attributes:
        name: whose practice it is.
        tolerances: (rtol, atol) by dtype.
    """

    name: str
    tolerances: dict[str, tuple[float, float]]

    def passes(self, actual: Mapping[str, Array], expected: Mapping[str, Array]) -> bool:
        """Return whether all gradients are close; NaN is close to NaN."""
        rtol, atol = self.tolerances[next(iter(expected.values())).dtype.name]
        return all(
            np.allclose(actual[n], expected[n], rtol=rtol, atol=atol, equal_nan=True)
            for n in expected
        )


def _both(rtol: float, atol: float) -> dict[str, tuple[float, float]]:
    return {"float32": (rtol, atol), "float64": (rtol, atol)}


PRACTICES = (
    # torch.testing.assert_close, defaults by dtype.
    Practice("torch assert_close", {"float32": (1.3e-6, 1e-5), "float64": (1e-7, 1e-7)}),
    # micrograd, test/test_engine.py: tol = 1e-6, absolute.
    Practice("micrograd's tests", _both(0.0, 1e-6)),
    # onnx.backend.test.runner: defaults of a test case.
    Practice("ONNX backend", _both(1e-3, 1e-7)),
    # tinygrad, test/test_ops.py: helper_test_op's grad_rtol, grad_atol.
    Practice("tinygrad gradients", _both(1e-3, 1e-4)),
    # jax.test_util.check_grads: default gradient tolerances by dtype, for rtol and atol.
    Practice("JAX check_grads", {"float32": (2e-3, 2e-3), "float64": (1e-5, 1e-5)}),
)
