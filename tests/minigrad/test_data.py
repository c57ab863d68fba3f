"""Datasets in batches: torch's batches, order and random numbers, bit for bit."""

from typing import Any

import pytest
import torch

import minigrad
from tests.minigrad.operations import FUZZ
from tests.minigrad.sessions import agree, sessions

SESSIONS = sessions(r"""
# rows of tensors
d = data.TensorDataset(T.arange(10.0).reshape(5, 2), T.arange(5))
len(d), d[1], d[-1], d[1:3], d.tensors[1], len(d[T.tensor([0, 2])][0])
refused("[Ss]ize", data.TensorDataset, T.ones(2), T.ones(3)), refused("^", d.__getitem__, 5)

# in order
d = data.TensorDataset(T.arange(10.0).reshape(5, 2), T.arange(5))
[(type(b).__name__, *b) for b in data.DataLoader(d)]
loader = data.DataLoader(d, batch_size=2)
list(loader), len(loader), T.rand(1), loader.batch_size, loader.drop_last, loader.dataset is d
list(data.DataLoader(d, 2, drop_last=True)), len(data.DataLoader(d, 2, drop_last=True))
list(data.DataLoader(d, 7)), len(data.DataLoader(d, 7, drop_last=True)), T.rand(1)

# shuffled, loop after loop
d = data.TensorDataset(T.arange(7))
own = {"generator": T.Generator().manual_seed(4)}
for options in ({}, {"drop_last": True}, {"batch_size": 7}, own):
    loader = data.DataLoader(d, **{"batch_size": 3, "shuffle": True, **options})
    for epoch in range(3):
        shown((list(options), epoch), [list(loader), len(loader), T.rand(1)])
    for batch in loader:
        break
    shown((list(options), "left early"), [batch, T.rand(1), list(loader)])
generator = loader.generator
T.rand(2, generator=generator), generator.initial_seed()

# two loops at once
loader = data.DataLoader(data.TensorDataset(T.arange(4)), 2, shuffle=True)
[(a, b) for a in loader for b in loader], T.rand(1)
first, second = iter(loader), iter(loader)
next(first), next(second), next(first), next(second), refused("^", next, first)

# samples of every form
class Squares(data.Dataset):
    def __len__(self):
        return 3
    def __getitem__(self, i):
        return {"x": T.tensor([i]), "y": float(i), "n": i, "more": (np.float32([i, 1]), str(i)),
                "scalar": np.float64(i), "flag": i > 1, "list": [i, {"a": T.ones(())}]}
for batch in data.DataLoader(Squares(), 2):
    shown("batch", [(key, value) for key, value in sorted(batch.items()) if key != "list"])
    batch["list"][0], batch["list"][1]["a"]
class Any_(data.Dataset):
    def __init__(self, *samples):
        self.samples = samples
    def __len__(self):
        return len(self.samples)
    def __getitem__(self, i):
        return self.samples[i]
load = lambda *samples: list(data.DataLoader(Any_(*samples), 2))
refused("equal", load, T.ones(1), T.ones(2)), refused("equal", load, [1], [1, 2])
refused("^", load, None, None), load("a", "b"), list(data.DataLoader([3, 4, 5], 2))
w = leaf([1.0, 2.0, 3.0])
(next(iter(data.DataLoader(data.TensorDataset(w), 2)))[0] * 2).sum().backward()
w.grad

# an order and batches of one's own
d = data.TensorDataset(T.arange(5))
class Backwards:
    def __iter__(self):
        return iter(T.randperm(5).tolist() + [0, 0])
    def __len__(self):
        return 7
for sampler in ([3, 1, 1], Backwards(), range(4), T.tensor([2, 0, 4])):
    for drop in (False, True):
        loader = data.DataLoader(d, 2, sampler=sampler, drop_last=drop)
        shown("sampler", [list(loader), list(loader), len(loader), T.rand(1)])
data.DataLoader(d, 2, False, [3]).batch_size
loader = data.DataLoader(d, 3, True, collate_fn=lambda samples: ("mine", samples))
list(loader), len(loader), T.rand(1)
list(data.DataLoader(d, 3, collate_fn=len))
refused("exclusive", data.DataLoader, d, 2, True, [1])
refused("^", len, data.DataLoader(d, 2, sampler=iter([1])))
refused("^", list, data.DataLoader(d, 2, sampler=[9]))

# what is refused
d = data.TensorDataset(T.arange(4))
[refused("positive integer", data.DataLoader, d, size) for size in (0, -1)]
refused("boolean", data.DataLoader, d, 2, drop_last=3)
refused("num_samples|nothing", data.DataLoader, data.TensorDataset(T.ones(0)), shuffle=True)
list(data.DataLoader(data.TensorDataset(T.ones(0))))
refused("implement", data.Dataset().__getitem__, 0)
""")


@pytest.mark.parametrize("name", SESSIONS)
def test_both_engines_show_the_same(name: str) -> None:
    agree("data = T.utils.data\n" + SESSIONS[name])


def test_permutations_are_torchs() -> None:
    for seed in range(20 if FUZZ else 3):
        for n in (0, 1, 2, 3, 15, 16, 17, 623, 624, 625, 5_000):
            found = []
            for T in (minigrad, torch):
                T.manual_seed(seed)
                source: Any = T.Generator().manual_seed(seed + 1)
                drawn = [T.randperm(n), T.randperm(n, generator=source), T.rand(2), T.randperm(n)]
                found.append([x.tolist() for x in drawn])
            assert found[0] == found[1], (seed, n)
    options: dict[str, Any] = {"dtype": minigrad.float64, "requires_grad": True}
    assert str(minigrad.randperm(1, **options)) == str(
        torch.randperm(1, dtype=torch.float64, requires_grad=True)
    )
