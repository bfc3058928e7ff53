"""Flips bits of data, without a step of Python for each byte: other connections wait meanwhile."""

import math
import random
from functools import lru_cache

# Up to this share, looking for the next byte is cheaper than making noise for all of them.
_FEW = 1 / 16
_LEVELS = 256


def corrupt(data: bytes, share: float, dice: random.Random) -> bytes:
    """The data with one bit flipped in this share of its bytes, which `dice` chooses."""
    return _flip_few(data, share, dice) if share < _FEW else _flip_many(data, share, dice)


def _flip_few(data: bytes, share: float, dice: random.Random) -> bytes:
    flipped, scale = bytearray(data), math.log1p(-share)
    place = -1
    while True:
        # How many bytes stay as they are before the next one.
        place += 1 + int(math.log(1.0 - dice.random()) / scale)
        if place >= len(flipped):
            return bytes(flipped)
        flipped[place] ^= 1 << dice.randrange(8)


def _flip_many(data: bytes, share: float, dice: random.Random) -> bytes:
    level = share * _LEVELS
    threshold = int(level) + (dice.random() < level % 1)
    noise = dice.randbytes(len(data)).translate(_build_masks(threshold))
    flipped = int.from_bytes(data, "big") ^ int.from_bytes(noise, "big")
    return flipped.to_bytes(len(data), "big")


@lru_cache(maxsize=_LEVELS + 1)
def _build_masks(threshold: int) -> bytes:
    """For each value of a byte of noise, the bit to flip: none for values from the threshold on."""
    return bytes(1 << value % 8 if value < threshold else 0 for value in range(_LEVELS))
