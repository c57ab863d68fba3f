# mypy: ignore-errors
# A sine is fitted by a cubic a + b·x + c·x² + d·x³, in eight ways that build on each other.
import math
import random

import numpy as np
import torch
import torch.nn as nn

history = []
STEPS, RATE = 12, 1e-6

# --- 1. Arrays, and derivatives on paper -------------------------------------------------------

x = np.linspace(-math.pi, math.pi, 2000)
y = np.sin(x)
a, b, c, d = 0.1, -0.2, 0.3, -0.4
for _ in range(STEPS):
    difference = a + b * x + c * x**2 + d * x**3 - y
    history.append([np.square(difference).sum(), np.array([a, b, c, d])])
    slope = 2 * difference
    a -= RATE * slope.sum()
    b -= RATE * (slope * x).sum()
    c -= RATE * (slope * x**2).sum()
    d -= RATE * (slope * x**3).sum()

# --- 2. Tensors in place of the arrays ---------------------------------------------------------

x = torch.linspace(-math.pi, math.pi, 2000)
y = torch.tensor([math.sin(value) for value in x.tolist()])
a, b, c, d = (torch.tensor(start) for start in (0.1, -0.2, 0.3, -0.4))
for _ in range(STEPS):
    difference = a + b * x + c * x**2 + d * x**3 - y
    history.append([difference.pow(2).sum().item(), torch.stack([a, b, c, d])])
    slope = 2.0 * difference
    a -= RATE * slope.sum()
    b -= RATE * (slope * x).sum()
    c -= RATE * (slope * x**2).sum()
    d -= RATE * (slope * x**3).sum()

# --- 3. Derivatives by autograd ----------------------------------------------------------------

torch.manual_seed(0)
a, b, c, d = (torch.randn((), requires_grad=True) for _ in range(4))
for _ in range(STEPS):
    loss = (a + b * x + c * x**2 + d * x**3 - y).pow(2).sum()
    loss.backward()
    history.append([loss.item(), torch.stack([a.grad, b.grad, c.grad, d.grad])])
    with torch.no_grad():
        for weight in (a, b, c, d):
            weight -= RATE * weight.grad
            weight.grad = None

# --- 4. A Function of one's own ----------------------------------------------------------------


class Legendre(torch.autograd.Function):
    """The third Legendre polynomial (5·x³ - 3·x) / 2."""

    @staticmethod
    def forward(ctx, input):
        ctx.save_for_backward(input)
        return 0.5 * (5 * input**3 - 3 * input)

    @staticmethod
    def backward(ctx, grad_output):
        (input,) = ctx.saved_tensors
        return grad_output * 1.5 * (5 * input**2 - 1)


a = torch.full((), 0.0, requires_grad=True)
b = torch.full((), -1.0, requires_grad=True)
c = torch.full((), 0.0, requires_grad=True)
d = torch.full((), 0.3, requires_grad=True)
for _ in range(STEPS):
    loss = (a + b * Legendre.apply(c + d * x) - y).pow(2).sum()
    loss.backward()
    history.append([loss.item(), torch.stack([a.grad, b.grad, c.grad, d.grad])])
    with torch.no_grad():
        for weight in (a, b, c, d):
            weight -= 5e-6 * weight.grad
            weight.grad = None

# --- 5. Layers and a loss ----------------------------------------------------------------------

powers = x.unsqueeze(-1).pow(torch.tensor([1, 2, 3]))
model = nn.Sequential(nn.Linear(3, 1), nn.Flatten(0, 1))
criterion = nn.MSELoss(reduction="sum")
for _ in range(STEPS):
    loss = criterion(model(powers), y)
    model.zero_grad()
    loss.backward()
    history.append([loss.item(), *(weight.grad.clone() for weight in model.parameters())])
    with torch.no_grad():
        for weight in model.parameters():
            weight -= RATE * weight.grad
print(model, f"y = {model[0].bias.item():.4f} + {model[0].weight[0, 0].item():.4f} x + ...")

# --- 6. An optimiser ---------------------------------------------------------------------------

model = nn.Sequential(nn.Linear(3, 1), nn.Flatten(0, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=1e-7, momentum=0.9)
for _ in range(STEPS):
    loss = criterion(model(powers), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    history.append([loss.item(), *(weight.detach().clone() for weight in model.parameters())])

# --- 7. A module of one's own ------------------------------------------------------------------


class Cubic(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Parameter(torch.randn(()))
        self.b = nn.Parameter(torch.randn(()))
        self.c = nn.Parameter(torch.randn(()))
        self.d = nn.Parameter(torch.randn(()))

    def forward(self, x):
        return self.a + self.b * x + self.c * x**2 + self.d * x**3

    def string(self):
        return f"y = {self.a.item():.3f} + {self.b.item():.3f} x + {self.c.item():.3f} x^2 + ..."


model = Cubic()
optimizer = torch.optim.SGD(model.parameters(), lr=RATE)
for _ in range(STEPS):
    loss = criterion(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    history.append([loss.item(), torch.stack([p.detach() for p in model.parameters()])])
print(model, model.string())

# --- 8. A network whose depth is drawn anew at each step ---------------------------------------


class Growing(Cubic):
    """One parameter is used for x⁴ and x⁵ too, or for neither: a loop of Python's decides."""

    def __init__(self):
        super().__init__()
        self.e = nn.Parameter(torch.randn(()))

    def forward(self, x):
        y = super().forward(x)
        for exponent in range(4, random.randint(4, 6)):
            y = y + self.e * x**exponent
        return y


random.seed(3)
model = Growing()
optimizer = torch.optim.SGD(model.parameters(), lr=1e-8, momentum=0.9)
for _ in range(STEPS):
    loss = criterion(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    history.append([loss.item(), torch.stack([p.detach() for p in model.parameters()])])
print(model, [name for name, _ in model.named_parameters()])
