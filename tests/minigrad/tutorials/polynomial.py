# mypy: ignore-errors
# A polynomial of too high a degree, with and without weight decay, judged on points held out.
import torch
import torch.nn as nn
import torch.nn.functional as F

history = []
torch.manual_seed(2)
n, held_out, degree = 40, 10, 8
x = torch.linspace(-1, 1, n).unsqueeze(1)
y = 1.5 * x - 0.7 * x**2 + 0.4 * x**3 + 0.1 * torch.randn(n, 1)
powers = torch.cat([x**k for k in range(1, degree + 1)], dim=1)
order = torch.randperm(n)
train, validation = order[held_out:], order[:held_out]
print(train.shape, validation.tolist())


def fit(weight_decay):
    torch.manual_seed(5)
    model = nn.Linear(degree, 1)
    optimizer = torch.optim.SGD(
        [{"params": model.weight, "weight_decay": weight_decay}, {"params": model.bias}], lr=0.1
    )
    for _ in range(25):
        model.train()
        loss = F.mse_loss(model(powers[train]), y[train])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        model.eval()
        with torch.no_grad():
            other = F.mse_loss(model(powers[validation]), y[validation])
        history.append([loss.item(), other, model.weight.detach().clone()])
    print(f"weight decay {weight_decay}: {loss.item():.3f}, held out {other.item():.3f}")
    return (model.weight**2).sum().sqrt().item()


print(f"norm of the weights {fit(0):.3f}, and {fit(0.3):.3f}")
