"""Huber's loss, and Nesterov's momentum with weight decay."""


def model(torch):
    nn = torch.nn
    return nn.Sequential(nn.Linear(1, 16), nn.ReLU(), nn.Linear(16, 1))


def loss(torch, prediction, y):
    return torch.nn.HuberLoss(delta=2.0)(prediction, y)


def optimizer(torch, parameters):
    return torch.optim.SGD(parameters, lr=0.01, momentum=0.9, weight_decay=0.01, nesterov=True)


epochs = 200
