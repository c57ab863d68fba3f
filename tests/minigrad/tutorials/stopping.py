# mypy: ignore-errors
# Training that ends when the loss on held-out points no longer falls, and goes back to its best.
import copy

import torch
import torch.nn as nn
from torch.optim.lr_scheduler import StepLR

history = []
torch.manual_seed(3)
x = torch.linspace(-2, 2, 30).reshape(-1, 1)
y = x.abs() + 0.3 * torch.randn(30, 1)
train, held_out = slice(0, None, 2), slice(1, None, 2)
model = nn.Sequential(nn.Linear(1, 20), nn.Tanh(), nn.Linear(20, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.9)
scheduler = StepLR(optimizer, step_size=15, gamma=0.5)
criterion = nn.MSELoss()
best, best_state, waited = float("inf"), None, 0
for epoch in range(60):
    optimizer.zero_grad()
    loss = criterion(model(x[train]), y[train])
    loss.backward()
    optimizer.step()
    scheduler.step()
    with torch.no_grad():
        other = criterion(model(x[held_out]), y[held_out]).item()
    history.append([loss.item(), other, *scheduler.get_last_lr(), model[0].weight.detach().clone()])
    if other < best - 1e-4:
        best, best_state, waited = other, copy.deepcopy(model.state_dict()), 0
    else:
        waited += 1
    if waited == 8:
        break
print(f"stopped after epoch {epoch}, best {best:.4f}")
print(model.load_state_dict(best_state), list(best_state))
again = criterion(model(x[held_out]), y[held_out]).item()
history.append([again, *model.state_dict().values()])
print(again == best)
