"""Making tensors."""

from random import Random

from hypothesis.stateful import rule

from tests.minigrad.machine.pool import Pool, listed, options
from tests.minigrad.machine.words import randoms

FLAGS = ["True", "False"]
ARRAYS = [
    "np.arange(6.0).reshape(2, 3)", "np.arange(6.0).reshape(2, 3).T", "np.arange(8.0)[::2]",
    "np.arange(4.0)[::-1]", "np.float32([[1, 2], [3, 4]])", "np.array([1, 0, 2])",
    "np.array([True, False])", "np.zeros((0, 2))", "np.array(3.0)", "np.float64(2.5)",
    "np.broadcast_to(np.float32([1, 2]), (3, 2))", "np.float32([1, 2, 3]).astype('>f4')",
    "np.arange(12.0).reshape(2, 3, 2)[:, ::2]", "[1.0, 2.0]", "np.asfortranarray(np.eye(3))",
]  # fmt: skip


class Creation(Pool):
    """Creation functions, with every kind of argument."""

    @rule(r=randoms)
    def tensor_of_data(self, r: Random) -> None:
        more = options(r, dtype=lambda: self.dtype(r), requires_grad=["True", "True", "False"])
        self.run(f"{self.new(r)} = torch.tensor({self.data(r)}{more})")

    def data(self, r: Random) -> str:
        match r.randrange(8):
            case 0:
                return self.number(r)
            case 1:
                return self.tensor(r)
            case 2:
                return f"[{self.tensor(r, lambda t: t.numel() == 1)}, {self.number(r)}]"
            case 3:
                return r.choice(ARRAYS)
            case 4:
                return r.choice(["[]", "[[]]", "[[], []]", "[[1, 2], [3]]", "(1, 2)", "'a'", "1j"])
            case 5:
                return f"[{', '.join(self.number(r) for _ in range(r.randrange(1, 4)))}]"
        rows, columns = r.randrange(1, 4), r.randrange(1, 4)
        kinds = r.choice([["1.0", "2.0", "-1.0", "0.5", "3.0", "0.0"], ["0", "1", "2"]])
        lines = (", ".join(r.choice(kinds) for _ in range(columns)) for _ in range(rows))
        return f"[{', '.join(f'[{line}]' for line in lines)}]"

    @rule(r=randoms)
    def leaf(self, r: Random) -> None:
        """The tensor that most programs begin with."""
        lengths = self.lengths(r)
        kind = r.choice(["torch.ones", "torch.rand", "torch.rand"])
        dtype = r.choice(["", ", dtype=torch.float64"])
        self.run(f"{self.new(r)} = {kind}({listed(r, lengths) or '()'}{dtype}, requires_grad=True)")

    @rule(r=randoms)
    def from_numpy(self, r: Random) -> None:
        array = r.choice(ARRAYS)
        if r.randrange(4) == 0:
            array = f"{self.tensor(r)}.numpy()"
        self.run(f"{self.new(r)} = torch.from_numpy({array})")

    @rule(r=randoms)
    def filled(self, r: Random) -> None:
        lengths: list[object] = [*self.lengths(r)]
        if r.randrange(15) == 0:
            lengths.append(r.choice([-1, 2.0, True, "np.int64(2)"]))
        more = options(r, dtype=lambda: self.dtype(r), requires_grad=FLAGS)
        match r.randrange(5):
            case 0:
                size = f"({''.join(f'{n}, ' for n in lengths)})"
                call = f"full({size}, {self.number(r)}"
            case 1:
                call = f"{r.choice(['zeros_like', 'ones_like'])}({self.tensor(r)}"
            case 2 if r.randrange(3) == 0:
                call = r.choice(
                    [
                        f"eye({r.randrange(4)}",
                        f"full_like({self.tensor(r)}, 2",
                        f"rand_like({self.tensor(r)}",
                        "randint(0, 5, (2, 3)",
                    ]
                )
            case kind:
                name = ["zeros", "ones", r.choice(["rand", "randn"])][kind - 2]
                call = f"{name}({listed(r, lengths) or '()'}"
        self.run(f"{self.new(r)} = torch.{call}{more})")

    @rule(r=randoms)
    def evenly_spaced(self, r: Random) -> None:
        more = options(r, dtype=lambda: self.dtype(r), requires_grad=FLAGS)
        numbers = ["0", "1", "5", "-3", "0.5", "2.5", "-1.25", "0.1", "1e3", "7"]
        a, b = r.choice(numbers), r.choice(numbers)
        if r.randrange(3) == 0:
            steps = r.choice(["0", "1", "2", "5", "17", "-1", "2.0", "True"])
            self.run(f"{self.new(r)} = torch.linspace({a}, {b}, {steps}{more})")
            return
        step = r.choice(["1", "2", "-1", "0.5", "-0.25", "0.1", "0.3", "-0.7", "0", "3"])
        arguments = r.choice([a, f"{a}, {b}", f"{a}, {b}, {step}", f"{a}, {b}, {step}"])
        self.run(f"{self.new(r)} = torch.arange({arguments}{more})")

    @rule(r=randoms)
    def seeded(self, r: Random) -> None:
        self.run(r.choice([
            f"torch.manual_seed({r.randrange(4)})",
            f"g0 = torch.Generator().manual_seed({r.randrange(4)})",
            f"{self.new(r)} = torch.randn({r.choice([1, 3, 16, 19])}, generator=g0)",
            f"{self.new(r)} = torch.rand({r.choice([1, 3, 16, 19])}, generator=g0)",
            f"{self.new(r)} = torch.randperm({r.choice([0, 1, 4, 9])}, generator=g0)",
            f"p0 = [*torch.utils.data.DataLoader(torch.utils.data.TensorDataset("
            f"{self.tensor(r, lambda t: t.ndim > 0)}), 2, {r.choice(['True', 'False'])})]",
        ]))  # fmt: skip

    @rule(r=randoms)
    def copied(self, r: Random) -> None:
        t, u = self.tensor(r), self.tensor(r)
        self.run(f"{self.new(r)} = " + r.choice([
            f"copy.deepcopy({t})", f"pickle.loads(pickle.dumps({t}))", f"copy.copy({t})",
            f"copy.deepcopy([{t}, {u}])[0]", f"copy.deepcopy(({t}, {t}))[1]",
            f"pickle.loads(pickle.dumps([{t}, {u}]))[1]", f"torch.nn.Parameter({t})",
        ]))  # fmt: skip

    @rule(r=randoms)
    def noted(self, r: Random) -> None:
        """Keep something of one's own at a tensor."""
        value = r.choice(["[1]", "'text'", "torch.zeros(1)", self.tensor(r)])
        self.run(f"{self.tensor(r)}.note = {value}")

    @rule(r=randoms)
    def forgotten(self, r: Random) -> None:
        if names := list(self.names):
            self.run(f"del {r.choice(names)}")
