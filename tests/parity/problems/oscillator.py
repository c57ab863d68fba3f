"""Second derivatives in the loss: u'' = -u from the network's own derivatives, and two values."""


def model(torch):
    nn = torch.nn

    class Oscillator(nn.Module):
        def __init__(self):
            super().__init__()
            self.u = nn.Sequential(nn.Linear(1, 12), nn.Tanh(), nn.Linear(12, 1))

        def forward(self, time):
            with torch.enable_grad():
                time = time.detach().requires_grad_()
                u = self.u(time)
                (velocity,) = torch.autograd.grad(u.sum(), time, create_graph=True)
                (acceleration,) = torch.autograd.grad(velocity.sum(), time, create_graph=True)
            return torch.cat([u, velocity, acceleration], dim=1)

    return Oscillator()


def data(torch):
    time = torch.linspace(0, 3, 40).reshape(-1, 1)
    return time, torch.zeros(40, 1)


def loss(torch, prediction, y):
    residual = prediction[:, 2:] + prediction[:, :1] - y
    start = (prediction[0, 0] - 1) ** 2 + prediction[0, 1] ** 2
    return (residual**2).mean() + start


epochs = 200
