"""Engines whose defects are shown on pages, made in processes of their own."""

from __future__ import annotations

import numpy as np

from minigrad.ops import elementwise
from parity.engines.adapters.minigrad import MinigradEngine
from tests.parity.case_engines import plant


class SwallowedNaN(MinigradEngine):
    """ReLU makes 0 of NaN."""

    def __init__(self) -> None:
        super().__init__()
        plant(elementwise.relu, lambda x: np.nan_to_num(np.maximum(0, x), posinf=np.inf))
