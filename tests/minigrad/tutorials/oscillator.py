# mypy: ignore-errors
# A physics-informed fit: a network becomes the solution of u'' = -u with u(0) = 0 and u'(0) = 1.
import torch
import torch.nn as nn

history = []
torch.manual_seed(4)
model = nn.Sequential(nn.Linear(1, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
t = torch.linspace(0, 2, 21).reshape(-1, 1).requires_grad_()
start = torch.zeros(1, 1, requires_grad=True)


def derivative(u, t):
    (found,) = torch.autograd.grad(u, t, torch.ones_like(u), create_graph=True)
    return found


for _ in range(20):
    optimizer.zero_grad()
    u = model(t)
    residual = derivative(derivative(u, t), t) + u
    u0 = model(start)
    loss_equation = (residual**2).mean()
    loss_start = (u0**2).squeeze() + ((derivative(u0, start) - 1) ** 2).squeeze()
    loss = loss_equation + loss_start
    loss.backward()
    optimizer.step()
    history.append([loss.item(), residual.detach().clone(), model[2].weight.grad.clone()])
print(f"{loss.item():.5f} from {history[0][0]:.5f}", loss.grad_fn, residual.grad_fn)
