# mypy: ignore-errors
# Nonlinear least squares: a·e^(-b·t) + c is fitted by Gauss and Newton's method, with jacobian.
import numpy as np
import torch
from torch.autograd.functional import jacobian

history = []
torch.manual_seed(6)
t = torch.linspace(0, 4, 30, dtype=torch.float64)
truth = torch.tensor([2.5, 1.3, 0.5], dtype=torch.float64)


def curve(theta):
    a, b, c = theta
    return a * (-b * t).exp() + c


data = curve(truth) + 0.01 * torch.randn(30, dtype=torch.float64)
theta = torch.tensor([1.0, 1.0, 1.0], dtype=torch.float64)
for _ in range(6):
    residuals = curve(theta) - data
    j = jacobian(curve, theta)
    step = np.linalg.solve((j.T @ j).numpy(), (j.T @ residuals).numpy())
    theta = theta - torch.from_numpy(step)
    history.append([(residuals @ residuals).item(), theta, j])
print([f"{value:.3f}" for value in theta.tolist()], (theta - truth).abs().amax().item() < 0.05)
