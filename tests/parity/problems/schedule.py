"""A learning rate that is halved every 20 epochs."""


def model(torch):
    nn = torch.nn
    return nn.Sequential(nn.Linear(1, 16), nn.Softplus(), nn.Linear(16, 1))


def optimizer(torch, parameters):
    return torch.optim.SGD(parameters, lr=0.02, momentum=0.5)


def scheduler(torch, optimizer):
    return torch.optim.lr_scheduler.StepLR(optimizer, step_size=20, gamma=0.5)


epochs = 100
