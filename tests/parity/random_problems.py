"""Problems drawn at random: the same number, the same problem. Each is a text in torch's names."""

from itertools import pairwise
from random import Random

from parity.problems.written import Problem

ACTIVATIONS = """
torch.relu(h)
torch.tanh(h)
torch.sigmoid(h)
h.sin()
h.cos() * h
h.abs()
h.clamp(-0.5, 1.5)
torch.exp(-h * h)
torch.sqrt(h * h + 1)
torch.log(h.abs() + 1)
torch.log(h**2 + 1)
h / (1 + h.abs())
h**3 / 4
(h.abs() + 0.5) ** 1.5
torch.maximum(h, 0.25 * h)
torch.minimum(h, h.detach() ** 2 + 0.5)
torch.where(h > 0, h, 0.5 * h * h)
F.leaky_relu(h, 0.1)
F.softplus(h, beta=2.0)
F.relu(h) - F.relu(-h - 1)
nn.LeakyReLU(0.2)(h)
nn.Softplus()(h)
nn.Tanh()(h)
nn.Sigmoid()(h)
""".strip().split("\n")
"""What becomes of h, of shape (samples, width), element by element."""

ACROSS = """
h - h.mean(dim=1, keepdim=True)
h * h.mean(dim=0)
h / (h.norm(dim=1, keepdim=True) + 1)
h / (h.norm(p=3, dim=1, keepdim=True) + 1)
h / (h.norm(p=1) + 1)
(h - h.mean(dim=0)) / torch.sqrt(h.var(dim=0, unbiased=False) + 0.5)
h - h.amax(dim=1, keepdim=True)
h + h.sum(dim=1, keepdim=True) / h.shape[1]
h * (h - h.amin(dim=0))
h[:, list(range(h.shape[1]))[::-1]]
h[:, [0, *range(h.shape[1])]]
torch.cat([h, h[:, :1] * h[:, -1:]], dim=1)
torch.cat([h[:, 1:], h, torch.ones_like(h)], dim=1)
torch.stack([h, h * h], dim=2).mean(dim=2)
h.t().reshape(h.shape[1], -1).t()
h.unsqueeze(1).expand(-1, 2, -1).sum(dim=1)
(h.unsqueeze(2) @ h.unsqueeze(1)).mean(dim=2)
""".strip().split("\n")
"""What becomes of h as a whole; some of these change its width."""

LOSSES = """
F.mse_loss(p, y)
F.mse_loss(p, y, reduction="sum") / 8
F.l1_loss(p, y)
F.smooth_l1_loss(p, y, beta=0.5)
F.huber_loss(p, y, delta=0.75)
F.huber_loss(p, y, reduction="none").mean(dim=0).sum()
nn.SmoothL1Loss()(p, y)
(p - y).abs().sum() / len(y)
((p - y) ** 2).mean(dim=1).sum() / len(y)
(p - y).norm()
(p - y).norm(dim=1).mean()
torch.sqrt((p - y) ** 2 + 1).mean()
(F.softplus(p - y) + F.softplus(y - p)).mean()
torch.log(1 + (p - y).square()).mean() + 0.01 * p.pow(2).mean()
(p - y)[::2].square().mean() + p[0].abs().sum()
""".strip().split("\n")

SCHEDULERS = ("StepLR(optimizer, 2)", "LambdaLR(optimizer, lambda epoch: 1 / (1 + epoch))")


def problem(number: int) -> Problem:
    """Return the problem of this number."""
    name = f"random_{number}"
    return Problem(name, f"{name}.py", _source(Random(number)))


def _source(random: Random) -> str:
    def one(*of: str) -> str:
        return random.choice(of)

    inputs, outputs, samples = random.randint(1, 3), random.randint(1, 2), random.randint(3, 30)
    widths = [inputs, *(random.randint(2, 8) for _ in range(random.randint(0, 3)))]
    parts: list[str] = []
    layers = [_linear(a, b, random) for a, b in pairwise(widths)]
    body = []
    for i, width in enumerate(widths[1:]):
        body.append(f"h = self.layers[{i}](h)")
        kind = random.randrange(7)
        if kind == 0:
            parts += [f"self.skip{i} = {_linear(width, width, random)}"]
            body.append(f"h = h + 0.5 * self.skip{i}({one(*ACTIVATIONS)})")
        elif kind == 1:
            parts += [f"self.{head}{i} = {_linear(width, width, random)}" for head in "ab"]
            body.append(f"h = self.a{i}(h) * self.b{i}({one(*ACTIVATIONS)})")
        elif kind == 2:
            parts += [f"self.scale{i} = nn.Parameter(1 + 0.25 * torch.randn({width}))"]
            body.append(f"h = h * self.scale{i} + self.scale{i}[0]")
        elif kind == 3:
            parts += [f"self.product{i} = nn.Parameter(torch.randn({width}, {width}) / 2)"]
            body.append(f"h = h @ self.product{i} - 0.1 * self.product{i}.norm()")
        elif kind == 4:
            body += [f"h = self.again{i}({one(*ACTIVATIONS)})"] * 2
            parts += [f"self.again{i} = {_linear(width, width, random)}"]
        body.append(f"h = {one(*ACTIVATIONS)}")
        if random.random() < 0.3:
            body += [f"h = {one(*ACROSS)}", f"h = h[:, :{width}]"]
    parts += [f"self.out = {_linear(widths[-1], outputs, random)}"]
    last = one("self.out(h)", "self.out(h)", f"self.out({one(*ACTIVATIONS)})")
    options = [f"lr={one('1e-4', '1e-3', '0.01', '0.05')}"]
    if random.random() < 0.5:
        options += [f"momentum={one('0.5', '0.9')}", one("nesterov=True", "dampening=0.25", "")]
    options += [one("weight_decay=1e-2", ""), one("maximize=True", "", "", "", "", "")]
    x = one(
        f"torch.randn({samples}, {inputs})",
        f"torch.rand({samples}, {inputs}) * 4 - 2",
        f"torch.linspace(-3, 3, {samples * inputs}).reshape({samples}, {inputs})",
    )
    y = one("s * s", "torch.sin(s)", "s.abs() + 0.1 * torch.randn_like(s)", "(s > 0) * 1.0", "s")
    lines = [
        "def model(torch):",
        "    nn, F = torch.nn, torch.nn.functional",
        "    class Drawn(nn.Module):",
        "        def __init__(self):",
        "            super().__init__()",
        f"            self.layers = nn.ModuleList([{', '.join(layers)}])",
        *(f"            {part}" for part in parts),
        "        def forward(self, h):",
        *(f"            {line}" for line in body),
        f"            return {last}",
        "    return Drawn()",
        "def data(torch):",
        f"    x = {x}",
        "    s = x.sum(dim=1, keepdim=True)",
        f"    return x, torch.cat([{', '.join([y] * outputs)}], dim=1)",
        "def loss(torch, p, y):",
        "    nn, F = torch.nn, torch.nn.functional",
        f"    return {one(*LOSSES)}",
        "def optimizer(torch, parameters):",
        f"    return torch.optim.SGD(parameters, {', '.join(filter(None, options))})",
    ]
    if random.random() < 0.25:
        lines += [
            "def scheduler(torch, optimizer):",
            f"    return torch.optim.lr_scheduler.{one(*SCHEDULERS)}",
        ]
    if random.random() < 0.4:
        lines += [f"batch_size = {random.randint(2, samples)}", f"shuffle = {one('True', 'False')}"]
    return "\n".join(lines) + "\n"


def _linear(inputs: int, outputs: int, random: Random) -> str:
    bias = "" if random.random() < 0.75 else ", bias=False"
    return f"nn.Linear({inputs}, {outputs}{bias})"
