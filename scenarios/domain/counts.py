"""Counts in English."""


def format_count(number: int, thing: str) -> str:
    """For example 'no runs', '1 run' or '2 runs'."""
    return f"{number or 'no'} {thing}{'' if number == 1 else 's'}"
