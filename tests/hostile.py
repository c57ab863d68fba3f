"""Safetensors files that somebody spoiled: bytes, lengths, and what the header says."""

import json
import random
import struct
from typing import Any

ODD: list[Any] = [
    *(0, 1, -1, 2**31, 2**63, 2**64, 10**30, -(2**70), 1e308, True, None, "", "x", [], {}, [[]]),
    *("F32", "F64", "BF16", "BOOL", "F8_E4M3", "I64", "\ud800", "\0", "a" * 10_000, "__metadata__"),
    *([0, 0], [0, 2**62], [8, 0], [2**32, 2**32], [-1], [0] * 1000, [1.5], [[1]], {"a": 1}),
]


def spoiled(good: bytes, chance: random.Random) -> bytes:
    """Return a good file with something wrong; its header in an object of text and lists."""
    length = struct.unpack("<Q", good[:8])[0]
    if chance.random() < 0.3:
        return _bytes(good, chance, length)
    header = json.loads(good[8 : 8 + length])
    for _ in range(chance.randint(1, 3)):
        _change(header, chance)
    text = json.dumps(header).encode()
    if chance.random() < 0.1:
        text = text.replace(b"{", b"[" * chance.choice([1, 2, 100_000]), 1)
    claimed = len(text) if chance.random() < 0.9 else chance.choice([0, 1, len(text) - 1, 2**40])
    return struct.pack("<Q", claimed) + text + good[8 + length :]


def _bytes(good: bytes, chance: random.Random, length: int) -> bytes:
    data = bytearray(good)
    for _ in range(chance.randint(1, 4)):
        most = len(data) if chance.random() < 0.5 else min(length + 8, len(data))
        data[chance.randrange(most)] ^= chance.randint(1, 255)
    if chance.random() < 0.3:
        del data[chance.randrange(len(data)) :]
    if chance.random() < 0.3:
        data += chance.randbytes(chance.randint(1, 20))
    return bytes(data)


def _change(header: Any, chance: random.Random) -> None:
    """Change, remove or add something in a document, at a random depth, texts of JSON too."""
    place = header
    while isinstance(place, dict) and place:
        name = chance.choice(sorted(place))
        inner = place[name]
        if name == "case" and isinstance(inner, str) and inner[:1] == "{" and chance.random() < 0.9:
            document = json.loads(inner)
            _change(document, chance)
            place[name] = json.dumps(document)
            return
        if isinstance(inner, dict) and chance.random() < 0.8:
            place = inner
            continue
        kind = chance.random()
        if kind < 0.15:
            del place[name]
        elif kind < 0.25:
            place[str(chance.choice(ODD))[:20]] = inner
        elif kind < 0.27:
            place |= {f"{name}{number}": inner for number in range(30_000)}
        else:
            place[name] = chance.choice(ODD)
        return
