# mypy: ignore-errors
# A regression notebook as a beginner writes it.
import io

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from sklearn.metrics import mean_squared_error

history = []

# --- Some data: a parabola and noise -----------------------------------------------------------

n = 100
torch.manual_seed(7)
x = torch.linspace(-5, 5, n)
y = torch.tensor([xi**2 + torch.randn(1) for xi in x])
print(x[:5], y[:5])
print(x.shape, y.shape, len(x), x.ndim)

x = x.reshape(n, -1)
y = y.reshape(n, -1)
print(x.shape, y.shape)
print(x[:3])
print(y[-3:])
print(y)
print(f"y is between {y.amin().item():.3f} and {y.amax():.3f}")

figure, axes = plt.subplots()
axes.scatter(x, y, s=9, color="black")

# --- How gradients work ------------------------------------------------------------------------

a = torch.tensor(3.0, requires_grad=True)
b = a**2 + 2 * a
print(a, b)
b.backward()
print(a.grad)

w = torch.tensor([[0.5], [-1.0]], requires_grad=True)
hidden = F.relu(x[:2] @ w.T)
print(hidden)
print(hidden.grad_fn)
print(hidden.sum(), hidden.mean().grad_fn)
hidden.sum().backward()
print(w.grad)
print(hidden.detach(), hidden.detach().requires_grad)

# --- Gradient descent by hand ------------------------------------------------------------------

device = torch.device("cpu")
print(device, x.device, x.to(device).shape, x.device == device)
inputs, targets = x.to(device, torch.double), y.to(device, torch.double)
own = torch.Generator().manual_seed(1)
w1 = torch.randn(1, 8, generator=own, dtype=torch.double, requires_grad=True)
w2 = torch.randn(8, 1, generator=own, dtype=torch.double, requires_grad=True)
for _ in range(3):
    loss = (torch.mm(inputs, w1).relu().mm(w2) - targets).pow(2).mean()
    print(f"{loss.item():.6f}")
    loss.backward()
    with torch.no_grad():
        for weight in (w1, w2):
            weight -= 0.001 * weight.grad
            weight.grad.zero_()

cubic = inputs.flatten().unsqueeze(-1).pow(torch.tensor([1, 2, 3]))
print(cubic.shape, cubic[:2])
deviation = np.float64(2.5)
print(((inputs - inputs.mean()) / deviation)[:2], (deviation * x)[:2])

# --- Two networks ------------------------------------------------------------------------------


class Underfit(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(1, 1)
        self.fc2 = nn.Linear(1, 1)

    def forward(self, inputs):
        return self.fc2(F.relu(self.fc1(inputs)))


class Rightfit(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(1, 16)
        self.fc2 = nn.Linear(16, 16)
        self.fc3 = nn.Linear(16, 1)

    def forward(self, inputs):
        out = F.relu(self.fc1(inputs))
        out = F.relu(self.fc2(out))
        return self.fc3(out)


model = Rightfit()
print(model)
print(Underfit())
print(nn.Sequential(nn.Linear(1, 16), nn.ReLU(), nn.Linear(16, 1)))
for name, parameter in model.named_parameters():
    print(name, parameter.shape, parameter.requires_grad)
print(model.fc1.weight[:2], model.fc1.bias)
print(list(model.fc3.parameters()))
print(model.state_dict().keys())
print(sum(p.numel() for p in model.parameters()), "parameters")

loss_function = nn.MSELoss()
print(loss_function)
prediction = model(x)
loss = loss_function(prediction, y)
print(prediction[:3], prediction.shape)
print(loss)
print(loss.grad_fn, prediction.grad_fn, model.fc1.weight.grad_fn)
print(model.fc1.weight.grad)
loss.backward()
print(model.fc1.weight.grad.shape, model.fc3.bias.grad)
with torch.no_grad():
    print(model(x)[:2])

# --- Training ----------------------------------------------------------------------------------


def make_data(seed):
    torch.manual_seed(seed)
    inputs = torch.linspace(-5, 5, n)
    targets = torch.tensor([xi**2 + torch.randn(1) for xi in inputs])
    return inputs.reshape(n, -1), targets.reshape(n, -1)


def train(network, inputs, targets, epochs=200, lr=0.01):
    optimizer = torch.optim.SGD(network.parameters(), lr=lr)
    losses = []
    for _ in range(epochs):
        optimizer.zero_grad()
        error = loss_function(network(inputs), targets)
        error.backward()
        optimizer.step()
        losses.append(error.item())
        if len(losses) <= 50:  # later a ReLU may switch because of a rounding
            history.append([error.item(), network.fc1.weight.clone(), network.fc1.bias.grad])
    return losses


x, y = make_data(0)
print(x[:2], y[:2])
for number, Net in enumerate([Underfit, Rightfit]):
    network = Net()
    losses = train(network, x, y)
    prediction = network(x).detach()
    print(
        Net.__name__,
        prediction.shape,
        prediction.requires_grad,
        len(losses),
        [f"{loss:.3f}" for loss in losses[:5]],
        losses[-1] < losses[0],
    )
    mse = mean_squared_error(y, prediction)
    figure, axes = plt.subplots()
    axes.scatter(x, y, color="black", label="data")
    axes.plot(x, prediction, color=f"C{number}", label=Net.__name__)
    axes.set_title(f"MSE {mse:.3f}")
    axes.legend()
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    plt.close("all")
    print(picture.getvalue()[1:4], abs(mse - loss_function(prediction, y).item()) < 1e-4 * mse)
