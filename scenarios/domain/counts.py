"""Numbers of things, in English."""


def format_count(number: int, thing: str) -> str:
    """As 'no run', '1 run', '2 runs'."""
    return f"{number or 'no'} {thing}{'s' if number > 1 else ''}"
