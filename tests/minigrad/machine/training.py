"""Modules and the optimiser."""

from random import Random

import torch
from hypothesis.stateful import rule

from tests.minigrad.machine.gradients import FLAGS, Gradients
from tests.minigrad.machine.pool import options
from tests.minigrad.machine.words import randoms

MODULES = ["m0", "m1", "m2"]
ACTIVATIONS = [
    *("ReLU()", "ReLU()", "Tanh()", "Sigmoid()", "ReLU(inplace=True)", "LeakyReLU(0.5)"),
    *("Softplus()", "Identity()", "Flatten(0)"),
]


def is_leaf(t: torch.Tensor) -> bool:
    return t.is_leaf and t.is_floating_point()


class Training(Gradients):
    """Layers that are frozen, shared, copied, saved; and SGD with every option."""

    def module(self, r: Random) -> str:
        if not (known := self.of(torch.nn.Module)):
            known = [r.choice(MODULES)]
            self.run(f"{known[0]} = torch.nn.Linear(2, 2)")
        return r.choice(known)

    @rule(r=randoms)
    def made(self, r: Random) -> None:
        m = self.module(r)
        sizes = f"{r.choice([1, 2, 3])}, {r.choice([1, 2, 3])}"
        layer = f"torch.nn.Linear({sizes}{options(r, bias=FLAGS, dtype=lambda: self.dtype(r))})"
        activation = f"torch.nn.{r.choice(ACTIVATIONS)}"
        self.run(f"{r.choice(MODULES)} = " + r.choice([
            layer, layer, f"torch.nn.Sequential({layer}, {activation})",
            f"torch.nn.Sequential({m}, {activation}, {m})", "torch.nn.MSELoss()",
            f"copy.deepcopy({m})", f"pickle.loads(pickle.dumps({m}))",
            f"torch.nn.Sequential(torch.nn.Linear(2, 2), {m})",
            f"torch.nn.ModuleList([{m}, {layer}])",
            f"torch.nn.{r.choice(['L1Loss', 'HuberLoss', 'SmoothL1Loss'])}()",
        ]))  # fmt: skip

    def input_of(self, r: Random, m: str) -> str:
        """Return a tensor whose last axis fits the first layer of a module."""
        weights = [p.shape[-1:] for p in self.value(m).parameters()]
        wanted = weights[0] if weights else (2,)
        return self.tensor(r, lambda t: t.shape[-1:] == wanted and t.is_floating_point())

    @rule(r=randoms)
    def called(self, r: Random) -> None:
        m = self.module(r)
        t = self.input_of(r, m)
        call = f"{m}({t}, {self.tensor(r)})" if r.randrange(9) == 0 else f"{m}({t})"
        self.assigned(r, call)

    @rule(r=randoms)
    def module_changed(self, r: Random) -> None:
        m, other = self.module(r), self.module(r)
        known = [n for n in MODULES if n in self.names and not self.is_within(m, n)]
        apart = r.choice(known or ["torch.nn.ReLU()"])  # no module is a part of itself
        parameter = f"torch.nn.Parameter({self.tensor(r)})"
        name = r.choice(["weight", "bias", "bias"])
        self.run(r.choice([
            f"{m}.requires_grad_({r.choice(FLAGS)})", f"{m}.requires_grad_(False)",
            f"{m}.zero_grad({r.choice(['', '', 'False', 'True', 'set_to_none=False'])})",
            f"{m}.load_state_dict({other}.state_dict(){options(r, strict=FLAGS)})",
            f"{m}.{r.choice(['double', 'float', 'eval', 'train'])}()", f"{m}.to({self.dtype(r)})",
            f"{m}.{name} = {parameter}", f"{m}.{name} = None",
            f"{m}._parameters['{name}'] = {parameter}",
            f"{m}.{name} = {self.tensor(r)}", f"{m}.register_parameter('{name}', {parameter})",
            f"{m}.register_buffer('note', {self.tensor(r)})", f"p0 = [*{m}.buffers()]",
            f"p0 = torch.nn.utils.clip_grad_norm_({m}.parameters(), {r.choice(['1', '0.5'])})",
            f"torch.nn.utils.clip_grad_value_({m}.parameters(), 0.5)",
            f"h0 = {m}.register_forward_hook(lambda m, x, y: {r.choice(['y * 2', 'None'])})",
            f"{m}.append({apart})", f"{m}[0] = {apart}",
            f"del {m}.{name}", f"saved = {m}.state_dict({r.choice(['', 'keep_vars=True'])})",
            f"{m}.load_state_dict(saved)", f"saved = pickle.loads(pickle.dumps({m}.state_dict()))",
            f"p0 = [name for name, _ in {m}.named_parameters()]", f"p0 = repr({m})",
        ]))  # fmt: skip

    def is_within(self, part: str, whole: str) -> bool:
        return self.value(part) in self.value(whole).modules()

    @rule(r=randoms)
    def trained_by(self, r: Random) -> None:
        self.run(f"o{r.randrange(2)} = torch.optim.SGD({self.params(r)}{self.sgd(r)})")

    def params(self, r: Random) -> str:
        m, t = self.module(r), self.tensor(r, is_leaf)
        u = self.tensor(r, is_leaf)
        return r.choice([
            f"{m}.parameters()", f"[{t}]", f"[{t}, {u}]", f"[{t}, {t}]",
            f"[{{'params': [{t}]{self.group(r)}}}, {{'params': {m}.parameters(){self.group(r)}}}]",
            f"[{{'params': [{t}, {u}]{self.group(r)}}}]", f"[*{m}.parameters(), {t}, {t}]",
        ])  # fmt: skip

    def sgd(self, r: Random) -> str:
        return options(r, lr=["0.5", "0.1", "1", "torch.tensor(0.5)", "-1"],
                       momentum=["0.5", "0.9", "0.5", "0"], dampening=["0.25", "0", "0.5"],
                       weight_decay=["0.5", "0.1", "0"], nesterov=FLAGS,
                       maximize=FLAGS)  # fmt: skip

    def group(self, r: Random) -> str:
        found = self.sgd(r)
        for name in ["lr", "momentum", "dampening", "weight_decay", "nesterov", "maximize"]:
            found = found.replace(f"{name}=", f"'{name}': ")
        return found

    def optimizer(self, r: Random) -> str:
        if not (known := self.of(torch.optim.Optimizer)):
            known = ["o0"]
            self.run(f"o0 = torch.optim.SGD({self.module(r)}.parameters(), lr=0.5)")
        return r.choice(known)

    @rule(r=randoms)
    def step(self, r: Random) -> None:
        o = self.optimizer(r)
        self.run(
            f"{o}.step()"
            if r.randrange(4)
            else f"p0 = {o}.step(lambda: {self.scalar(r, self.tensor(r))})"
        )

    @rule(r=randoms)
    def optimizer_changed(self, r: Random) -> None:
        o, other, t = self.optimizer(r), self.optimizer(r), self.tensor(r, is_leaf)
        self.run(r.choice([
            f"{o}.zero_grad({r.choice(['', '', 'False', 'set_to_none=False'])})",
            f"{o}.zero_grad({r.choice(['', 'set_to_none=False'])})",
            f"{o}.param_groups[0]['{r.choice(['lr', 'momentum', 'weight_decay'])}'] = 0.25",
            f"{o}.add_param_group({{'params': {t}{self.group(r)}}})",
            f"{o}.load_state_dict({other}.state_dict())", f"{o} = copy.deepcopy({o})",
            f"p0 = {o}.state_dict()", f"p0 = repr({o})",
        ]))  # fmt: skip

    @rule(r=randoms)
    def trained(self, r: Random) -> None:
        """An ordinary training step, in three statements."""
        o, m = self.optimizer(r), self.module(r)
        self.run(f"{self.new(r)} = {m}({self.input_of(r, m)})")
        t = self.tensor(r, is_leaf)
        if o in self.names and r.randrange(3):
            group = f"{o}.param_groups[{r.randrange(len(self.value(o).param_groups))}]['params']"
            if size := len(self.value(group)):
                t = f"{group}[{r.randrange(size)}]"
        self.run(f"{self.scalar(r, t)}.backward()")
        self.run(f"{o}.step()")
