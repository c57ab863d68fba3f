"""Operations, in place or not."""

from random import Random

import torch
from hypothesis.stateful import rule

from tests.minigrad.machine.pool import fits_into, options
from tests.minigrad.machine.views import Views
from tests.minigrad.machine.words import randoms

UNARY = ["neg", "abs", "square", "relu", "clone", "exp", "log", "sqrt", "tanh", "sigmoid"]
UNARY += ["sin", "cos", "isnan", "isfinite"]
BINARY = [
    "add",
    "sub",
    "mul",
    "div",
    "pow",
    "maximum",
    "minimum",
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
]
OPERATORS = ["+", "-", "*", "*", "/", "**", "==", "!=", "<", "<=", ">", ">="]
EXPONENTS = ["0", "1", "2", "3", "4", "-1", "0.5", "1.0", "2.0", "3.0", "-2", "True"]
IN_PLACE = [
    "add_",
    "sub_",
    "mul_",
    "mul_",
    "div_",
    "copy_",
    "fill_",
    "zero_",
    "uniform_",
    "normal_",
]
REDUCTIONS = ["sum", "mean", "amax", "amin", "any", "all", "std", "var", "norm"]


class Operations(Views):
    """Operations on what there is."""

    @rule(r=randoms)
    def unary(self, r: Random) -> None:
        t, name = self.seen(r), r.choice(UNARY)
        self.assigned(r, r.choice([f"{t}.{name}()", f"torch.{name}({t})"]))

    @rule(r=randoms)
    def binary(self, r: Random) -> None:
        t = self.tensor(r)
        other = self.operand(r, t)
        if r.randrange(3) == 0:
            more = f", alpha={self.number(r)}" if r.randrange(4) == 0 else ""
            name = r.choice(["add", "sub"]) if more else r.choice(BINARY)
            call = r.choice([f"{t}.{name}({other}", f"torch.{name}({t}, {other}"]) + f"{more})"
        else:
            a, b = r.choice([(t, other), (t, other), (other, t)])
            call = f"{a} {r.choice(OPERATORS)} {b}"
        self.assigned(r, call)

    @rule(r=randoms)
    def power(self, r: Random) -> None:
        t, exponent = self.seen(r), r.choice(EXPONENTS)
        self.assigned(
            r, r.choice([f"{t} ** {exponent}", f"{t}.pow({exponent})", f"{exponent} ** {t}"])
        )

    @rule(r=randoms)
    def chosen(self, r: Random) -> None:
        t = self.tensor(r)
        condition = self.tensor(r, lambda t: t.dtype == torch.bool) if r.randrange(3) == 0 else ""
        condition = condition or f"{t} > {self.number(r)}"
        a, b = (self.operand(r, t) for _ in range(2))
        self.assigned(r, r.choice([f"torch.where({condition}, {a}, {b})",
                                   f"{t}.where({condition}, {b})"]))  # fmt: skip

    @rule(r=randoms)
    def reduction(self, r: Random) -> None:
        t = self.seen(r)
        self.assigned(r, self.reduced(r, t))

    def reduced(self, r: Random, t: str) -> str:
        name, ndim = r.choice(REDUCTIONS), self.value(t).ndim
        axis = self.axis(r, ndim)
        dim = r.choice([axis, f"({axis},)", f"[{axis}, {self.axis(r, ndim)}]", "()", "None"])
        if name == "norm":
            order = r.choice(["", "1, ", "3, ", "0.5, ", "float('inf'), ", "0, "])
            return f"{t}.norm({order}dim={axis})"
        keep = options(r, keepdim=["True", "False"])
        arguments = r.choice(["", dim + keep, f"dim={dim}{keep}", f"axis={axis}{keep}"])
        return r.choice([f"{t}.{name}({arguments})", f"torch.{name}({t}, {arguments})"])

    @rule(r=randoms)
    def extreme(self, r: Random) -> None:
        t, name = self.seen(r), r.choice(["max", "min", "argmax", "argmin"])
        arguments = r.choice(["", self.axis(r, self.value(t).ndim)])
        keep = options(r, keepdim=["True", "False"]) if arguments else ""
        part = "[0]" if arguments and not name.startswith("arg") else ""
        self.assigned(r, f"{t}.{name}({arguments}{keep}){part}")

    @rule(r=randoms)
    def bounded(self, r: Random) -> None:
        t = self.seen(r)
        bounds = r.choice(["0, 1", "min=0.5", "max=2", "-1", self.tensor(r)])
        self.assigned(r, r.choice([f"{t}.clamp({bounds})", f"torch.clamp({t}, {bounds})",
                                   f"{t} % {self.number(r)}", f"{t}.detach() // 2"]))  # fmt: skip

    @rule(r=randoms)
    def logic(self, r: Random) -> None:
        t = self.tensor(r)
        a, b = f"({t} > {self.number(r)})", f"({t} != {self.number(r)})"
        self.assigned(r, r.choice([f"{a} & {b}", f"{a} | {b}", f"~{a}", f"torch.equal({t}, {t})",
                                   f"{t}.allclose({t} * 1)"]))  # fmt: skip

    @rule(r=randoms)
    def product(self, r: Random) -> None:
        t = self.tensor(r, lambda t: t.ndim > 0)
        last = self.value(t).shape[-1:]
        other = self.tensor(r, lambda t: t.shape[-2:][:1] == last)
        call = r.choice([f"{t} @ {other}", f"torch.matmul({t}, {other})", f"{t}.mm({other})"])
        if r.randrange(4) == 0:
            weight = self.tensor(r, lambda t: t.ndim == 2 and t.shape[1:] == last)
            rows = self.value(weight).shape[:1]
            bias = r.choice(["None", self.tensor(r, lambda t: t.shape == rows)])
            call = f"torch.nn.functional.linear({t}, {weight}, {bias})"
        self.assigned(r, call)

    @rule(r=randoms)
    def loss(self, r: Random) -> None:
        t = self.tensor(r)
        shape = self.value(t).shape
        target = self.tensor(r, lambda t: t.shape == shape)
        more = options(r, reduction=["'mean'", "'sum'", "'none'", "'other'"])
        name = r.choice(["relu", "tanh", "sigmoid", "mse_loss", "mse_loss", "mse_loss"])
        arguments = f"{t}, {target}{more}" if name == "mse_loss" else t
        self.assigned(r, f"torch.nn.functional.{name}({arguments})")

    @rule(r=randoms)
    def joined(self, r: Random) -> None:
        t = self.seen(r)
        shape, axis = self.value(t).shape, self.axis(r, self.value(t).ndim)
        parts = [self.tensor(r, lambda t: t.shape == shape) for _ in range(r.randrange(3))]
        parts.insert(r.randrange(len(parts) + 1), t)
        if r.randrange(8) == 0:
            parts.append(r.choice(["torch.tensor([])", "torch.tensor(1)", "1"]))
        name, more = r.choice(["cat", "stack"]), r.choice(["", f", {axis}", f", dim={axis}"])
        self.assigned(r, f"torch.{name}([{', '.join(parts)}]{more})")

    @rule(r=randoms)
    def converted(self, r: Random) -> None:
        t, dtype = self.seen(r), self.dtype(r)
        self.assigned(r, f"{t}." + r.choice([
            f"to({dtype})", f"to(dtype={dtype})", "double()", "float()", "long()",
            f"to('cpu', {dtype})", f"to({self.tensor(r)})",
        ]))  # fmt: skip

    @rule(r=randoms)
    def as_python(self, r: Random) -> None:
        t = self.tensor(r, lambda t: t.numel() == 1 if r.randrange(2) else True)
        other = self.operand(r, t)
        self.run("p0 = " + r.choice([
            f"{t}.item()", f"{t}.tolist()", f"float({t})", f"int({t})", f"bool({t})", f"len({t})",
            f"{other} in {t}", f"[10, 11, 12][{t}]", f"np.asarray({t})", f"{t}.detach().numpy()",
            f"f'{{{t}.detach()}}'", "torch.is_grad_enabled()", f"{t}.numpy()", f"torch.numel({t})",
        ]))  # fmt: skip

    # ---- in place ---------------------------------------------------------------------------

    @rule(r=randoms)
    def in_place(self, r: Random) -> None:
        t = self.tensor(r, lambda t: not (t.requires_grad and t.is_leaf))
        self.run(self.in_a_block(r, self.change(r, t)))

    @rule(r=randoms)
    def view_changed(self, r: Random) -> None:
        """Change a part of a tensor that keeps its name."""
        t = self.tensor(r, lambda t: not (t.requires_grad and t.is_leaf))
        self.run(self.in_a_block(r, self.change(r, self.view_of(r, t))))

    def in_a_block(self, r: Random, statement: str) -> str:
        if r.randrange(5) == 0:
            return f"with torch.{r.choice(['no_grad()', 'enable_grad()'])}:\n    {statement}"
        return statement

    def change(self, r: Random, t: str) -> str:
        """Return a statement that changes a tensor, or what an expression gives."""
        try:
            shape = self.value(t).shape
        except Exception:
            return f"{t}.zero_()"
        tensor = self.tensor(r, lambda t: fits_into(t.shape, shape))
        other = r.choice([tensor, self.number(r)])
        match r.choice(IN_PLACE):
            case "zero_":
                return f"{t}.zero_()"
            case "fill_":
                one = self.tensor(r, lambda t: t.ndim == 0)
                return f"{t}.fill_({r.choice([one, self.number(r)])})"
            case ("uniform_" | "normal_") as name:
                bounds = r.choice(["", "-1, 2", "0.5, 0.25", "1, 0", "0.0, 2.0"])
                called = [f"{t}.{name}({bounds})", f"torch.nn.init.{name}({t})"]
                return r.choice([called[0], *called])
            case ("add_" | "sub_") as name if r.randrange(3) == 0:
                sign = "+" if name == "add_" else "-"
                written = [f"{t}.{name}({other}, alpha={self.number(r)})"]
                return r.choice([*written, f"{t} {sign}= {other}"][: 1 + t.isidentifier()])
            case "copy_" if t.isidentifier() and r.randrange(4) == 0:
                return f"{t}.data = {tensor}"
            case name:
                return f"{t}.{name}({other})"
