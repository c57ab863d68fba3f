"""`torch.cuda`, as far as code asks whether it is there before it uses it."""


def is_available() -> bool:
    """Return False: there is only the CPU."""
    return False
