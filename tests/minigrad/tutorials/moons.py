# mypy: ignore-errors
# Two half moons told apart by regression on ±1, with a network that keeps its layers in a list.
from itertools import pairwise

import numpy as np
import torch
import torch.nn as nn

history = []
rng = np.random.default_rng(0)
angle = np.pi * rng.random(80)
label = np.where(np.arange(80) % 2 == 0, 1.0, -1.0)
upper = np.stack([np.cos(angle), np.sin(angle)], axis=1)
lower = np.stack([1 - np.cos(angle), 0.5 - np.sin(angle)], axis=1)
points = np.where(label[:, None] > 0, upper, lower) + 0.1 * rng.normal(size=(80, 2))
x = torch.from_numpy(points.astype(np.float32))
y = torch.tensor(label).float().reshape(-1, 1)


class Network(nn.Module):
    def __init__(self, sizes, activations):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.activations = nn.ModuleDict(activations)
        for layer in self.layers:
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x, activation):
        for i, layer in enumerate(self.layers):
            x = layer(x)
            if i < len(self.layers) - 1:
                x = self.activations[activation](x)
        return x


torch.manual_seed(0)
choices = {"leaky": nn.LeakyReLU(0.1), "soft": nn.Softplus(), "rectified": nn.ReLU(inplace=True)}
for activation in choices:
    model = Network([2, 12, 12, 1], choices)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.8)
    losses = {"leaky": nn.HuberLoss(), "soft": nn.SmoothL1Loss(beta=0.5), "rectified": nn.L1Loss()}
    for _ in range(15):
        loss = losses[activation](model(x, activation), y)
        optimizer.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        history.append([loss.item(), norm, *(p.detach().clone() for p in model.parameters())])
    right = ((model(x, activation) > 0) == (y > 0)).float().mean().item()
    print(model if activation == "leaky" else activation, f"{right:.2f} of the points")
