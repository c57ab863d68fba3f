"""LeakyReLU, layers without a bias, weight decay without momentum, and a sum as the loss."""


def model(torch):
    nn = torch.nn
    return nn.Sequential(
        nn.Linear(1, 16, bias=False),
        nn.LeakyReLU(0.125),
        nn.Linear(16, 16, bias=False),
        nn.LeakyReLU(0.125),
        nn.Linear(16, 1, bias=False),
    )


def loss(torch, prediction, y):
    return torch.nn.functional.mse_loss(prediction, y, reduction="sum") / 128


def optimizer(torch, parameters):
    return torch.optim.SGD(parameters, lr=0.01, weight_decay=1e-3)


epochs = 200
