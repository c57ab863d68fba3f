"""Learning rates that change: values, groups, what is saved and warned of, as in torch."""

from typing import Any

import pytest

import minigrad
from tests.minigrad.sessions import agree, sessions

SESSIONS = sessions(r"""
# every two epochs
w, v = leaf([1.0]), leaf([2.0])
o = T.optim.SGD([{"params": [w]}, {"params": [v], "lr": 0.3}], lr=0.1)
s = schedulers.StepLR(o, 2, gamma=0.5)
rates(o), s.get_last_lr(), s.base_lrs, [g["initial_lr"] for g in o.param_groups], s.last_epoch
for epoch in range(5):
    o.step()
    s.step()
    shown(epoch, [rates(o), s.get_last_lr(), s.last_epoch])
sorted(s.state_dict().items()), list(o.state_dict()["param_groups"][0])

# by a function of the epoch
w = leaf([1.0])
o = T.optim.SGD([w], lr=0.1)
s = schedulers.LambdaLR(o, lambda epoch: 1 / (1 + epoch))
for epoch in range(4):
    o.step()
    s.step()
    shown(epoch, [rates(o), s.get_last_lr()])
sorted(s.state_dict().items())
o = T.optim.SGD([{"params": [w]}, {"params": [leaf([2.0])]}], lr=0.1)
s = schedulers.LambdaLR(o, [lambda epoch: epoch + 1, lambda epoch: 0.95**epoch])
o.step(), s.step(), o.step(), s.step(), rates(o)
refused("Expected 2", schedulers.LambdaLR, o, [lambda epoch: 1.0])

# two at once
o = T.optim.SGD([leaf([1.0])], lr=1.0)
a, b = schedulers.StepLR(o, 1, 0.5), schedulers.StepLR(o, 2, 0.1)
for epoch in range(4):
    o.step(), a.step(), b.step()
    shown(epoch, [rates(o), a.get_last_lr(), b.get_last_lr()])

# going on from what was saved
o = T.optim.SGD([leaf([1.0])], lr=1.0)
s = schedulers.StepLR(o, 3, 0.5)
for epoch in range(4):
    o.step(), s.step()
saved = copy.deepcopy((o.state_dict(), s.state_dict()))
p = T.optim.SGD([leaf([1.0])], lr=0.1)
t = schedulers.StepLR(p, 1)
p.load_state_dict(saved[0]), t.load_state_dict(saved[1])
for epoch in range(4):
    o.step(), s.step(), p.step(), t.step()
    shown(epoch, [rates(o), rates(p), s.get_last_lr(), t.get_last_lr(), t.step_size, t.last_epoch])
rates(T.optim.SGD([leaf([1.0])], lr=1.0))
fresh = T.optim.SGD([leaf([1.0])], lr=1.0)
refused("initial_lr", schedulers.StepLR, fresh, 1, last_epoch=3)
resumed = schedulers.StepLR(p, 3, 0.5, last_epoch=7)
rates(p), resumed.last_epoch, resumed.base_lrs

# an object that is called
class Falling:
    def __init__(self):
        self.factor = 0.5
    def __call__(self, epoch):
        return self.factor**epoch
o = T.optim.SGD([leaf([1.0])], lr=1.0)
s = schedulers.LambdaLR(o, Falling())
state = s.state_dict()
state["lr_lambdas"]
s.load_state_dict({**state, "lr_lambdas": [{"factor": 0.25}]})
o.step(), s.step(), rates(o)

# a learning rate that is a tensor changes in its place
rate = T.tensor(0.5)
o = T.optim.SGD([leaf([1.0])], lr=rate)
s = schedulers.StepLR(o, 1, 0.5)
o.step(), s.step()
rate, o.param_groups[0]["lr"] is rate, s.base_lrs, s.get_last_lr()

# what is warned of and refused
o = T.optim.SGD([leaf([1.0])], lr=1.0)
s = schedulers.StepLR(o, 1)
warned("before .optimizer.step", s.step), warned("get_last_lr", s.get_lr)
refused("not an Optimizer", schedulers.StepLR, 3, 1)
refused("^", schedulers.LRScheduler, o)
""")


@pytest.mark.parametrize("name", SESSIONS)
def test_both_engines_show_the_same(name: str) -> None:
    code = "schedulers = T.optim.lr_scheduler\n" + SESSIONS[name]
    agree(code, rates=lambda o: [group["lr"] for group in o.param_groups])


def test_a_captured_step_follows() -> None:
    losses = []
    for captured in (False, True):
        w = minigrad.tensor([3.0, -1.0], requires_grad=True)
        optimizer = minigrad.optim.SGD([w], lr=0.1, momentum=0.5)
        scheduler = minigrad.optim.lr_scheduler.StepLR(optimizer, 2, 0.5)

        def step(optimizer: Any = optimizer, w: Any = w) -> Any:
            optimizer.zero_grad()
            loss = w.square().sum()
            loss.backward()
            optimizer.step()
            return loss

        run = minigrad.capture(step) if captured else step
        found = []
        for _ in range(6):
            found.append(run().item())
            scheduler.step()
        losses.append(found)
    assert losses[0] == losses[1]
