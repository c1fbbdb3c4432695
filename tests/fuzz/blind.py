"""Changes that know nothing of a file, and the odd values that all others use."""

from __future__ import annotations

from random import Random
from typing import Any

CANARY = "pwned"  # what hostile files try to write
OUTSIDE = "outside"  # the folder beside the sandbox that nobody may touch
INTEGERS = (
    0,
    1,
    -1,
    2,
    127,
    255,
    256,
    32767,
    65535,
    2**31 - 1,
    -(2**31),
    2**32 - 1,
    2**53,
    2**63 - 1,
    2**64,
    10**400,
)
FLOATS = (0.0, -0.0, 1e-310, 1e308, -1e38, float("nan"), float("inf"), float("-inf"))
TEXTS = (
    "",
    " ",
    "nan",
    "a" * 5000,
    "\0",
    "é\u202e\n",
    "{}",
    "%s%n",
    "C:\\x",
    "-->",
    '"',
    "0x10",
    "1e999",
    "9" * 5000,
)


def climbing(rng: Random) -> str:
    """A name that leads out of the folder that it is used in."""
    return rng.choice(
        ["/etc/passwd", "/dev/zero", "~/x", *["../" * n + f"{OUTSIDE}/{CANARY}" for n in range(1, 7)]]
    )


def odd(rng: Random) -> Any:
    """A value of any type that few expect."""
    deep: Any = 1
    for _ in range(rng.choice([3, 2000])):
        deep = [deep]
    return rng.choice(
        [
            rng.choice(INTEGERS),
            rng.choice(FLOATS),
            rng.choice(TEXTS),
            climbing(rng),
            None,
            True,
            [],
            {},
            deep,
            [[]],
            {"": {}},
        ]
    )


def _place(rng: Random, data: bytes) -> tuple[int, int]:
    start = rng.randrange(len(data) + 1)
    return start, min(len(data), start + rng.choice([1, 4, 16, 256, 4096]))


def flip(rng: Random, data: bytes) -> bytes:
    out = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 8, 64]) if out else 0):
        out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
    return bytes(out)


def cut(rng: Random, data: bytes) -> bytes:
    return data[: rng.choice([0, 1, len(data) // 2, max(len(data) - 1, 0), rng.randrange(len(data) + 1)])]


def remove(rng: Random, data: bytes) -> bytes:
    a, b = _place(rng, data)
    return data[:a] + data[b:]


def insert(rng: Random, data: bytes) -> bytes:
    a, _ = _place(rng, data)
    return data[:a] + rng.choice([rng.randbytes(rng.choice([1, 4, 300])), b"\0" * 64, b"\xff" * 8]) + data[a:]


def double(rng: Random, data: bytes) -> bytes:
    a, b = _place(rng, data)
    return data[:b] + data[a:b] * rng.choice([1, 2, 50]) + data[b:]


def swap(rng: Random, data: bytes) -> bytes:
    a, b, c, d = sorted(rng.randrange(len(data) + 1) for _ in range(4))
    return data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:]


def blank(rng: Random, data: bytes) -> bytes:
    a, b = _place(rng, data)
    return data[:a] + rng.choice([b"\0", b"\xff"]) * (b - a) + data[b:]


def extreme(rng: Random, data: bytes) -> bytes:
    """A number of 2, 4 or 8 bytes somewhere, most often near the beginning, where headers are, is made extreme."""
    width = rng.choice([2, 4, 4, 8])
    if len(data) < width:
        return data
    place = rng.randrange(min(len(data) - width + 1, rng.choice([64, 400, len(data)])))
    value = rng.choice(INTEGERS) % 256**width
    return data[:place] + value.to_bytes(width, rng.choice(["little", "big"])) + data[place + width :]


def noise(rng: Random, data: bytes) -> bytes:
    return rng.choice([b"", rng.randbytes(rng.choice([1, 64, 5000])), data[:16] + rng.randbytes(500)])


BLIND = (flip, flip, cut, remove, insert, double, swap, blank, extreme, extreme, noise)


def blind(rng: Random, data: bytes) -> bytes:
    """Change bytes, one to four times, knowing nothing of them."""
    for _ in range(rng.choice([1, 1, 2, 4])):
        data = rng.choice(BLIND)(rng, data)
    return data
