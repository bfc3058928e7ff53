"""Decorators for single views."""

from collections.abc import Callable
from typing import Any, TypeVar

View = TypeVar("View", bound=Callable[..., Any])

NOT_MEASURED = "is_not_measured"


def not_measured(view: View) -> View:
    """Leave requests to this view out of the metrics of requests.

    For a class, decorate its `dispatch` by Django's `method_decorator`, or what `as_view()` returns.
    """
    setattr(view, NOT_MEASURED, True)
    return view
