"""Data is corrupted as much as was asked for, one bit in a byte."""

import random

import pytest

from injector.corruption import corrupt

SIZE = 200_000


def throw(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - chooses bits


@pytest.mark.parametrize("share", [1e-300, 0.0001, 0.01, 0.05, 1 / 16, 0.1, 0.5, 0.75, 0.999, 1.0])
def test_the_share_of_the_bytes_has_one_bit_flipped(share: float) -> None:
    data = throw(1).randbytes(SIZE)
    flips = [a ^ b for a, b in zip(data, corrupt(data, share, throw(2)), strict=True)]
    changed = [flip for flip in flips if flip]
    assert {flip.bit_count() for flip in changed} <= {1}
    # Five standard deviations, and what the levels of noise round off.
    tolerance = 5 * (share * (1 - share) / SIZE) ** 0.5 + (1 / 256 if share >= 1 / 16 else 0)
    assert abs(len(changed) / SIZE - share) <= tolerance
    if len(changed) > 100:
        assert len(set(changed)) == 8


def test_the_same_dice_flip_the_same_bits() -> None:
    for share in (0.01, 0.3):
        first, second = (corrupt(bytes(1000), share, throw(7)) for _ in range(2))
        assert first == second != bytes(1000)


def test_on_average_the_share_is_exact() -> None:
    """Also where it lies between two levels of noise."""
    dice = throw(3)
    flipped = sum(1000 - corrupt(bytes(1000), 0.1, dice).count(0) for _ in range(500))
    assert abs(flipped / 500_000 - 0.1) < 0.003


def test_nothing_stays_nothing() -> None:
    assert corrupt(b"", 0.5, throw(1)) == corrupt(b"", 0.01, throw(1)) == b""
