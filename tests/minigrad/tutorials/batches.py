# mypy: ignore-errors
# Linear regression in mini-batches: from nothing but tensors, then with the library's parts.
import random

import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset

history = []
torch.manual_seed(1)
random.seed(1)
true_weight, true_bias = torch.tensor([[2.0], [-3.4]]), 4.2
features = torch.randn(60, 2)
labels = features @ true_weight + true_bias + 0.01 * torch.randn(60, 1)
print(features[0], labels[0], features.shape, labels.shape)

# --- By hand -----------------------------------------------------------------------------------


def batches(size, features, labels):
    indices = list(range(len(features)))
    random.shuffle(indices)
    for start in range(0, len(indices), size):
        chosen = torch.tensor(indices[start : start + size])
        yield features[chosen], labels[chosen]


def squared_loss(prediction, target):
    return (prediction - target.reshape(prediction.shape)) ** 2 / 2


def sgd(parameters, rate, size):
    with torch.no_grad():
        for parameter in parameters:
            parameter -= rate * parameter.grad / size
            parameter.grad.zero_()


weight = (0.01 * torch.randn(2, 1)).requires_grad_()
bias = torch.zeros(1, requires_grad=True)
for epoch in range(3):
    for x, y in batches(10, features, labels):
        loss = squared_loss(x @ weight + bias, y).sum()
        loss.backward()
        sgd([weight, bias], 0.1, len(x))
        history.append([loss.item(), weight.detach().clone(), bias.detach().clone()])
    with torch.no_grad():
        whole = squared_loss(features @ weight + bias, labels).mean()
        print(f"epoch {epoch + 1}, loss {whole:.4f}")
print((true_weight - weight.detach().reshape(true_weight.shape)).abs().amax() < 0.5)

# --- With the library's parts ------------------------------------------------------------------

loader = DataLoader(TensorDataset(features, labels), batch_size=16, shuffle=True)
model = nn.Sequential(nn.Linear(2, 1))
nn.init.normal_(model[0].weight, mean=0, std=0.01)
model[0].bias.data.fill_(0)
trainer = torch.optim.SGD(model.parameters(), lr=0.03)
criterion = nn.MSELoss()
for epoch in range(3):
    for x, y in loader:
        loss = criterion(model(x), y)
        trainer.zero_grad()
        loss.backward()
        trainer.step()
        history.append([loss.item(), x.clone(), *(p.detach().clone() for p in model.parameters())])
    print(
        f"epoch {epoch + 1}, {len(loader)} batches, loss {criterion(model(features), labels):.4f}"
    )
