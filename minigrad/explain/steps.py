"""The steps of the page: what happened, one operation at a time, in the order it happened."""

import ast
import inspect
from itertools import groupby
from typing import Any

from minigrad import tape
from minigrad.explain import rule_source
from minigrad.explain.computation import Computation, Entry
from minigrad.explain.events import (
    Accumulated,
    Backward,
    Event,
    Forward,
    Operation,
    Swept,
    Updated,
    Zeroed,
)
from minigrad.explain.summary import Shown, group, maker, short
from minigrad.explain.table import shape_text
from minigrad.optim import SGD
from minigrad.tensor import backward

Step = dict[str, Any]
NO_GRADIENT, GATHERING, LEFT, ASIDE, UPDATED = (
    "no gradient yet", "gathering", "in .grad", "complete", "updated",
)  # fmt: skip
"""The states of a parameter's gradient."""


class Story:
    """Tells what happened in steps.

    Attributes:
        steps: what the page shows, ready to become JSON; arrays and source are numbers in `shown`.
    """

    def __init__(self, computation: Computation, entries: list[Entry]) -> None:
        self.steps: list[Step] = []
        self.shown = Shown()
        self._computation = computation
        self._told = set(entries)
        self._entry_of = {e.operation: e for e in computation.entries if e.operation is not None}
        self.parameters = [
            entry for entry in entries if entry.node is not None and not entry.is_operation
        ]
        self._values = {entry: self.shown.array(entry.value) for entry in self.parameters}
        self._gradients: dict[Entry, int | None] = dict.fromkeys(self.parameters)
        self._said = dict.fromkeys(self.parameters, NO_GRADIENT)
        self._begins = False
        for _, events in groupby(computation.events, self._key):
            self._tell(list(events))

    @staticmethod
    def _key(event: Event) -> Any:
        """Events of the same key, one after the other, are one step."""
        if isinstance(event, (Forward, Backward)):
            return type(event), id(event.operation)
        return (type(event), id(event)) if isinstance(event, Updated) else type(event)

    def _tell(self, events: list[Any]) -> None:
        first = events[0]
        if isinstance(first, Zeroed):
            self._zeroed(first)
        elif isinstance(first, Swept):
            self._begins = True
        elif isinstance(first, Forward):
            self._forward(first.operation)
        elif isinstance(first, Backward):
            if self._begins:
                self._begins = False
                self._seed(first)
            self._backward(events)
        elif isinstance(first, Accumulated):
            self._accumulated(events)
        else:
            self._updated(first)

    def _add(self, phase: str, title: str, says: list[str], **rest: Any) -> None:
        parameters = [
            [self._values[entry], self._gradients[entry], self._said[entry]]
            for entry in self.parameters
        ]
        step = {"phase": phase, "title": title, "says": says, "parameters": parameters}
        defaults: Step = {"entry": None, "line": None, "formulas": []}
        defaults |= {"alerts": [], "code": [], "groups": []}
        self.steps.append(defaults | step | rest)

    # ---- each kind of step ------------------------------------------------------------------

    def _zeroed(self, event: Zeroed) -> None:
        said = "no parameter had one" if not event.leaves else f"{len(event.leaves)} had one"
        self._add(
            "forward",
            "Forget the old gradients",
            [
                "backward() adds to what .grad holds, so optimizer.zero_grad() comes first. Here "
                f"{said}."
            ],
            code=[self.shown.code(rule_source.code_of(SGD.zero_grad))],
        )

    def _forward(self, operation: Operation) -> None:
        entry = self._entry_of[operation]
        if entry not in self._told:
            return
        assert entry.node is not None
        rule, plan = operation.rule, entry.node.plan
        names = rule_source.input_names(rule.forward, len(operation.inputs))
        kept = [("out", *names)[i] for i in plan.values]
        figure = self.shown.figure
        takes = list(map(figure, names, operation.inputs, entry.inputs))
        shapes = [f"{names[key - 1]}'s shape" for kind, key in plan.extras if kind == "shape"]
        tape_keeps = ", ".join([*kept, *shapes]) or "nothing"
        says = [
            f"{entry.place} computes a value of shape {shape_text(entry.shape)} from "
            f"{listed(entry.inputs)}, and leaves a node on the tape.",
            f"For the way back the node keeps: {tape_keeps}.",
        ]
        if operation.options:
            options = [f"{name} = {short(value)}" for name, value in operation.options.items()]
            says.append(f"Called with {', '.join(options)}.")
        self._add(
            "forward",
            f"{entry.place}, forward",
            says,
            entry=entry.number,
            line=line_of(entry),
            code=[self.shown.code(rule_source.code_of(rule.forward))],
            formulas=rule_source.formula_of(rule.forward, "out"),
            remark=rule_source.remark_of(rule.forward),
            groups=[
                group("takes", takes),
                group("makes", [figure("out", operation.output, entry)]),
            ],
        )

    def _seed(self, event: Backward) -> None:
        entry = self._entry_of[event.operation]
        one = event.grad_out.shape == () and float(event.grad_out) == 1
        arrived = self.shown.figure("∂out", event.grad_out, entry, "gradient")
        self._add(
            "backward",
            "The way back begins",
            [
                "The gradient of the result by itself is 1."
                if one
                else "The way back begins with the gradient that backward() was given.",
                "From here the sweep takes the youngest node that waits. All that used its value "
                "has had its turn by then, so its gradient is complete. The node's derivatives "
                "turn it into shares for its inputs, and shares for the same value add up.",
            ],
            entry=entry.number,
            code=[self.shown.code(rule_source.block_of(tape.sweep, ast.While, "heappop"))],
            groups=[group("arrives", [arrived])],
        )

    def _backward(self, events: list[Backward]) -> None:
        entry = self._entry_of[events[0].operation]
        operation, grad_out = events[0].operation, events[0].grad_out
        figure = self.shown.figure
        names = rule_source.input_names(operation.rule.forward, len(operation.inputs))
        needed: list[str] = []
        leaves, formulas, code, says, remarks, edges = [], [], [], [], [], []
        for event in events:
            parent, name = entry.inputs[event.position], names[event.position]
            share, total = self._computation.shares[id(event)]
            if event.grad.shape != share.shape:
                shapes = f"{shape_text(event.grad.shape)} to {shape_text(share.shape)}"
                says.append(f"{name} was broadcast: its share is summed from {shapes}.")
            if total is not share:
                says.append(f"{parent.name} has a share already: this one is added to it.")
            if parent in self._gradients:
                self._gradients[parent] = self.shown.array(total)
                self._said[parent] = GATHERING
            edges.append(parent.number)
            leaves.append(figure(f"∂{name}", share, parent, "gradient"))
            formulas += rule_source.formula_of(event.derivative, f"∂{name}")
            code.append(self.shown.code(rule_source.code_of(event.derivative)))
            remarks.append(rule_source.remark_of(event.derivative))
            needed += list(inspect.signature(event.derivative).parameters)[1:]
        reached = {event.position for event in events}
        without = [value for i, value in enumerate(entry.inputs) if i not in reached]
        if without:
            says.append(f"{listed(without)} needs no gradient.")
        values = {"out": operation.output, **dict(zip(names, operation.inputs, strict=True))}
        made = {"out": entry, **dict(zip(names, entry.inputs, strict=True))}
        kept = [
            figure(name, values[name], made[name])
            for name in dict.fromkeys(needed)
            if name in values
        ]
        if entry not in self._told:
            return
        arrived = figure("∂out", grad_out, entry, "gradient")
        self._add(
            "backward",
            f"{entry.place}, backward",
            [
                f"The gradient by what {entry.place} made is complete: ∂out. Its derivatives "
                f"turn it into {'a share' if len(events) == 1 else 'shares'} for "
                f"{listed([entry.inputs[event.position] for event in events])}.",
                *dict.fromkeys(says),
            ],
            entry=entry.number,
            edges=edges,
            line=line_of(entry),
            code=code,
            formulas=list(dict.fromkeys(formulas)),
            remark=" ".join(dict.fromkeys(filter(None, remarks))),
            groups=[
                group("arrives", [arrived]),
                group("kept since forward", kept),
                group("leaves", leaves),
            ],
        )

    def _accumulated(self, events: list[Accumulated]) -> None:
        aside = all(event.after is None for event in events)
        added = any(event.before is not None for event in events)
        for event in events:
            entry = self._computation.entry_of(event.leaf)
            if entry in self._gradients:
                values = event.added if event.after is None else event.after
                self._gradients[entry] = self.shown.array(values)
                self._said[entry] = ASIDE if event.after is None else LEFT
        says = (
            "Every gradient is complete. backward() would add them to .grad now; this page "
            "only looked, and has left .grad as it was."
            if aside
            else "Every gradient is complete, and backward() adds it to its parameter's .grad."
        )
        more = ["Some .grad held a gradient already: the sum is there now."] if added else []
        self._add(
            "backward",
            "The gradients are complete",
            [says, *more],
            code=[self.shown.code(rule_source.code_of(backward.accumulate))],
        )

    def _updated(self, event: Updated) -> None:
        entry = self._computation.entry_of(event.leaf)
        if entry not in self._gradients:
            return
        self._values[entry], self._said[entry] = self.shown.array(event.after), UPDATED
        options = event.options
        used = ["lr", *(n for n in ("momentum", "dampening", "weight_decay") if options.get(n))]
        figure = self.shown.figure
        takes = [
            figure("p", event.before, entry, "value", "before"),
            figure("g", event.grad, entry, "gradient", ".grad"),
        ]
        makes = [figure("p", event.after, entry, "updated", "after")]
        if event.buffer is not None:
            makes.insert(0, figure("b", event.buffer, entry, "buffer", "momentum, after"))
        self._add(
            "update",
            f"SGD: {entry.name}",
            [
                "The gradient points to where the loss grows: the parameter takes a step against "
                f"it, with {', '.join(f'{name} = {options[name]}' for name in used)}."
            ],
            entry=entry.number,
            code=[self.shown.code(rule_source.block_of(SGD.step, ast.For, "np.subtract"))],
            formulas=rule_source.formulas_of_sgd(options),
            groups=[group("takes", takes), group("makes", makes)],
        )


def line_of(entry: Entry) -> dict[str, Any] | None:
    """Return the user's line that made an entry; None if there is none."""
    line = entry.line
    return None if line is None else line._replace(file=str(line), line=0)._asdict()


def listed(values: list[Any]) -> str:
    """Return the names of what made them with commas, and with 'and' before the last."""
    *names, last = map(maker, values) if values else ["nothing"]
    return f"{', '.join(names)} and {last}" if names else last
