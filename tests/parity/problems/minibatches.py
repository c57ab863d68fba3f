"""Mini-batches of 16 of 100 samples, in another order each epoch; the last has 4.

Within each the features are standardised.
"""


def model(torch):
    nn = torch.nn

    class Standardised(nn.Module):
        def forward(self, x):
            return (x - x.mean(dim=0)) / torch.sqrt(x.var(dim=0, unbiased=False) + 0.01)

    return nn.Sequential(nn.Linear(1, 16), Standardised(), nn.Sigmoid(), nn.Linear(16, 1))


epochs = 30
batch_size = 16
shuffle = True
