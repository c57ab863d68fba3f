"""Recording, and what comes of it: switches, hooks, backward, derivatives of derivatives."""

from random import Random

import torch
from hypothesis.stateful import rule

from tests.minigrad.machine.operations import Operations
from tests.minigrad.machine.pool import options
from tests.minigrad.machine.words import randoms

FLAGS = ["True", "False"]
HOOKS = ["lambda g: g * 2", "lambda g: g.clone()", "lambda g: None", "lambda g: g.detach()",
         "seen.append", "seen.append", "lambda g: g.sum()", "lambda g: g * g", "lambda g: 1 / 0",
         "lambda g: g.mul_(2)", "lambda g: t0"]  # fmt: skip


def is_recorded(t: torch.Tensor) -> bool:
    return t.requires_grad


def is_result(t: torch.Tensor) -> bool:
    return t.grad_fn is not None


class Gradients(Operations):
    """Everything about gradients."""

    @rule(r=randoms)
    def switched(self, r: Random) -> None:
        t = self.tensor(r, lambda t: t.is_leaf and t.is_floating_point())
        flag = "True" if r.randrange(3) else "False"
        self.run(r.choice([f"{t}.requires_grad_({flag})", f"{t}.requires_grad = {flag}"]))

    @rule(r=randoms)
    def mode(self, r: Random) -> None:
        """Begin a block, or end the last one: blocks begin and end where they like."""
        if "block" in self.names and r.randrange(2):
            self.run("block.__exit__(None, None, None); del block")
        elif "block" not in self.names:
            mode = r.choice(["no_grad()", "no_grad()", "enable_grad()", "set_grad_enabled(True)"])
            self.run(f"block = torch.{mode}; block.__enter__()")
        else:
            self.run(f"torch.set_grad_enabled({r.choice(FLAGS)})")

    @rule(r=randoms)
    def kept(self, r: Random) -> None:
        """Retain a gradient, and then perhaps change its tensor."""
        t = self.tensor(r, is_result)
        self.run(f"{t}.retain_grad()")
        if r.randrange(2):
            self.run(self.change(r, t))

    @rule(r=randoms)
    def hooked(self, r: Random) -> None:
        if "seen" not in self.names:
            self.run("seen = []")
        if "hook" in self.names and r.randrange(3) == 0:
            self.run("hook.remove()")
        else:
            t = self.tensor(r, is_recorded)
            self.run(f"hook = {t}.register_hook({r.choice(HOOKS)})")

    @rule(r=randoms)
    def grad_set(self, r: Random) -> None:
        t = self.tensor(r, lambda t: t.grad is not None if t.is_leaf else False)
        shape = self.value(t).shape
        self.run(r.choice([
            f"{t}.grad = None",
            f"{t}.grad = {self.tensor(r, lambda t: t.shape == shape)}",
            f"{self.new(r)} = {t}.grad",
            f"{t}.grad.zero_()",
            f"{t}.grad",
        ]))  # fmt: skip

    # ---- backward ---------------------------------------------------------------------------

    def scalar(self, r: Random, t: str) -> str:
        """Return an expression of one element, with derivatives that are not constant."""
        return r.choice(
            [f"{t}.sum()", f"({t} * {t}).sum()", f"({t} ** 3).mean()", f"({t}.sum() * 2)"]
        )

    @rule(r=randoms)
    def backward(self, r: Random) -> None:
        t = self.tensor(r, is_recorded)
        shape = self.value(t).shape
        more = options(r, retain_graph=[*FLAGS, "None"], create_graph=["True", "False", "False"],
                       inputs=lambda: self.sources(r))  # fmt: skip
        gradient = r.choice(
            [f"torch.ones_like({t})", self.tensor(r, lambda t: t.shape == shape), ""]
        )
        call = f"{t}.backward({gradient}{more if gradient else more[2:]})"
        if r.randrange(3):
            call = f"{self.scalar(r, t)}.backward({more[2:]})"
        elif r.randrange(3) == 0:
            call = f"torch.autograd.backward({t}{gradient and ', ' + gradient}{more})"
        for _ in range(r.choice([1, 1, 2])):
            self.run(call)

    def sources(self, r: Random) -> str:
        t, u = self.tensor(r, is_recorded), self.tensor(r, is_recorded)
        return r.choice(
            [t, f"[{t}]", f"[{t}, {u}]", f"({t}, {t})", "[]"] if r.randrange(4) else [t]
        )

    @rule(r=randoms)
    def grad(self, r: Random) -> None:
        t, by = self.tensor(r, is_recorded), self.sources(r)
        more = options(r, retain_graph=FLAGS, allow_unused=["True", "True", "False"],
                       materialize_grads=FLAGS)  # fmt: skip
        if r.randrange(3):
            more += f", create_graph={r.choice(['True', 'True', 'False'])}"
        output = self.scalar(r, t) if r.randrange(4) else t
        if output == t and r.randrange(2):
            shape = self.value(t).shape
            more = f", {self.tensor(r, lambda t: t.shape == shape)}{more}"
        self.run(f"grads = torch.autograd.grad({output}, {by}{more})")
        found = [i for i, g in enumerate(self.names.get("grads", ())) if g is not None]
        if found and r.randrange(4):
            self.run(f"{self.new(r)} = grads[{r.choice(found)}]")

    def made_of(self, r: Random, x: str) -> str:
        """Return an operation on a tensor; which has to do with its derivatives is up to it."""
        other = self.operand(r, x)
        return r.choice([
            x, f"{x} ** {r.choice(['1', '2', '3', '4', '0.5'])}", f"{x}.relu()", f"{x}.abs()",
            f"{x}.square()", f"{x} * {x}", f"{x}.tanh()", f"2 / {x}", f"{x} * {other}",
            f"{x}[{self.key(r, self.value(x).shape)}]", self.view_of(r, x),
            f"{x}.add({other}, alpha=2)", f"torch.where({x} > 0, {x}, {other})",
            f"{x}.clone().{r.choice(['fill_', 'copy_', 'mul_', 'add_'])}({other})",
            f"torch.zeros_like({x}).{r.choice(['copy_', 'add_'])}({x})", f"{x} / {other}",
        ])  # fmt: skip

    @rule(r=randoms)
    def twice(self, r: Random) -> None:
        """Run backward twice from one operation, perhaps after a change of what it was made of."""
        x = self.tensor(r, is_result if r.randrange(2) else is_recorded)
        self.run(f"b0 = {self.made_of(r, x)}")
        if r.randrange(3) == 0:
            self.run(self.change(r, x))
        for _ in range(2):
            self.run("b0.backward(torch.ones_like(b0))")

    @rule(r=randoms)
    def derivatives(self, r: Random) -> None:
        """Take a first, second and third derivative, as long as there is a path."""
        x = self.tensor(r, is_recorded)
        y = self.made_of(r, r.choice([x, x, self.tensor(r, is_result)]))
        self.run(f"d0 = ({y}).sum()")
        for order in range(1, 4):
            more = ", allow_unused=True" if r.randrange(3) == 0 else ""
            self.run(
                f"d{order}, = torch.autograd.grad(d{order - 1}.sum(), {x}, create_graph=True{more})"
            )
            if self.twins.theirs.error is not None or self.names.get(f"d{order}") is None:
                return

    @rule(r=randoms)
    def functional(self, r: Random) -> None:
        t = self.tensor(r, lambda t: t.is_floating_point())
        name = r.choice(["jacobian", "hessian", "vjp", "jvp", "hvp", "vhp"])
        y = r.choice([f"x * {self.operand(r, t)}", "x.relu()", "x ** 3", "x.tanh()", "x * x"])
        vector = f", {r.choice([t, f'torch.ones_like({t})'])}" if name[-1] == "p" else ""
        more = options(r, create_graph=FLAGS, strict=FLAGS)
        y = f"({y}).sum()" if name in ("hessian", "hvp", "vhp") or r.randrange(2) else y
        self.run(f"f0 = torch.autograd.functional.{name}(lambda x: {y}, {t}{vector}{more})")
