"""Another depth is drawn at each step: the middle layer is used up to three times."""


def model(torch):
    nn = torch.nn

    class RandomDepth(nn.Module):
        def __init__(self):
            super().__init__()
            self.into = nn.Linear(1, 10)
            self.middle = nn.Linear(10, 10)
            self.out = nn.Linear(10, 1)

        def forward(self, x):
            x = torch.relu(self.into(x))
            for _ in range(int(torch.randint(0, 4, ()))):
                x = torch.relu(self.middle(x))
            return self.out(x)

    return RandomDepth()


def optimizer(torch, parameters):
    return torch.optim.SGD(parameters, lr=0.001, momentum=0.5)


epochs = 200
