"""A learning rate that is halved every 20 epochs; the loss is a norm."""


def model(torch):
    nn = torch.nn
    return nn.Sequential(nn.Linear(1, 16), nn.Softplus(), nn.Linear(16, 1))


def data(torch):
    x = torch.linspace(-4, 4, 40).reshape(-1, 1)
    return x, x**2 + torch.randn(40, 1)


def loss(torch, prediction, y):
    return (prediction - y).norm(dim=0).sum() / 10


def optimizer(torch, parameters):
    return torch.optim.SGD(parameters, lr=0.02, momentum=0.5)


def scheduler(torch, optimizer):
    return torch.optim.lr_scheduler.StepLR(optimizer, step_size=20, gamma=0.5)


epochs = 100
