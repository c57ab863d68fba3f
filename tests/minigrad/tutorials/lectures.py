# mypy: ignore-errors
# What lectures that build an engine for numbers do with torch beside it: tensors of one number.
import random
from itertools import pairwise

import torch

history = []

# --- One neuron --------------------------------------------------------------------------------

x1, x2 = torch.tensor([2.0]).double(), torch.tensor([0.0]).double()
w1, w2 = torch.tensor([-3.0]).double(), torch.tensor([1.0]).double()
b = torch.tensor([6.8813735870195432]).double()
for leaf in (x1, x2, w1, w2, b):
    leaf.requires_grad = True
n = x1 * w1 + x2 * w2 + b
o = torch.tanh(n)
print(f"{o.data.item():.6f}")
o.backward()
for name, leaf in (("x2", x2), ("w2", w2), ("x1", x1), ("w1", w1)):
    print(name, f"{leaf.grad.item():.6f}")
history.append([o.item(), *(leaf.grad for leaf in (x1, x2, w1, w2, b))])

# --- An expression with all operations ---------------------------------------------------------

a, b = torch.tensor([-4.0]).double(), torch.tensor([2.0]).double()
a.requires_grad = b.requires_grad = True
c = a + b
d = a * b + b**3
c = c + c + 1
c = c + 1 + c + (-a)
d = d + d * 2 + (b + a).relu()
d = d + 3 * d + (b - a).relu()
e = c - d
f = e**2
g = f / 2.0
g = g + 10.0 / f
g.backward()
print(f"{g.data.item():.4f} {a.grad.item():.4f} {b.grad.item():.4f}")
history.append([g.item(), a.grad, b.grad])

# --- A network of neurons, each number a tensor ------------------------------------------------


class Neuron:
    def __init__(self, inputs, nonlinear=True):
        self.w = [torch.tensor(random.uniform(-1, 1), requires_grad=True) for _ in range(inputs)]
        self.b = torch.tensor(0.0, requires_grad=True)
        self.nonlinear = nonlinear

    def __call__(self, x):
        act = sum((wi * xi for wi, xi in zip(self.w, x, strict=True)), self.b)
        return act.tanh() if self.nonlinear else act

    def parameters(self):
        return [*self.w, self.b]


class MLP:
    def __init__(self, sizes):
        pairs = list(pairwise(sizes))
        self.layers = [
            [Neuron(a, nonlinear=i < len(pairs) - 1) for _ in range(b)]
            for i, (a, b) in enumerate(pairs)
        ]

    def __call__(self, x):
        for layer in self.layers:
            x = [neuron(x) for neuron in layer]
        return x[0] if len(x) == 1 else x

    def parameters(self):
        return [p for layer in self.layers for neuron in layer for p in neuron.parameters()]


random.seed(1337)
model = MLP([3, 4, 4, 1])
xs = [[2.0, 3.0, -1.0], [3.0, -1.0, 0.5], [0.5, 1.0, 1.0], [1.0, 1.0, -1.0]]
ys = [1.0, -1.0, -1.0, 1.0]
for step in range(6):
    predictions = [model(x) for x in xs]
    loss = sum((out - wanted) ** 2 for out, wanted in zip(predictions, ys, strict=True))
    for p in model.parameters():
        p.grad = None
    loss.backward()
    for p in model.parameters():
        p.data += -0.05 * p.grad
    history.append([loss.item(), torch.stack([p.detach() for p in model.parameters()])])
    print(step, f"{loss.item():.4f}")

# --- A margin between two classes, with a penalty on the weights -------------------------------

margins = [(1 + -wanted * model(x)).relu() for x, wanted in zip(xs, ys, strict=True)]
penalty = 1e-4 * sum(p * p for p in model.parameters())
total = sum(margins) * (1.0 / len(margins)) + penalty
total.backward()
right = [(wanted > 0) == (model(x).item() > 0) for x, wanted in zip(xs, ys, strict=True)]
history.append([total.item(), torch.stack([p.grad for p in model.parameters()])])
print(len(model.parameters()), sum(right) / len(right))
