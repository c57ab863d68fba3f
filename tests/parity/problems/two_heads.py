"""The product of two heads on one body; what is maximised is a loss's negative."""


def model(torch):
    nn = torch.nn

    class Heads(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Linear(1, 12), nn.ReLU())
            self.value = nn.Linear(12, 1)
            self.gate = nn.Linear(12, 1)

        def forward(self, x):
            features = self.body(x)
            return self.value(features) * self.gate(features)

    return Heads()


def loss(torch, prediction, y):
    return -torch.nn.functional.smooth_l1_loss(prediction, y, beta=0.5)


def optimizer(torch, parameters):
    return torch.optim.SGD(parameters, lr=1e-3, weight_decay=0.01, maximize=True)


epochs = 200
