"""Rates, shares and multiples as people write them in loads: `50/s`, `0.1%`, `1.5x`."""

import re
from dataclasses import dataclass

from scenarios.domain.durations import format_duration, parse_duration

MAX_RATE = 2_000.0
_NUMBER = r"[0-9]+(?:\.[0-9]+)?"
RATE_PATTERN = rf"^{_NUMBER}/s$"
PERCENT_PATTERN = rf"^{_NUMBER}%$"
MULTIPLE_PATTERN = rf"^{_NUMBER}x$"
_MAX_TEXT_LENGTH = 32
_RATE_HINT = "write requests per second, such as '50/s' or '0.5/s'"
_SHARE_HINT = "write a percentage such as '0.1%', or a number from 0 to 1"


@dataclass(frozen=True, slots=True)
class Threshold:
    """What a figure is compared with: a value, or a multiple of the same figure of the baseline."""

    value: float
    is_multiple: bool = False


def parse_rate(text: object) -> float:
    """Requests per second.

    Raises:
        ValueError: with the offending value, the rule and a hint.
    """
    rate = _read_number(text, RATE_PATTERN)
    if rate is None:
        raise ValueError(f"{text!r} is not a rate: {_RATE_HINT}")
    return rate


def parse_share(text: object) -> float:
    """From 0 to 1.

    Raises:
        ValueError: with the offending value, the rule and a hint.
    """
    percent = _read_number(text, PERCENT_PATTERN)
    if percent is not None:
        share = percent / 100
    elif isinstance(text, int | float) and not isinstance(text, bool):
        share = float(text)
    else:
        raise ValueError(f"{text!r} is not a share: {_SHARE_HINT}")
    if not 0 <= share <= 1:
        raise ValueError(f"{text!r} is not a share: it is outside 0% to 100%; {_SHARE_HINT}")
    return share


def parse_threshold(text: object, figure: str) -> Threshold:
    """What the figure is compared with, in seconds, as a share, or per second.

    Raises:
        ValueError: with the offending value, the rule and a hint.
    """
    multiple = _read_number(text, MULTIPLE_PATTERN)
    if multiple is not None:
        if multiple == 0:
            raise ValueError(f"{text!r} is not a multiple of the baseline: write one such as '1.5x'")
        return Threshold(multiple, is_multiple=True)
    parse = {"error_rate": parse_share, "rate": parse_rate}.get(figure, parse_duration)
    try:
        return Threshold(parse(text))
    except ValueError as error:
        raise ValueError(f"{error}; or a multiple of the baseline, such as '1.5x'") from None


def _read_number(text: object, pattern: str) -> float | None:
    if not isinstance(text, str) or len(text) > _MAX_TEXT_LENGTH or not re.fullmatch(pattern, text):
        return None
    return float(text.rstrip("/sx%"))


def format_figure(figure: str, value: float) -> str:
    """As `12.5%`, `48.2/s` or `300ms`."""
    if figure == "error_rate":
        return f"{_shorten(value * 100)}%"
    if figure == "rate":
        return f"{_shorten(value)}/s"
    return format_duration(float(f"{value:.3g}"))


def format_threshold(figure: str, threshold: Threshold) -> str:
    if threshold.is_multiple:
        return f"{_shorten(threshold.value)}x"
    return format_figure(figure, threshold.value)


def _shorten(number: float) -> str:
    return f"{number:.3f}".rstrip("0").rstrip(".")
