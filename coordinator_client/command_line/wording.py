"""What sentences have in common: the name of the program, counts and durations."""

import json
from collections.abc import Sequence

MAX_NAMES_SHOWN = 5
_program = "test-coordinator"
_place = ""
_SECOND = 1_000_000  # in microseconds


def set_program(name: str) -> None:
    """The name under which the person has started this, for hints."""
    global _program  # noqa: PLW0603 - a process is one program
    _program = name


def set_place(server: str, profile: str) -> None:
    """Which coordinator the options named: a hint must not ask another one."""
    global _place  # noqa: PLW0603 - as above
    _place = f" --server {server}" if server else f" --profile {profile}" if profile else ""


def find_program() -> str:
    """The file that is started: 'test-coordinator' or 'manage.py'."""
    return _program.partition(" ")[0]


def quote_command(words: str) -> str:
    """A command that a hint names, such as 'test-coordinator runs'."""
    return f"'{_program} {words}{_place}'"


def quote_command_of_others(words: str) -> str:
    """A command that somebody else gives, with a profile of their own."""
    return quote_command(words) if _place.startswith(" --server") else f"'{_program} {words}'"


def format_count(number: int, thing: str, things: str = "") -> str:
    """For example 'no run', '1 run' or '2 runs'."""
    return f"{number or 'no'} {(things or f'{thing}s') if number > 1 else thing}"


def format_names(names: Sequence[str], thing: str) -> str:
    """For example "scenario 'a'" or "scenarios 'a', 'b' and 3 more"; "" without names."""
    shown = ", ".join(map(repr, names[:MAX_NAMES_SHOWN]))
    more = f" and {len(names) - MAX_NAMES_SHOWN} more" if len(names) > MAX_NAMES_SHOWN else ""
    return f"{thing if len(names) == 1 else f'{thing}s'} {shown}{more}" if names else ""


def format_value(value: object) -> str:
    """The value of a variable as it is written: `true`, and text without quotes."""
    return value if isinstance(value, str) else json.dumps(value)


def format_duration(seconds: float) -> str:
    """The shortest notation, as in scenarios: `500ms`, `1.5s`, `1h30m`."""
    microseconds = round(seconds * _SECOND)
    if microseconds <= 0:
        return "0s"
    if microseconds < _SECOND:
        return f"{_format_amount(microseconds / 1000)}ms"
    minutes, rest = divmod(microseconds, 60 * _SECOND)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [f"{amount}{unit}" for amount, unit in ((days, "d"), (hours, "h"), (minutes, "m")) if amount]
    if rest:
        parts.append(f"{_format_amount(rest / _SECOND)}s")
    return "".join(parts)


def _format_amount(amount: float) -> str:
    return f"{amount:.6f}".rstrip("0").rstrip(".")
