"""Random expression graphs: three orders of derivatives, or the exception, of torch."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import minigrad
from tests.minigrad.agreement import as_array
from tests.minigrad.operations import FUZZ
from tests.minigrad.random_graphs import Graph, random_graph
from tests.minigrad.test_operations import mul, plant

GRAPHS = 10_000 if FUZZ else 100
CHUNKS = 10 if FUZZ else 5

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def outcome(graph: Graph, m: Any) -> Any:
    try:
        return graph.run(m)
    except (RuntimeError, IndexError, TypeError, ValueError) as error:
        return error


def check(seed: int) -> bool:
    """Fail unless both engines agree on the graph of this seed; return whether it is valid."""
    graph = random_graph(seed)
    actual, expected = outcome(graph, minigrad), outcome(graph, torch)
    where = f"seed {seed}: {'; '.join(graph.text)}"
    if isinstance(expected, Exception) or isinstance(actual, Exception):
        assert type(actual) is type(expected), f"{where}\n{actual!r}\n{expected!r}"
        return False
    for order, (ours, theirs) in enumerate(zip(actual, expected, strict=True)):
        for i, (a, e) in enumerate(zip(ours, theirs, strict=True)):
            x, y = (np.zeros(()) if g is None else as_array(g) for g in (a, e))
            scale = max(1.0, float(np.max(np.abs(y), initial=0)))
            np.testing.assert_allclose(
                x, y, rtol=1e-8, atol=1e-9 * scale, err_msg=f"derivative {order} by {i} of {where}"
            )
    return True


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_random_graphs(chunk: int, record_property: Callable[[str, Any], None]) -> None:
    seeds = range(chunk, GRAPHS, CHUNKS)
    valid = [check(seed) for seed in seeds]
    record_property("graphs", len(valid))
    record_property("valid_graphs", sum(valid))
    assert sum(valid) > 0.5 * len(seeds), "too few graphs are valid to show anything"


def test_graphs_are_various() -> None:
    graphs = [random_graph(seed) for seed in range(300)]
    steps = [len(graph.steps) for graph in graphs]
    assert max(steps) > 25
    names = {text.split()[0] for graph in graphs for text in graph.text}
    assert names >= {"matmul", "index", "add_", "assign", "amax", "transpose", "where", "pow"}
    assert random_graph(7).text == random_graph(7).text


def test_a_wrong_derivative_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def slightly_wrong(grad_out: Any, x: Any) -> Any:
        return np.multiply(np.multiply(grad_out, x), 1 + 1e-6)

    plant(monkeypatch, mul, slightly_wrong)
    with pytest.raises(AssertionError, match="seed"):
        for seed in range(20):
            check(seed)
