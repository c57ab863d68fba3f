"""Devices: there is only the CPU. Code that asks for another one finds that it is not there."""

from __future__ import annotations

from typing import Any


class device:  # noqa: N801 - torch's name
    """`torch.device`: where a tensor's memory is.

    Raises:
        RuntimeError: it is another one than "cpu".
        TypeError: it is neither text nor a device.
    """

    def __init__(self, device: Any) -> None:
        if not isinstance(device, (str, type(self))):
            raise TypeError(f"device: expected 'cpu', not a {type(device).__name__}")
        if str(device) != "cpu":
            raise RuntimeError(f"device: expected 'cpu', the only one that is here, not {device!r}")
        self.type = "cpu"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self))

    def __hash__(self) -> int:
        return hash(self.type)

    def __str__(self) -> str:
        return self.type

    def __repr__(self) -> str:
        return f"device(type={self.type!r})"
