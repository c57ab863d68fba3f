"""A polynomial of third order that fades out: parameters of the model's own, no layers."""


def model(torch):
    nn = torch.nn

    class Polynomial(nn.Module):
        def __init__(self):
            super().__init__()
            self.coefficients = nn.Parameter(torch.randn(4))
            self.rate = nn.Parameter(torch.full((1,), 0.1))
            self.offset = nn.Parameter(torch.full((1,), 0.5))
            self.order = nn.Parameter(torch.full((1,), 1.5))

        def forward(self, x):
            powers = torch.cat([torch.ones_like(x), x, x**2, x**3], dim=1)
            fading = torch.exp(-self.rate * (x.abs() + self.offset) ** self.order)
            return (powers * self.coefficients).sum(dim=1, keepdim=True) * fading

    return Polynomial()


def data(torch):
    x = torch.linspace(-2, 2, 80).reshape(-1, 1)
    return x, torch.exp(x / 2) - x


def optimizer(torch, parameters):
    return torch.optim.SGD(parameters, lr=0.01, momentum=0.5, dampening=0.1)


epochs = 200
