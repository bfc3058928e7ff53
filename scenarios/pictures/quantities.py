"""Numbers with their unit, and round marks for an axis."""

import math

from scenarios.domain.units import Unit

_DECIMAL = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
_BINARY = ((2.0**40, "TiB"), (2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB"))
_MAX_PLAIN, _MIN_PLAIN = 1e15, 1e-4
# Beyond this, the arithmetic of the axis would overflow.
_MAX_VALUE = 1e300
_ROUND = (1.0, 2.0, 2.5, 5.0, 10.0)


def quantity(value: float, unit: Unit) -> str:
    """'12 ms', '3.5%', '1.2k/s', with three significant digits."""
    if unit is Unit.SECONDS:
        return f"{_plain(value * 1000)} ms" if 0 < abs(value) < 1 else f"{_plain(value)} s"
    if unit is Unit.SHARE:
        return f"{_plain(value * 100)}%"
    if unit is Unit.BYTES:
        size, word = next(((size, word) for size, word in _BINARY if abs(value) >= size), (1.0, "B"))
        return f"{_plain(value / size)} {word}"
    return f"{_plain(value)}/s" if unit is Unit.PER_SECOND else _plain(value)


def _plain(value: float) -> str:
    if value == 0:
        return "0"
    if not _MIN_PLAIN <= abs(value) < _MAX_PLAIN:
        return f"{value:.2e}"
    size, letter = next(((size, letter) for size, letter in _DECIMAL if abs(value) >= size), (1.0, ""))
    scaled = value / size
    digits = max(0, 2 - math.floor(math.log10(abs(scaled))))
    text = f"{scaled:.{digits}f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text) + letter


def axis(lowest: float, highest: float, marks: int = 3) -> list[float]:
    """About so many round values, the first at or below the lowest and the last at or above the highest.

    From zero, unless all values lie close together and far from it.
    """
    lowest, highest = (min(_MAX_VALUE, max(-_MAX_VALUE, value)) for value in (lowest, highest))
    if lowest >= 0 and lowest < highest * 3 / 4:
        lowest = 0.0
    if highest <= lowest:
        lowest, highest = (0.0, 1.0) if highest == 0 else sorted((0.0, highest * 1.25))
    step = _round_step((highest - lowest) / marks)
    first = math.floor(lowest / step + 1e-9)
    last = max(first + 1, math.ceil(highest / step - 1e-9))
    return [number * step for number in range(first, last + 1)]


def _round_step(wanted: float) -> float:
    power = 10.0 ** math.floor(math.log10(max(wanted, 1e-300)))
    return next(factor * power for factor in _ROUND if factor * power >= wanted * (1 - 1e-9))
