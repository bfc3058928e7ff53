"""What a problem document says about a single field of a request, and how it names its place."""

from collections.abc import Sequence

MAX_NAME_LENGTH_SHOWN = 200
QUERY_PARAMETERS = (["filters"], ["query"])


def format_path(location: Sequence[int | str]) -> str:
    """Leaves out the name of the function's parameter for the whole body, or for all filters."""
    place, *names = map(str, location)
    if place == "body" or names in QUERY_PARAMETERS:
        del names[:1]
    return ".".join([place, *names])[:MAX_NAME_LENGTH_SHOWN]
