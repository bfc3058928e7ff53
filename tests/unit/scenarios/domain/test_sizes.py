"""Sizes, rates and shares in text."""

import pytest

from scenarios.domain.sizes import format_share, parse_rate, parse_share, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [("0B", 0), ("512B", 512), ("4KiB", 4096), ("1.5MB", 1_500_000), ("4 KiB", 4096), ("1024GiB", 1 << 40)],
)
def test_size_is_read_in_bytes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["20KiB/s", "20480B/s", "20.48KB/s"])
def test_rate_is_read_in_bytes_per_second(text: str) -> None:
    assert parse_rate(text) == 20480


@pytest.mark.parametrize(("value", "share"), [(0.2, 0.2), ("20%", 0.2), (1, 1.0), ("12.5%", 0.125)])
def test_share_is_a_number_or_a_percentage(value: object, share: float) -> None:
    assert parse_share(value) == share


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (4096, "4096 is a number without a unit"),
        ("4096", "'4096' is not a size"),
        ("4kib", "write a number and a unit"),
        ("-1B", "is not a size"),
        ("4KiB\n", "is not a size"),
        ("9" * 5000 + "B", "is not a size"),
        ("1025GiB", "too large"),
        (None, "None is not a size"),
        (True, "True is not a size"),
    ],
)
def test_anything_else_is_not_a_size(value: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_size(value)


@pytest.mark.parametrize(("value", "words"), [("20KiB", "each second"), ("0B/s", "too slow"), (20, "unit")])
def test_anything_else_is_not_a_rate(value: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_rate(value)


@pytest.mark.parametrize("value", [0, 1.1, "0%", "120%", "20", -0.2, True, None, float("nan"), [0.2]])
def test_anything_else_is_not_a_share(value: object) -> None:
    with pytest.raises(ValueError, match="is not a share"):
        parse_share(value)


@pytest.mark.parametrize(
    ("share", "text"), [(1.0, "100%"), (0.99999, "99.99%"), (0.995, "99.5%"), (0.07, "7%"), (2 / 3, "66.66%")]
)
def test_shares_are_written_as_percentages_and_rounded_down(share: float, text: str) -> None:
    assert format_share(share) == text
