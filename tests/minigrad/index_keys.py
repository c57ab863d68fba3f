"""Random keys between square brackets, as source text that both libraries evaluate.

`x[0, :, T.tensor([0, 1])]` is `"0, :, T.tensor([0, 1])"` here. The text needs the names `T`, the
library, and `np`. Most keys fit the shape; a share of them does not, and then both must raise.
"""

import random
from collections.abc import Sequence
from typing import Any

WRONG = (
    *("1.0", "'a'", "b'a'", "{}", "1j", "object()", "np.float64(1)", "np.bool_(True)", "2**70"),
    *("::-1", "::0", "0.0:", ":'a'", "T.tensor([0.0])", "T.tensor(0.0)", "[['a']]", "[0, None]"),
    *("T.zeros(0)", "[[0, 1], [0]]", "[2**70]", "T.tensor([0, 1]):", "T.tensor(0.0):"),
)
"""Parts that are an error nearly everywhere."""


def random_key(rng: random.Random, shape: Sequence[int], wrong: float = 0.1) -> str:
    """Return the text of a key for a tensor of this shape; the share `wrong` of them may not fit.

    It has no brackets around it. In a key there may be: ints and what counts as an int; slices;
    None, `...`, True and False; tensors, lists, tuples, ranges and NumPy arrays of ints, and
    masks over one axis or several.

    A mask over several axes is a tensor wherever torch counts axes: in another mask it counts one.
    So `...` stands for too many, and a part too many is not refused: torch reads beyond the last
    axis, or raises.
    """
    return Keys(rng, shape, rng.random() < wrong).text()


class Keys:
    """Draws the parts of one key."""

    def __init__(self, rng: random.Random, shape: Sequence[int], wrong: bool) -> None:
        self.rng = rng
        self.left = list(shape)
        self.wrong = wrong
        # What the index arrays of this key broadcast to.
        self.common = [rng.choice([0, 1, 2, 2, 3, 3, 4]) for _ in range(rng.choice([1, 1, 1, 2]))]
        self.arrays = rng.choice([0.0, 0.3, 0.6, 1.0])
        self.ellipsis = rng.random() < 0.3

    def text(self) -> str:
        """Return the key."""
        rng = self.rng
        parts: list[str] = []
        while True:
            draw = rng.random()
            if draw < 0.08:
                parts.append("None")
            elif draw < 0.28 and self.ellipsis and "..." not in parts:
                parts.append("...")
                del self.left[: rng.randint(0, len(self.left))]
            elif draw < 0.33 and self.arrays:
                parts.append(rng.choice(["True", "False", "T.tensor(True)", "np.array(True)"]))
            elif not self.left or draw < 0.35 + 0.1 * bool(parts):
                break
            else:
                parts.append(self.part())
        if "..." in parts and self.left:  # what follows the ellipsis has to reach the last axis
            parts += [self.part() for _ in range(8) if self.left]
        if self.wrong:
            self.spoil(parts)
        if not parts:
            return "()"
        if len(parts) > 1:
            whole = ", ".join(parts)
            may_be_list = not any(":" in part for part in parts)
            return f"[{whole}]" if may_be_list and rng.random() < 0.05 else whole
        return rng.choice(parts * 3 + [f"{parts[0]},"])

    def spoil(self, parts: list[str]) -> None:
        """Make a change after which the key may not fit."""
        rng = self.rng
        at = rng.randint(0, len(parts))
        kind = rng.randrange(5)
        if kind == 0:
            parts.insert(at, rng.choice(WRONG))
        elif kind == 1:
            parts[at : at + 1] = [rng.choice(WRONG)]
        elif kind == 2:
            parts[at : at + 1] = [
                rng.choice(["7", "-9", "T.tensor(7)", "[0, 9]", "T.tensor([-9])"])
            ]
        elif kind == 3:
            self.left = [rng.randint(0, 4), rng.randint(0, 4)]
            parts.insert(at, self.part())
        else:
            parts.insert(at, rng.choice([":", "0", "True", "[]", *["..."] * self.ellipsis]))

    def part(self) -> str:
        """Return a part that takes one axis, or several."""
        rng = self.rng
        if rng.random() < self.arrays:
            return self.mask() if rng.random() < 0.3 else self.integers()
        n = self.left.pop(0)
        if n and rng.random() < 0.5:
            return self.integer(n)
        return self.slice(n)

    def integer(self, n: int) -> str:
        """Return an int, or what counts as one."""
        forms = ["{}"] * 5 + ["T.tensor({})", "np.int64({})", "np.array({})", "np.int32({})"]
        return self.rng.choice(forms).format(self.rng.randint(-n, n - 1))

    def slice(self, n: int) -> str:
        """Return a slice, with ends inside and outside."""
        rng = self.rng
        if rng.random() < 0.4:
            return ":"
        forms = ["", "{}", "{}", "{}", "{}", "T.tensor({})", "T.tensor([{}])", "np.int64({})"]
        start, stop = (rng.choice(forms).format(rng.randint(-n - 2, n + 2)) for _ in range(2))
        step = rng.choice(["", "", "", ":", ":1", ":2", ":3", ":T.tensor(2)"])
        return f"{start}:{stop}{step}"

    def integers(self) -> str:
        """Return an array of ints, in a shape that broadcasts with the others of this key."""
        rng = self.rng
        n = self.left.pop(0)
        shape = [rng.choice([n, n, n, 1]) for n in self.common[rng.randint(0, 1) :]] or self.common
        if not n:
            shape = [0, *shape[1:]] if rng.random() < 0.9 else shape
        values = nested(shape, lambda: rng.randint(-n, n - 1) if n else 0)
        whole = [str(values), f"T.tensor({values}, dtype=T.int64)", f"np.array({values}, 'int64')"]
        forms = [*whole, whole[1], whole[1]]
        if len(shape) == 1:
            items = [f"T.tensor({v})" if rng.random() < 0.3 else str(v) for v in values]
            forms += [f"range({min(n, 2)})", f"({''.join(f'{v}, ' for v in values)})"]
            forms += [f"[{', '.join(items)}]"]
        return rng.choice(forms)

    def mask(self) -> str:
        """Return a mask over the next axis or axes, often with as many elements as the arrays."""
        rng = self.rng
        axes = rng.choice([1, 1, 2, 3])
        shape, self.left = self.left[:axes], self.left[axes:]
        size = 1
        for n in shape:
            size *= n
        count = rng.choice([self.common[-1], self.common[-1], 1, rng.randint(0, size)])
        chosen = set(rng.sample(range(size), min(count, size)))
        flat = iter(range(size))
        values = nested(shape, lambda: next(flat) in chosen)
        if 0 in shape:
            return f"T.zeros({tuple(shape)}, dtype=T.bool)"
        forms = [f"T.tensor({values})", f"T.tensor({values})", f"np.array({values})", str(values)]
        return rng.choice(
            forms if len(shape) < 2 or not (self.ellipsis or self.wrong) else forms[:2]
        )


def nested(shape: Sequence[int], value: Any) -> Any:
    """Return nested lists of this shape."""
    return [nested(shape[1:], value) for _ in range(shape[0])] if shape else value()


def random_shape(rng: random.Random) -> tuple[int, ...]:
    """Return a shape of up to 4 axes, some of length 1 and a few of length 0."""
    return tuple(
        rng.choice([0, 1, 2, 2, 2, 3, 3, 3, 4]) for _ in range(rng.choice([0, 1, 2, 3, 3, 4]))
    )
