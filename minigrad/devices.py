"""Devices: there is only the CPU. Code that asks for another one finds that it is not there."""

from dataclasses import dataclass
from typing import Any


@dataclass(init=False, unsafe_hash=True)
class device:  # noqa: N801 - torch's name
    """`torch.device`: where a tensor's memory is.

    Raises:
        RuntimeError: it is another one than "cpu".
        TypeError: it is neither text, a number nor a device.
    """

    type: str

    def __init__(self, device: Any) -> None:
        if not isinstance(device, (str, int, type(self))):
            raise TypeError(f"device: expected 'cpu', not a {type(device).__name__}")
        if str(device) != "cpu":
            raise RuntimeError(f"device: expected 'cpu', the only one that is here, not {device!r}")
        self.type = "cpu"

    def __str__(self) -> str:
        return self.type
