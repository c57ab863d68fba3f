import inspect
import json
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad
import minigrad.__main__ as command
from minigrad import nn, optim, tape
from minigrad.architectures import ARCHITECTURES, training
from minigrad.arrays.conversion import budgeted, reproducible
from minigrad.explain import Explanation, explain
from minigrad.explain.drawing import svg
from minigrad.explain.events import Accumulated, Updated
from minigrad.explain.graph import graph
from minigrad.explain.rule_source import formula_of, remark_of
from minigrad.explain.summary import as_table, block_means, digits, summary
from minigrad.explain.table import text
from minigrad.ops import RULES
from minigrad.ops.rule import Rule
from minigrad.tensor import Tensor
from minigrad.tensor import backward as sweeps

ROOT = Path(__file__).parents[2]


def rightfit() -> Explanation:
    return explain(training(ARCHITECTURES["rightfit"], seed=0))


def bits(tensor: Tensor | None) -> bytes | None:
    return None if tensor is None else np.asarray(tensor._array).tobytes()


# ---- explaining changes nothing ---------------------------------------------------------------


def trained(run: Callable[[Callable[[], Tensor]], Any], **options: Any) -> list[bytes | None]:
    """Parameters and gradients after three steps, each run by `run`."""
    minigrad.manual_seed(3)
    x, y = minigrad.randn(20, 3), minigrad.randn(20, 1)
    model = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 1))
    optimizer = optim.SGD(model.parameters(), lr=0.05, **options)

    def step() -> Tensor:
        optimizer.zero_grad()
        loss: Tensor = nn.MSELoss()(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    for _ in range(3):
        run(step)
    return [bits(part) for p in model.parameters() for part in (p.detach(), p.grad)]


@pytest.mark.parametrize("options", [{}, {"momentum": 0.9, "weight_decay": 0.1}])
def test_parameters_are_bit_identical(options: dict[str, Any]) -> None:
    plain = trained(lambda step: step(), **options)
    assert trained(lambda step: explain(step), **options) == plain
    assert trained(lambda step: explain(step).html(), **options) == plain
    assert trained(lambda step: repr(explain(step())), **options) == plain
    assert trained(lambda step: [step(), step()], **options) != plain  # a difference is seen


def test_gradients_are_left_alone() -> None:
    w = minigrad.tensor([1.0, 2.0], requires_grad=True)
    explanation = explain(lambda: (w * w).sum())
    assert w.grad is None
    np.testing.assert_array_equal(explanation.entries[0].gradient, [2.0, 4.0])
    (w * w).sum().backward()
    before = bits(w.grad)
    explain(lambda: (w * 3).sum())
    assert bits(w.grad) == before


def test_everything_is_put_back_even_after_an_error() -> None:
    def replaceable() -> list[Any]:
        methods = vars(Rule)["plan"], optim.SGD.step, optim.SGD.zero_grad
        return [*methods, tape.sweep, sweeps.accumulate]

    before = replaceable()

    def fails() -> Tensor:
        assert all(now is not then for now, then in zip(replaceable(), before, strict=True))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        explain(fails)
    assert all(now is then for now, then in zip(replaceable(), before, strict=True))


def test_a_rule_that_is_made_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reductions over some axes have a rule of their own, made when one is first called."""
    monkeypatch.setattr(RULES["mean"], "_twins", {})
    x = minigrad.ones(2, 3, requires_grad=True)
    explained = str(explain(lambda: x.mean(0).sum()))
    assert "mean" in explained
    assert RULES["mean"]._twins
    twin = RULES["mean"]._twins["MeanBackward1"]
    assert twin.plan((True,)) is twin._plans[True,], "it is no longer observed"


def test_another_thread_is_not_observed() -> None:
    w = minigrad.ones(2, requires_grad=True)

    def elsewhere() -> None:
        (w * 3).sum().backward()

    def computed() -> Tensor:
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        return (w * 2).sum()

    explanation = explain(computed)
    assert [entry.name for entry in explanation.entries] == ["w", "mul", "sum"]
    np.testing.assert_array_equal(explanation.entries[0].gradient, [2, 2])
    assert sum(isinstance(event, Accumulated) for event in explanation.events) == 1


# ---- what is shown is what the engine computed ------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_values_and_gradients_are_the_engine_s(seed: int) -> None:
    """On graphs with branches, broadcasting and reuse: every inner tensor's own `.grad`."""
    generator = np.random.default_rng(seed)
    leaves = [
        minigrad.tensor(generator.normal(size=shape), requires_grad=True)
        for shape in ((3, 4), (4,), (3, 1))
    ]
    made: list[Tensor] = []

    def computed() -> Tensor:
        made[:] = leaves
        for _ in range(8):
            i, j = generator.integers(len(made), size=2)
            operation = generator.integers(4)
            x = [made[i] + made[j], made[i] * made[j], made[i].tanh(), made[i] - 2][operation]
            x.retain_grad()
            made.append(x)
        loss = minigrad.stack([x.sum() for x in made]).mean()
        loss.backward()
        return loss

    explanation = explain(computed)
    entry_of = {entry.node: entry for entry in explanation.entries}
    for x in made:
        entry = entry_of[x._node]
        np.testing.assert_array_equal(entry.value, x._array)
        assert x.grad is not None
        assert entry.gradient is not None
        assert entry.gradient.tobytes() == x.grad._array.tobytes()


def test_shares_sum_to_the_gradient_in_every_bit() -> None:
    explanation = rightfit()
    parameters = [e for e in explanation.entries if e.node is not None and not e.is_operation]
    assert [entry.name for entry in parameters] == [
        f"{layer}.{kind}" for layer in (0, 2, 4) for kind in ("weight", "bias")
    ]
    accumulated = [event for event in explanation.events if isinstance(event, Accumulated)]
    assert len(accumulated) == 6
    for event in accumulated:
        entry = explanation.entry_of(event.leaf)
        assert entry is not None
        assert entry.gradient is not None
        assert event.after is not None
        assert entry.gradient.tobytes() == event.after.tobytes()
    for update in explanation.updates:
        assert isinstance(update, Updated)
        np.testing.assert_array_equal(update.after, update.before - update.grad * np.float32(0.01))
        entry = explanation.entry_of(update.leaf)
        assert entry is not None
        np.testing.assert_array_equal(entry.value, update.before)


def test_lines_layers_and_names() -> None:
    weight = minigrad.tensor([[1.0, 2.0]], requires_grad=True)
    data = minigrad.tensor([[3.0], [4.0]])

    def loss() -> Tensor:
        product = weight.matmul(data)
        return (product + 1).sum()

    explanation = explain(loss)
    names = [entry.name for entry in explanation.entries]
    assert names == ["weight", "data", "matmul", "add", "sum"]
    lines = [entry.line.text for entry in explanation.entries if entry.line is not None]
    assert lines == ["product = weight.matmul(data)", *["return (product + 1).sum()"] * 2]
    assert {entry.line.file for entry in explanation.entries if entry.line} == {__file__}
    layers = [e.operation.layer for e in rightfit().entries if e.operation is not None]
    assert layers == ["0", "1", "2", "3", "4", ""]


def test_own_module_s_forward_is_the_user_s_line() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(2, 1)

        def forward(self, x: Tensor) -> Any:
            hidden = self.inner(x)
            return hidden.sum()

    explanation = explain(Net(), minigrad.ones(3, 2))
    assert [entry.name for entry in explanation.entries][1:3] == ["inner.weight", "inner.bias"]
    linear, total = (entry for entry in explanation.entries if entry.is_operation)
    assert linear.line is not None
    assert linear.line.text == "hidden = self.inner(x)"
    assert total.line is not None
    assert total.line.text == "return hidden.sum()"


def test_a_layer_that_is_made_while_it_runs_has_no_name() -> None:
    class Net(nn.Module):
        def forward(self, x: Tensor) -> Any:
            return nn.Tanh()(x).sum()

    x = minigrad.ones(2, requires_grad=True)
    layers = [e.operation.layer for e in minigrad.explain(Net(), x).entries if e.operation]
    assert layers == ["", ""]


# ---- a tensor that exists already -------------------------------------------------------------


def test_tape_of_a_tensor_shows_what_it_still_has() -> None:
    w = minigrad.tensor([[1.0, 2.0]], requires_grad=True)
    loss = nn.functional.mse_loss(nn.functional.relu(w * 3), minigrad.zeros(1, 2))
    explanation = explain(loss)
    assert [entry.name for entry in explanation.entries] == [
        "leaf", "mul", "relu", "data", "mse_loss",
    ]  # fmt: skip
    leaf, product, relu, data, root = explanation.entries
    assert leaf.value is None  # nothing that is kept tells it: the factor is a number
    assert product.value is None
    np.testing.assert_array_equal(relu.value, [[3, 6]])
    np.testing.assert_array_equal(data.value, [[0, 0]])
    np.testing.assert_array_equal(root.value, 22.5)
    assert "ran unobserved" in repr(explanation)
    assert "released" not in repr(explanation)
    loss.backward()
    after = explain(loss)
    assert "released" in repr(after)
    assert after.entries[0].gradient is not None
    with pytest.raises(RuntimeError, match="was not observed: explain a function"):
        after.html()


def test_a_leaf_alone() -> None:
    assert "1 leaf" in repr(explain(minigrad.ones(2, requires_grad=True)))


def test_what_cannot_be_explained_is_refused() -> None:
    with pytest.raises(RuntimeError, match="does not require a gradient"):
        explain(minigrad.ones(2))
    with pytest.raises(TypeError, match="expected a Tensor or a function"):
        explain(3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="returned a float: return the tensor"):
        explain(lambda: 1.0)
    w = minigrad.ones(2, requires_grad=True)
    made = w.sum()
    with pytest.raises(RuntimeError, match="computed before"):
        explain(lambda: made)


def test_within_a_captured_step_it_is_refused() -> None:
    w = minigrad.ones(2, requires_grad=True)

    def step() -> Tensor:
        return (w * 2).sum()

    def explained() -> Tensor:
        explain(step)
        return step()

    with pytest.raises(RuntimeError, match=r"outside of minigrad\.capture"):
        minigrad.capture(explained)()
    captured = minigrad.capture(step)
    with pytest.raises(RuntimeError, match="requires_grad=True, before detach"):
        explain(captured)
    assert captured().item() == 4


# ---- the table --------------------------------------------------------------------------------


def test_table_in_one_line_and_in_sixty_columns() -> None:
    explanation = rightfit()
    wide, narrow = text(explanation, 160), text(explanation, 60)
    assert max(map(len, wide.splitlines())) <= 160
    assert max(map(len, narrow.splitlines())) <= 60
    (line,) = (line for line in wide.splitlines() if "mse_loss" in line)
    assert re.fullmatch(
        r"14 +mse_loss +scalar +#12 #13 +125\.7 +1 +architectures\.py:\d+  loss = criterion\(.*\)",
        line,
    )
    for said in ("0.weight", "16×16", "#9 #10 #11", "loss = criterion(prediction, y)"):
        assert said in wide
        assert said in narrow
    assert "6 operations, 6 leaves, 2 inputs without gradient." in wide


def test_a_notebook_shows_the_page_or_the_table() -> None:
    w = minigrad.ones(2, requires_grad=True)

    def compared() -> Tensor:
        return (w * (1 < 2)).sum()  # <script> & friends

    explanation = explain(compared)
    frame = explanation._repr_html_()
    assert frame.count("<") == 2
    (inside,) = re.findall('srcdoc="([^"]*)"', frame)
    assert unescape(inside) == explanation.html()
    assert "<title>compared, step by step</title>" in explanation.html()
    assert "lambda" in explain(partial(lambda x: x.sum(), w)).title
    explanation = explain(compared())
    explanation.title = "<b>"
    table = explanation._repr_html_()
    assert "&lt;b&gt;: 2 operations" in table
    assert table.count("<tr>") == 1 + 3
    assert "<svg" in table


def test_values_that_are_not_finite() -> None:
    w = minigrad.tensor([1.0, 0.0], requires_grad=True)
    with np.errstate(divide="ignore"):
        explanation = explain(lambda: w.log().sum())
    assert "0, 1 not finite" in text(explanation, 200)
    assert "not finite" in text(explain(lambda: (w * float("nan")).sum()), 200)
    assert '"-inf"' in explanation.html()


# ---- the steps of the page --------------------------------------------------------------------


def steps_of(explanation: Explanation) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The steps and the arrays that the page has in it."""
    page = explanation.html()
    data = json.loads(page.partition('id="data">')[2].partition("</script>")[0])
    return data["steps"], data["arrays"]


def test_steps_of_sharing_broadcasting_and_numbers() -> None:
    w = minigrad.tensor([1.0, 2.0], requires_grad=True)
    b = minigrad.ones(3, 1, requires_grad=True)

    def computed() -> Tensor:
        return (minigrad.cat([w * b, w * b * 2]) ** 2).sum()

    steps, arrays = steps_of(explain(computed))
    said = "\n".join(f"{step['title']}: {' '.join(step['says'])}" for step in steps)
    assert "x was broadcast: its share is summed from 3×2 to 2" in said
    assert "w has a share already: this one is added to it" in said
    assert "2 needs no gradient" in said
    assert "backward() would add them to .grad now" in said
    names = [f["name"] for step in steps for group in step["groups"] for f in group["figures"]]
    assert {"xs[0]", "∂xs[1]"} <= set(names)
    gathered = [arrays[step["parameters"][0][1]]["cells"] for step in steps[-3:]]
    assert gathered[-1] == [30.0, 60.0] != gathered[0]
    assert w.grad is None


def test_steps_with_momentum_and_a_gradient_that_was_there() -> None:
    w = minigrad.tensor([1.0, 2.0], requires_grad=True)
    optimizer = optim.SGD([w], lr=0.5, momentum=0.9)

    def step() -> Tensor:
        loss: Tensor = (w * w).sum()
        loss.backward()
        optimizer.step()
        return loss

    step()
    steps, arrays = steps_of(explain(step))
    *_, arrived, update = steps
    assert "Some .grad held a gradient already" in arrived["says"][1]
    assert "momentum = 0.9" in update["says"][0]
    assert [line[0] for line in update["formulas"]] == ["d", "b", "d", "p"]
    figures = [f for group in update["groups"] for f in group["figures"]]
    assert [f["name"] for f in figures] == ["p", "g", "b", "p"]
    assert arrays[figures[1]["array"]]["cells"] == [2.0, 4.0]
    assert arrays[figures[-1]["array"]]["cells"] == [-1.9, -3.8]


def test_steps_of_a_gradient_s_gradient() -> None:
    w = minigrad.tensor([2.0, 3.0], requires_grad=True)

    def penalty() -> Any:
        (grad,) = minigrad.autograd.grad((w**3).sum(), w, create_graph=True)
        return (grad * grad).sum()

    explanation = explain(penalty)
    entry = next(entry for entry in explanation.entries if entry.name == "w")
    expected = 36 * np.array([2.0, 3.0]) ** 3  # d/dw Σ (3w²)²
    np.testing.assert_allclose(entry.gradient, expected, rtol=1e-6)  # type: ignore[arg-type]
    steps, _ = steps_of(explanation)
    assert [step["phase"] for step in steps].count("backward") > 4


def test_result_with_axes_is_shown_without_a_way_back() -> None:
    w = minigrad.tensor([2.0, 3.0], requires_grad=True)
    explanation = explain(lambda: w * 2)
    steps, _ = steps_of(explanation)
    assert [step["phase"] for step in steps] == ["forward"]
    assert "several elements" in repr(explanation)


def test_steps_of_indexing_choosing_and_changes_in_place() -> None:
    w = minigrad.tensor([[1.0, -2.0], [3.0, 4.0]], requires_grad=True)

    def computed() -> Tensor:
        x = w[minigrad.tensor([0, 1, 1])] * 2
        x[0] = 5.0
        x.mul_(3)
        return minigrad.where(x > 0, x, 0.5 * x).reshape(-1).sum()

    plain = computed()
    explanation = explain(computed)
    assert explanation.root.value == plain.item()
    plain.backward()
    (entry,) = (entry for entry in explanation.entries if entry.name == "w")
    assert w.grad is not None
    np.testing.assert_array_equal(entry.gradient, w.grad._array)
    steps, _ = steps_of(explanation)
    assert any("Called with indices = " in " ".join(step["says"]) for step in steps)


@pytest.mark.parametrize("convert", [budgeted, reproducible])
def test_other_array_types(convert: Any) -> None:
    w = convert(minigrad.tensor([1.0, 2.0], requires_grad=True))
    explanation = explain(lambda: (w * w).sum())
    np.testing.assert_array_equal(explanation.entries[0].gradient, [2, 4])
    steps, arrays = steps_of(explanation)
    assert len(steps) == 6
    assert [5.0] in [array["cells"] for array in arrays]


# ---- huge graphs ------------------------------------------------------------------------------


def test_huge_graph_is_bounded_and_says_so() -> None:
    w = minigrad.ones(3, requires_grad=True)

    def deep() -> Tensor:
        x = w
        for _ in range(3000):
            x = x * 1.001
        return x.sum()

    explanation = explain(deep)
    assert len(explanation.entries) == 3002
    assert "2,802 values left out" in text(explanation, 100)
    assert len(text(explanation, 100).splitlines()) < 210
    drawn = graph(explanation)
    assert len(drawn.boxes) == 201
    assert any("2,801 boxes in the middle are left out" in note for note in drawn.notes)
    page = explanation.html()
    assert len(page) < 1_500_000
    assert "2,802 values in the middle have no step of their own" in page
    assert "left out" in explanation.dot()


# ---- the graph --------------------------------------------------------------------------------


def test_graph_of_the_three_networks() -> None:
    assert len(graph(rightfit()).boxes) == 14
    drawn = graph(explain(training(ARCHITECTURES["overfit"])))
    titles = [box.title for box in drawn.boxes]
    assert titles[:4] == ["x", "0 Linear", "relu", "2 Linear"]
    assert len(titles) == 14
    assert drawn.boxes[1].detail == "weight + bias"


def test_rows_follow_the_data_and_boxes_do_not_overlap() -> None:
    from minigrad.explain.drawing import _place

    def branching() -> Tensor:
        a = minigrad.ones(3, requires_grad=True)
        b = minigrad.ones(3, requires_grad=True)
        x, y, z = a * b, a + b, (a - b) * a
        return (x * y + z * x + a).sum()

    for explanation in (rightfit(), explain(branching)):
        drawn = graph(explanation)
        for edge in drawn.edges:
            assert edge.source.rank < edge.target.rank
        places = _place(drawn)
        assert len(set(places.values())) == len(places)
        assert all(place.x >= 0 <= place.y for place in places.values())


def test_dot_names_every_box_and_edge() -> None:
    explanation = rightfit()
    dot, drawn = explanation.dot(), graph(explanation)
    assert dot.startswith("digraph {")
    assert len(re.findall(r"^  n\d+ \[shape=", dot, re.MULTILINE)) == len(drawn.boxes)
    forward = re.findall(r'^  (n\d+) -> (n\d+) \[label="([^"]*)"\];$', dot, re.MULTILINE)
    assert len(forward) == len(drawn.edges)
    assert ("n2", "n4", "16×1") in forward
    assert "style=dashed" in dot
    assert dot.count("{") == dot.count("}") == 1


# ---- sources ----------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES.values(), ids=str)
def test_every_rule_has_formulas(rule: Rule) -> None:
    for function in (rule.forward, *rule._backwards.values()):
        lines = formula_of(function, "result")
        assert lines
        assert any(line.startswith("result = ") for line in lines)
        assert "np." not in "".join(line for line in lines if line.startswith("result = "))


@pytest.mark.parametrize(
    ("rule", "input", "formula"),
    [
        ("linear", "weight", ["∂ = ∂outᵀ @ x"]),
        ("linear", "bias", ["∂ = Σ ∂out over axis 0"]),
        ("relu", "x", ["∂ = ∂out where out ≠ 0, else 0"]),
        ("div", "y", ["∂ = −∂out · x/y²"]),
        ("mse_loss", "x", ["∂ = ∂out · 2(x − y)/n", "n: how many elements are combined"]),
        ("pow", "x", ["∂ = 0 where y = 0, else ∂out · y · x ^ (y − 1)"]),
        ("sigmoid", "x", ["∂ = ∂out · out · (1 − out)"]),
        ("sum", "x", ["∂ = ∂out repeated to x's shape"]),
        ("tanh", "x", ["∂ = ∂out · (1 − out²)"]),
        ("sub", "y", ["∂ = −∂out"]),
    ],
)
def test_formulas(rule: str, input: str, formula: list[str]) -> None:
    assert formula_of(RULES[rule]._backwards[input], "∂") == formula


def test_parentheses_are_kept_where_they_count() -> None:
    def f(x: Any, y: Any) -> Any:
        return np.subtract(x, np.subtract(y, np.multiply(np.add(x, y), np.divide(x, (y * x)))))

    assert formula_of(f, "f") == ["f = x − (y − x · (x + y)/(y · x))"]


SIGNS = {"∂out": "grad_out", "·": "*", "−": "-", "²": "**2", "2(": "2*(", "^": "**"}


@pytest.mark.parametrize(
    "name",
    [
        *["add", "sub", "mul", "div", "reciprocal", "scale", "neg", "exp", "log", "sqrt", "sin"],
        *["cos", "tanh", "sigmoid", "squared_error", "mse_loss", "dot"],
    ],
)
def test_formulas_say_what_the_rules_compute(name: str) -> None:
    """However their products are put."""
    rng = np.random.default_rng(0)
    known: dict[str, Any] = {"factor": np.float64(3), "n": np.float64(5)}
    known |= {each: rng.uniform(0.5, 2, 5) for each in ("x", "y", "grad_out", "out")}
    for function in (RULES[name].forward, *RULES[name]._backwards.values()):
        said = formula_of(function, "f")[0].removeprefix("f = ")
        said = re.sub(r"√(\w+)", r"sqrt(\1)", said).replace("Σ ", "sum")
        for sign, python in SIGNS.items():
            said = said.replace(sign, python)
        said = re.sub(r"sum(\(.*?\)\*\*2)", r"sum(\1)", said)
        needed = {each: known[each] for each in inspect.signature(function).parameters}
        np.testing.assert_allclose(eval(said, vars(np) | known), function(**needed), rtol=1e-14)


def test_remarks() -> None:
    assert remark_of(RULES["linear"].forward).startswith("x·weightᵀ + bias")
    assert "every row" in remark_of(RULES["linear"]._backwards["bias"])
    assert remark_of(RULES["add"].forward) == ""


# ---- arrays on the page -----------------------------------------------------------------------


def test_block_means() -> None:
    values = np.arange(100 * 64, dtype=np.float32).reshape(100, 64)
    means, rows, columns = block_means(as_table(values))
    assert means.shape == (24, 24)
    assert (rows[0], rows[-1], columns[-1]) == (0, 100, 64)
    assert set(np.diff(rows)) == {4, 5}
    for i, j in ((0, 0), (5, 23), (23, 7)):
        block = values[rows[i] : rows[i + 1], columns[j] : columns[j + 1]]
        assert means[i, j] == pytest.approx(block.astype(float).mean(), rel=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_digits_give_back_the_value(dtype: Any) -> None:
    values = np.random.default_rng(0).normal(size=500).astype(dtype) * dtype(1e-12)
    assert all(dtype(digits(value)) == value for value in values)
    assert digits(dtype(-0.0)) == "-0.0"


def test_summary_of_odd_shapes() -> None:
    assert summary(np.array(3.0))["size"] == [1, 1]
    assert summary(np.zeros((0, 4)))["size"] == [0, 4]
    assert summary(np.zeros((2, 3, 4)))["size"] == [6, 4]
    assert summary(np.ones((4, 5), bool))["low"] == "True"
    assert summary(np.array([np.nan, 1, np.inf]))["strange"] == 2
    assert summary(np.full(3000, np.nan))["low"] == ""


# ---- the command ------------------------------------------------------------------------------


def test_command_prints_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["explain", "underfit", "--epoch", "3", "--seed", "0"]) == 0
    printed = capsys.readouterr().out
    assert "Training step 3 of underfit (1-1-1), seed 0" in printed
    assert "mse_loss" in printed


def test_epoch_is_the_one_that_is_trained(capsys: pytest.CaptureFixture[str]) -> None:
    losses = []
    for epoch in (1, 2):
        step = training(ARCHITECTURES["underfit"], epoch=epoch)
        losses.append([step().item(), step().item()])
    assert losses[0][1] == losses[1][0] < losses[0][0]


def test_command_writes_page_and_dot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.html"
    assert command.main(["explain", "1-2-1", "--html", str(page), "--dot"]) == 0
    assert capsys.readouterr().out.startswith("digraph {")
    assert "Training step 1 of 1-2-1, seed 9" in page.read_text("utf-8")
    assert list(tmp_path.iterdir()) == [page]


def test_command_explains_a_function(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "import minigrad as torch\n"
        "w = torch.tensor([1.0, 2.0], requires_grad=True)\n"
        "def loss():\n"
        "    return (w * w).sum()\n"
    )
    run = [sys.executable, "-m", "minigrad", "explain", "mine:loss"]
    finished = subprocess.run(
        run, cwd=tmp_path, env={"PYTHONPATH": str(ROOT), "COLUMNS": "120"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "mine.py:4  return (w * w).sum()" in finished.stdout


def test_command_says_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--version"]) == 0
    assert capsys.readouterr().out == f"minigrad {minigrad.__version__}\n"


def test_what_passes_by_boxes_is_drawn_beside_them() -> None:
    """As in a residual network: no line lies behind a box, and no label is cut off."""
    w = minigrad.ones(3, requires_grad=True)

    def skipping() -> Tensor:
        x = w * 2
        return (x + (x.exp().relu() * x)).sum()

    drawing = svg(graph(explain(skipping)))
    boxes = {float(x) for x in re.findall(r'<rect x="([\d.-]+)"', drawing)}
    lanes = [float(x) for x in re.findall(r"L([\d.-]+) [\d.-]+C", drawing)]
    assert len(lanes) == 4  # values and gradients of two, each with a lane of its own
    assert max(lanes) < min(boxes)
    assert len(set(lanes)) == 4
    left = re.search(r'viewBox="([\d.-]+) ', drawing)
    assert left is not None
    assert float(left[1]) < min(lanes) - 40
    assert (
        len(re.findall(r'class="label[^>]*>3<', drawing)) == 6
    )  # each value has its shape beside it once


def test_an_operation_stands_below_its_own_data() -> None:
    from minigrad.explain.drawing import _place

    a, b = (minigrad.ones(3, requires_grad=True) for _ in range(2))
    drawn = graph(explain(lambda: minigrad.cat([a.exp(), b.exp()]).sum()))
    places = {box: place.x for box, place in _place(drawn).items()}
    first, second = (box for box in drawn.boxes if box.title == "exp")
    assert places[first] < places[second]
    assert [places[box] for box in drawn.boxes if box.kind == "leaf"] == [
        places[first],
        places[second],
    ]
