"""What stands around the steps of a training: schedules, loaders, copies, conversion, clipping."""

import copy
import itertools
from collections.abc import Callable
from typing import Any

from parity.probes.probe import given, integers, normal, probe
from parity.probes.suite import parameter


@probe(exact=True, x=given(1.0, -2.0))
def schedules(lib: Any, inputs: Any, note: Any) -> None:
    """A schedule goes on from the rate that is there, or from the first one, as its class says."""
    made = {
        "StepLR": lambda optimizer: lib.optim.lr_scheduler.StepLR(optimizer, 2, gamma=0.5),
        "LambdaLR": lambda optimizer: lib.optim.lr_scheduler.LambdaLR(
            optimizer, lambda epoch: 1 / 2**epoch
        ),
    }
    for (name, schedule), is_tensor in itertools.product(made.items(), (False, True)):
        title = f"{name}, rate {'a tensor' if is_tensor else 'a number'}"
        _scheduled(lib, note, title, schedule, lib.tensor(0.5) if is_tensor else 0.5)


def _scheduled(lib: Any, note: Any, title: str, schedule: Callable[[Any], Any], rate: Any) -> None:
    """Take five steps, and change the rate by hand before the fourth."""
    p, q = parameter(lib, note, "x"), parameter(lib, note, "x")
    optimizer = lib.optim.SGD([{"params": [p]}, {"params": [q], "lr": 0.25}], lr=rate)
    scheduler = schedule(optimizer)

    def train() -> Any:
        optimizer.zero_grad()
        loss = (p * p + q).sum()
        loss.backward()
        optimizer.step()
        return loss

    take, told = note.captured(train), []
    for step in range(5):
        if step == 3 and isinstance(rate, float):
            optimizer.param_groups[0]["lr"] = 0.125
        take()
        told.append(scheduler.get_last_lr())
        scheduler.step()
        note.updated(f"{title}: step {step}", p)
        note.updated(f"{title}: step {step}, of its own rate", q)
        rates = [group["lr"] * lib.ones(1) for group in optimizer.param_groups]
        note(f"{title}: rates after step {step}", lib.cat(rates), gradient=False)
    rows = lib.tensor([[float(rate) for rate in rates] for rates in told])
    note(f"{title}: what was told", rows, gradient=False)


@probe(exact=True, x=integers(7, 2), seed=integers(1, below=2**20))
def loaders(lib: Any, inputs: Any, note: Any) -> None:
    """The batches of every epoch, and what they leave of the random numbers."""
    x, seed = inputs["x"].detach(), abs(int(inputs["seed"].item()))
    data = lib.utils.data.TensorDataset(x, x[:, 0] * 2)
    for name, own in {"global generator": None, "own generator": lib.Generator()}.items():
        lib.manual_seed(seed)
        if own is not None:
            own.manual_seed(seed)
        options: dict[str, Any] = {"shuffle": True, "generator": own}
        for drop_last in (False, True):
            loader = lib.utils.data.DataLoader(data, 3, drop_last=drop_last, **options)
            for epoch in range(2):
                for i, (rows, targets) in enumerate(loader):
                    title = f"{name}, drop_last={drop_last}, epoch {epoch}, batch {i}"
                    note(f"{title}: rows", rows, gradient=False)
                    note(f"{title}: targets", targets, gradient=False)
        note(f"{name}: drawn next", lib.rand(2, generator=own), gradient=False)


@probe(exact=True, x=integers(2, 3), y=integers(4, 3))
def copies_of_models(lib: Any, inputs: Any, note: Any) -> None:
    """What is copied has memory of its own; what is not shares it, as do a model's two names."""
    layer = lib.nn.Linear(3, 2, bias=False)
    with lib.no_grad():
        layer.weight.copy_(inputs["x"])
    layer(inputs["y"].detach().to(layer.weight.dtype)).sum().backward()
    model = lib.nn.Sequential(layer)
    copied, state = copy.deepcopy(model), model.state_dict()
    kept = copy.deepcopy(state)
    loaded = lib.nn.Sequential(lib.nn.Linear(3, 2, bias=False))
    loaded.load_state_dict(state)
    with lib.no_grad():
        layer.weight.mul_(2)
    note("changed", layer.weight, gradient=False)
    note("copied", copied[0].weight, gradient=False)
    note.flag("the copy has no gradient", copied[0].weight.grad is None)
    note("state", state["0.weight"], gradient=False)
    note("copied state", kept["0.weight"], gradient=False)
    note("loaded", loaded[0].weight, gradient=False)
    note.flag("loaded ones require gradients", loaded[0].weight.requires_grad)
    parts = lib.nn.Parameter(inputs["x"].detach()), copy.deepcopy(inputs["x"])
    inputs["x"].detach().mul_(3)
    note("a parameter shares memory", parts[0], gradient=False)
    note("a copied leaf does not", parts[1], gradient=False)


@probe(exact=True, x=integers(2, 3), y=integers(4, 3))
def converted_models(lib: Any, inputs: Any, note: Any) -> None:
    """Another dtype changes neither what is trained nor how far a gradient has come."""
    model = lib.nn.Sequential(lib.nn.Linear(3, 2, bias=False), lib.nn.Linear(2, 1, bias=False))
    with lib.no_grad():
        model[0].weight.copy_(inputs["x"])
        model[1].weight.fill_(2.0)
    model[0].weight.requires_grad_(False)
    model(inputs["y"].detach().to(model[0].weight.dtype)).sum().backward()
    conversions: dict[str, Callable[[], Any]] = {
        "double": model.double,
        "float": model.float,
        "to": lambda: model.to(lib.float64),
    }
    for name, convert in conversions.items():
        convert()
        for i, layer in enumerate(model):
            note(f"{name}: weight {i}", layer.weight, gradient=False)
            note.flag(f"{name}: weight {i} is trained", layer.weight.requires_grad)
            note.gradient(f"{name}: gradient {i}", layer.weight)


@probe(x=normal(3, 2), y=normal(4), z=normal(1))
def clipped_gradients(lib: Any, inputs: Any, note: Any) -> None:
    """One norm of all gradients together, whatever its kind; what is within it stays what it is."""
    for kind in (2.0, 1.0, 3.0, float("inf")):
        for most in (0.5, 1e3):
            ps = [parameter(lib, note, name) for name in inputs]
            sum((p * p).sum() for p in ps).backward()
            title = f"norm {kind} at most {most}"
            norm = lib.nn.utils.clip_grad_norm_(ps, most, norm_type=kind)
            note(f"{title}: found", norm, gradient=False)
            for i, p in enumerate(ps):
                note.gradient(f"{title}: {i}", p)
    ps = [parameter(lib, note, name) for name in inputs]
    sum((p * p).sum() for p in ps).backward()
    lib.nn.utils.clip_grad_value_(ps, 0.75)
    for i, p in enumerate(ps):
        note.gradient(f"value: {i}", p)


@probe(exact=True, seed=integers(1, below=2**20))
def seeds_between_draws(lib: Any, inputs: Any, note: Any) -> None:
    """A seed, and a state, say what comes next, whatever was drawn before."""
    seed = abs(int(inputs["seed"].item()))
    for count in (1, 2, 3):
        lib.manual_seed(seed)
        state = lib.get_rng_state()
        lib.randn(count)
        lib.manual_seed(seed)
        note(f"seeded after {count}", lib.randn(3), gradient=False)
        lib.set_rng_state(state)
        note(f"put back after {count}", lib.randn(3), gradient=False)
