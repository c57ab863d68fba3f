"""Learning rates that change as training goes on: after each epoch `scheduler.step()` sets them."""

import types
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from minigrad.optim.sgd import SGD
from minigrad.tensor import Tensor


class LRScheduler:
    """Base of schedulers: a subclass defines `get_lr`, the learning rates of this epoch.

    Args:
        optimizer: whose groups' 'lr' is set, at once and at every `step`.
        last_epoch: the epoch that was the last when training goes on from an earlier run; -1 at
            the beginning, which also keeps each group's 'lr' as its 'initial_lr'.

    Attributes:
        base_lrs: each group's 'initial_lr'.

    Raises:
        TypeError: the optimizer is none.
        KeyError: training goes on, and a group has no 'initial_lr'.
    """

    _get_lr_called_within_step = False

    def __init__(self, optimizer: SGD, last_epoch: int = -1) -> None:
        if not isinstance(optimizer, SGD):
            raise TypeError(
                f"{type(self).__name__}: {type(optimizer).__name__} is not an Optimizer: give the "
                "SGD whose learning rate is to change"
            )
        self.optimizer = optimizer
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", _copied(group["lr"]))
            elif "initial_lr" not in group:
                raise KeyError(
                    f"param 'initial_lr' is not specified in param_groups[{i}] when resuming with "
                    "last_epoch >= 0: load the optimizer's state_dict first"
                )
        self.base_lrs = [_copied(group["initial_lr"]) for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        optimizer._opt_called = False
        self._step_count = 0
        self._is_initial = False
        self.step()

    def step(self) -> None:
        """Go on to the next epoch, and set the learning rates."""
        if self._step_count == 1 and not self.optimizer._opt_called:
            warnings.warn(
                "Detected call of `lr_scheduler.step()` before `optimizer.step()`: the first value "
                "of the learning rate is skipped. Call them in the opposite order.",
                stacklevel=2,
            )
        self._step_count += 1
        self.last_epoch += 1
        self._get_lr_called_within_step = True
        try:
            rates = self.get_lr()
        finally:
            self._get_lr_called_within_step = False
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            if isinstance(group["lr"], Tensor):  # in its place
                group["lr"].fill_(rate.item() if isinstance(rate, Tensor) else rate)
            else:
                group["lr"] = rate
        self._last_lr = self._rates()

    def get_lr(self) -> list[Any]:
        """Return the learning rates of epoch `last_epoch`, one for each group."""
        raise NotImplementedError(f"{type(self).__name__}: a scheduler defines get_lr")

    def get_last_lr(self) -> list[Any]:
        """Return the learning rates that were set last."""
        return self._last_lr

    def state_dict(self) -> dict[str, Any]:
        """Return everything but the optimizer, to go on from later."""
        return {name: value for name, value in vars(self).items() if name != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        vars(self).update(state_dict)

    def _rates(self) -> list[Any]:
        return [_copied(group["lr"]) for group in self.optimizer.param_groups]

    def _warn_outside_of_step(self) -> None:
        if not self._get_lr_called_within_step:
            warnings.warn(
                "To get the last learning rate computed by the scheduler, please use "
                "`get_last_lr()`: get_lr() is for step() alone.",
                stacklevel=3,
            )


class StepLR(LRScheduler):
    """Multiply the learning rates by gamma every step_size epochs; see `LRScheduler`."""

    def __init__(
        self, optimizer: SGD, step_size: int, gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.step_size = step_size
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        """Return the learning rates of this epoch."""
        self._warn_outside_of_step()
        if self.last_epoch == 0 or self.last_epoch % self.step_size != 0:
            return self._rates()
        return [group["lr"] * self.gamma for group in self.optimizer.param_groups]


class LambdaLR(LRScheduler):
    """Multiply the initial learning rates by a function of the epoch; see `LRScheduler`.

    Args:
        lr_lambda: the function, or one for each group.

    Raises:
        ValueError: there are more or fewer functions than groups.
    """

    def __init__(
        self,
        optimizer: SGD,
        lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:
        groups = len(optimizer.param_groups)
        functions = (
            list(lr_lambda) if isinstance(lr_lambda, (list, tuple)) else [lr_lambda] * groups
        )
        if len(functions) != groups:
            raise ValueError(
                f"LambdaLR: Expected {groups} lr_lambdas, one for each group, but got "
                f"{len(functions)}"
            )
        self.lr_lambdas: list[Any] = functions
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        """Return the learning rates of this epoch."""
        self._warn_outside_of_step()
        pairs = zip(self.lr_lambdas, self.base_lrs, strict=True)
        return [rate * function(self.last_epoch) for function, rate in pairs]

    def state_dict(self) -> dict[str, Any]:
        """Return everything but the optimizer; of functions nothing, of callable objects their own.

        See `LRScheduler.state_dict`.
        """
        kept = [
            None if isinstance(function, types.FunctionType) else vars(function).copy()
            for function in self.lr_lambdas
        ]
        state = super().state_dict()
        del state["lr_lambdas"]
        return {**state, "lr_lambdas": kept}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` returned; functions stay what they are."""
        vars(self).update({k: v for k, v in state_dict.items() if k != "lr_lambdas"})
        for function, attributes in zip(self.lr_lambdas, state_dict["lr_lambdas"], strict=False):
            if attributes is not None:
                vars(function).update(attributes)


def _copied(rate: Any) -> Any:
    """Return a learning rate that is not changed with the group's, which may be a tensor."""
    return rate.clone() if isinstance(rate, Tensor) else rate
