"""A residual network: each block adds to what it was given. The first layer learns faster."""


def model(torch):
    nn = torch.nn

    class Block(nn.Module):
        def __init__(self, width):
            super().__init__()
            self.first = nn.Linear(width, width)
            self.second = nn.Linear(width, width)

        def forward(self, x):
            return x + 0.5 * self.second(torch.relu(self.first(x)))

    return nn.Sequential(nn.Linear(1, 8), Block(8), Block(8), nn.Linear(8, 1))


def optimizer(torch, parameters):
    first, *others = parameters
    return torch.optim.SGD([{"params": first, "lr": 0.006}, {"params": others}], lr=0.003)


epochs = 200
