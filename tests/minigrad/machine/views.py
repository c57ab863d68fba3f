"""Views, and indices of every kind."""

from collections.abc import Sequence
from random import Random

import torch
from hypothesis.stateful import rule

from tests.minigrad.machine.pool import Pool, fits_into, listed
from tests.minigrad.machine.words import randoms

ODD_PARTS = [
    "[]", "torch.tensor([])", "1.0", "'a'", "torch.zeros(0, dtype=torch.int64)", "[True, False]",
    "[[0, 1], [0, 0]]", "torch.tensor(True)", "range(2)", "(0, 1)", "[torch.tensor(0), 1]", "None",
]  # fmt: skip


class Views(Pool):
    """Other shapes of the same memory; elements read and assigned."""

    @rule(r=randoms)
    def view(self, r: Random) -> None:
        self.assigned(r, self.view_of(r, self.tensor(r)))

    def assigned(self, r: Random, expression: str) -> None:
        """Name a value; one time in ten it is computed within a block of its own."""
        statement = f"{self.new(r)} = {expression}"
        if r.randrange(10) == 0:
            mode = r.choice(["no_grad()", "no_grad()", "enable_grad()", "set_grad_enabled(False)"])
            statement = f"with torch.{mode}:\n    {statement}"
        self.run(statement)

    def view_of(self, r: Random, t: str) -> str:
        shape = self.value(t).shape
        ndim = len(shape)

        def axis() -> str:
            return self.axis(r, ndim)

        match r.randrange(16):
            case 0 | 1 | 2:
                size = listed(r, self.same_size(r, shape.numel()))
                return f"{t}.{r.choice(['view', 'view', 'reshape'])}({size})"
            case 3:
                return r.choice([f"{t}.flatten()", f"torch.flatten({t}, {axis()}, {axis()})"])
            case 4:
                dims = r.choice(["", axis(), f"({axis()}, {axis()})", f"dim={axis()}"])
                return f"{t}.squeeze({dims})"
            case 5:
                return f"{t}.unsqueeze({self.axis(r, ndim + 1)})"
            case 6:
                order = list(range(ndim))
                r.shuffle(order)
                return f"{t}.permute({listed(r, order) or '()'})"
            case 7 | 8:
                return f"{t}.transpose({axis()}, {axis()})"
            case 9:
                return r.choice([f"{t}.T", f"{t}.mT", f"{t}.t()", f"{t}.contiguous()"])
            case 10:
                longer = [r.choice([2, 3]) if n == 1 else r.choice([n, -1]) for n in shape]
                front = [r.choice([1, 2]) for _ in range(r.randrange(2))]
                return f"{t}.expand({listed(r, [*front, *longer]) or '()'})"
            case 11:
                return r.choice([f"{t}.detach()", f"{t}.data"])
            case 12:
                row = r.randrange(-1, 2)
                return r.choice([f"list({t})[{row}]", f"next(iter({t}))"])
            case 13:
                return r.choice([f"{t}.cpu()", f"{t}.float()", f"{t}.to({t})", f"{t}.clone()"])
        return f"{t}[{self.key(r, shape)}]"

    # ---- indices ----------------------------------------------------------------------------

    def key(self, r: Random, shape: Sequence[int]) -> str:
        """Return an index for a shape: a part for each of its first axes, or the last."""
        parts: list[str] = []
        length, axis = r.choice([1, 2, 2, 3]), 0
        kinds = r.choice([range(5), range(14), [0, 4, 8, 9]])
        while axis < len(shape) and r.randrange(6):
            if r.randrange(10) == 0:
                parts.append("None")
            if r.randrange(7) == 0 and "..." not in parts:
                parts.append("...")
                axis += r.choice([0, r.randrange(len(shape) - axis + 1)])
                continue
            part, taken = self.part(r, shape, axis, length, r.choice(kinds))
            parts.append(part)
            axis += taken
        if r.randrange(12) == 0:
            parts.insert(r.randrange(len(parts) + 1), r.choice(["None", "True", "False", "..."]))
        if not parts:
            return r.choice(["...", "None", "()", "True", ":"])
        if len(parts) == 1:
            return parts[0] if r.randrange(4) else f"({parts[0]},)" if ":" not in parts[0] else ":"
        return ", ".join(parts)

    def part(
        self, r: Random, shape: Sequence[int], axis: int, length: int, kind: int
    ) -> tuple[str, int]:
        """Return one part of an index, of a kind from 0 to 13, and how many axes it takes."""
        n = shape[axis]
        if kind < 2 and n:
            place = r.randrange(-n, n) if r.randrange(40) else n
            return r.choice([f"{place}"] * 6 + [f"torch.tensor({place})", f"np.int64({place})"]), 1
        if kind < 5:
            a, b, c = (r.choice(["", "", str(r.randrange(-n - 1, n + 2))]) for _ in range(3))
            c = r.choice(["", "", "", ":1", ":2", ":3", ":-1" if r.randrange(9) == 0 else ""])
            return f"{a}:{b}{c}", 1
        if kind < 10 and n:
            places = [r.randrange(-n, n) for _ in range(length)]
            if r.randrange(3) == 0:
                return f"{places}", 1
            form = r.choice(["{}", "{}", "[{}]", "[[p] for p in {}]", "{}[:1]"]).format(places)
            return r.choice([f"torch.tensor({form})"] * 3 + [form, f"np.array({form})"]), 1
        if kind == 10 and (known := self.tensors(lambda t: t.dtype in (torch.int64, torch.bool))):
            name = r.choice(known)
            value = self.value(name)
            return name, max(value.ndim if value.dtype == torch.bool else 1, 1)
        if kind == 11:
            return r.choice(ODD_PARTS), 1
        taken = r.choice([1, 1, 2]) if axis + 1 < len(shape) else 1
        flags = [r.choice([True, False]) for _ in range(shape[axis])]
        if taken == 1:
            return r.choice([f"torch.tensor({flags}, dtype=torch.bool)", f"{flags or 0}"]), 1
        return f"torch.tensor({flags}, dtype=torch.bool)[:, None].expand(-1, {shape[axis + 1]})", 2

    @rule(r=randoms)
    def read(self, r: Random) -> None:
        t = self.tensor(r, lambda t: t.ndim > 1)
        self.assigned(r, f"{t}[{self.key(r, self.value(t).shape)}]")
        for _ in range(3):  # of what has no two equal elements
            key = self.key(r, (2, 3, 4))
            self.assigned(r, f"torch.arange(24.0).reshape(2, 3, 4)[{key}]")

    @rule(r=randoms)
    def assign(self, r: Random) -> None:
        t = self.tensor(r, lambda t: t.ndim > 0 and not (t.requires_grad and t.is_leaf))
        key = self.key(r, self.value(t).shape)
        value = self.number(r)
        try:
            place = self.value(f"{t}.detach()[{key}]").shape
            if not self.named_twice(t, key):
                value = self.tensor(r, lambda t: fits_into(t.shape, place))
        except Exception:
            pass  # which the statement itself will raise
        operator = r.choice(["=", "=", "=", "+=", "*="])
        self.run(f"{t}[{key}] {operator} {value}")

    def named_twice(self, t: str, key: str) -> bool:
        """Return whether an index names an element twice: torch leaves open which value it gets."""
        numbered = f"torch.arange({t}.numel()).reshape({t}.shape)[{key}].flatten()"
        places = self.value(numbered).tolist()
        return len(set(places)) < len(places)

    @rule(r=randoms)
    def size(self, r: Random) -> None:
        t = self.tensor(r)
        self.run("s0 = " + r.choice([
            f"{t}.shape", f"{t}.size()", f"{t}.shape[:-1]", f"{t}.shape + (1,)", f"{t}.shape * 2",
            f"(2,) + {t}.shape", f"{t}.size({self.axis(r, 2)})", f"{t}.shape[1:].numel()",
            f"{t}.dim()", f"{t}.ndim", f"{t}.numel()", f"{t}.dtype", f"2 * {t}.shape",
        ]))  # fmt: skip
