"""Training steps that are called again and again, each given to `note.captured`.

An engine may record one and replay it: nothing that is computed may tell.
"""

from typing import Any

from parity.probes.probe import given, integers, normal, probe
from parity.probes.suite import parameter


@probe(exact=True, p=integers(3, below=4), x=integers(3, below=4))
def micro_batches_add_up(lib: Any, inputs: Any, note: Any) -> None:
    """Without zero_grad gradients are added up, and taken away they begin anew."""
    p, x = parameter(lib, note, "p"), inputs["x"].detach()

    def step(x: Any) -> Any:
        loss = (p * x).sum()
        loss.backward()
        return loss

    take = note.captured(step)
    for i in range(6):
        if i == 3:
            p.grad = None
        if i == 5:
            p.grad.zero_()
        note(f"loss {i}", take(x * (i + 1)), gradient=False)
        note.gradient(f"after {i}", p)


@probe(exact=True, p=integers(3, below=4), x=integers(3, below=4))
def tensors_made_within(lib: Any, inputs: Any, note: Any) -> None:
    """A tensor that is made in a step and changed in place begins anew at every call."""
    p, x = parameter(lib, note, "p"), inputs["x"].detach()

    def step(x: Any) -> Any:
        total, ones = lib.zeros(3, dtype=x.dtype), lib.ones_like(x)
        total += p.detach() * x
        whole = lib.zeros((), dtype=x.dtype)
        for _ in range(2):
            whole += (p * x).detach().sum()
        ones.mul_(x).add_(2)
        made = lib.tensor([1.0, 2.0, 3.0], dtype=x.dtype)
        made[1] = x[0]
        return total, whole, ones, made

    take = note.captured(step)
    for i in range(3):
        for j, value in enumerate(take(x + i)):
            note(f"call {i}: {j}", value, gradient=False)


@probe(exact=True, p=integers(3, below=4), x=integers(3, below=4))
def results_are_kept(lib: Any, inputs: Any, note: Any) -> None:
    """What a step returned is not changed by the next one, nor by what the step computes later."""
    p, x = parameter(lib, note, "p"), inputs["x"].detach()

    def step(x: Any) -> Any:
        p.grad = None
        twice = p * x * 2
        both = lib.cat([p * 3, (twice + 1).relu(), x * 5])
        rows = lib.stack([twice * 1, x - p])
        loss = (both * both).sum() + (rows * rows).sum()
        loss.backward()
        with lib.no_grad():
            p.sub_(p.grad)
            between = (p * x).sum()
            p.copy_(x)
        return loss, twice, both, rows, between

    take = note.captured(step)
    kept = [take(x + i) for i in range(4)]
    for i, values in enumerate(kept):
        for j, value in enumerate(values):
            note(f"call {i}: {j}", value, gradient=False)
    note.updated("p", p)


factor: Any = 1
"""A global variable, which a step refers to."""


@probe(exact=True, p=integers(3, below=4), x=integers(3, below=4))
def what_a_step_refers_to(lib: Any, inputs: Any, note: Any) -> None:
    """Names stand for something else, data are changed in place: the next call sees it."""
    global factor
    p, x = parameter(lib, note, "p"), inputs["x"].detach()
    factor = 1
    data, scale, weight = x * 1, x * 1, 1
    optimizer = lib.optim.SGD([p], lr=0.5)

    def error() -> Any:
        factor = weight  # the function's own variable, not the global one
        return sum((p * scale * (lambda: factor)() + data * data)[i] for i in range(3))

    def step() -> Any:
        def closure() -> Any:
            optimizer.zero_grad()
            loss = error() + (p * scale * factor).sum()
            loss.backward()
            return loss

        return optimizer.step(closure)

    take = note.captured(step)
    group = optimizer.param_groups[0]
    for i in range(11):
        if i == 2:
            scale = x * -3
        if i == 1:
            factor = x * 2
        if i == 3:
            weight = -2
        if i == 4:
            data.fill_(3.0)
        if i == 6:
            group["weight_decay"] = 0.5
        if i == 8:
            group["momentum"] = 0.5
        if i == 10:
            group["lr"], group["maximize"] = 0.25, True
        note(f"loss {i}", take(), gradient=False)
        note.updated(f"p {i}", p)
        if i % 2:
            with lib.no_grad():
                p.copy_(x)


@probe(p=normal(3), q=normal(2), x=normal(3))
def options_between_steps(lib: Any, inputs: Any, note: Any) -> None:
    """Options take other values, and parameters are frozen and thawed: the next step sees it."""
    p, q, x = parameter(lib, note, "p"), parameter(lib, note, "q"), inputs["x"].detach()
    options = {"momentum": 0.5, "dampening": 0.25, "weight_decay": 0.125}
    optimizer = lib.optim.SGD([p, q], lr=0.1, **options)

    def step() -> Any:
        optimizer.zero_grad()
        loss = (p * p * x).sum() + (q * q).sum()
        loss.backward()
        optimizer.step()
        return loss

    take = note.captured(step)
    changes = ({"momentum": 0.75}, {"weight_decay": 0.5}, {"dampening": 0.5}, {"lr": 0.05})
    for i in range(15):
        if i in (3, 5, 7, 9):
            optimizer.param_groups[0].update(changes[(i - 3) // 2])
        if i in (11, 13):
            q.requires_grad_(i == 13)
        note(f"loss {i}", take(), gradient=False)
        for name, each in {"p": p, "q": q}.items():
            note.gradient(f"{name} {i}", each)
            note.updated(f"{name} {i}", each)


@probe(x=normal(4), y=normal(4))
def numbers_of_two_dtypes(lib: Any, inputs: Any, note: Any) -> None:
    """A number has the precision of the tensor that it meets, at each place by itself."""
    x, y = inputs["x"].detach().float(), inputs["y"].detach().double()

    def step(x: Any, y: Any) -> Any:
        return x * 0.1, y * 0.1, (x + 0.3) * 0.1, y + 0.3

    take = note.captured(step)
    for i in range(3):
        for j, value in enumerate(take(x + i, y - i)):
            note(f"call {i}: {j}", value, gradient=False)


@probe(exact=True, x=integers(3, below=4))
def numbers_among_arguments(lib: Any, inputs: Any, note: Any) -> None:
    """Numbers that change from call to call: by position, in a list and by name."""
    x = inputs["x"].detach()

    def step(x: Any, factor: int, added: list[int], *, taken: int) -> Any:
        return x * factor + added[0] - taken

    take = note.captured(step)
    for i in range(8):
        n = i // 2  # twice each: the second call may be a replay
        note(f"call {i}", take(x, n, [16 * n], taken=64 * n), gradient=False)


@probe(exact=True, a=given(1.0, 2.0), b=given(3.0, 4.0), c=given(-2.0))
def groups_that_share_a_step(lib: Any, inputs: Any, note: Any) -> None:
    """Updates alike but for a number, and values that are read between two of them."""
    a, b, c = (parameter(lib, note, name) for name in inputs)
    groups = [{"params": [a]}, {"params": [b], "lr": 0.25}, {"params": [c], "weight_decay": 0.5}]
    optimizer = lib.optim.SGD(groups, lr=0.125)

    def step() -> Any:
        optimizer.zero_grad()
        loss = (a * a).sum() + (b * b).sum() + (c * c).sum()
        loss.backward()
        optimizer.step()
        with lib.no_grad():
            a.sub_(a.grad * 0.125)
            between = (a * b).sum()
            b.sub_(b.grad * 0.125)
        return loss, between

    take = note.captured(step)
    for i in range(3):
        for j, value in enumerate(take()):
            note(f"call {i}: {j}", value, gradient=False)
        for name, p in {"a": a, "b": b, "c": c}.items():
            note.updated(f"call {i}: {name}", p)


@probe(exact=True, p=integers(3, below=4), x=integers(3, below=4))
def steps_at_once(lib: Any, inputs: Any, note: Any) -> None:
    """Several steps in one call leave what as many calls leave, in the arguments' gradients too."""
    p, x = parameter(lib, note, "p"), inputs["x"]
    optimizer = lib.optim.SGD([p], lr=0.5, momentum=0.5)

    def step(x: Any) -> Any:
        optimizer.zero_grad()
        loss = (p * x).sum()
        loss.backward()
        optimizer.step()
        return loss

    take = note.captured(step)
    for times in (1, 6, 4):
        losses = lib.stack(note.repeated(take, times, x))
        note(f"losses of {times}", losses, gradient=False)
        note.gradient(f"by x after {times}", x)
        note.updated(f"p after {times}", p)
