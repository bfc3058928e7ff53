"""A trace is named by a valid `traceparent` header, and only if somebody keeps it."""

import pytest

from metrics_app.trace_context import sampled_trace_id

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"


@pytest.mark.parametrize(
    "header", [f"00-{TRACE}-{PARENT}-01", f"00-{TRACE}-{PARENT}-ff", f"cc-{TRACE}-{PARENT}-01-more"]
)
def test_a_valid_header_names_its_trace(header: str) -> None:
    assert sampled_trace_id(header) == TRACE


@pytest.mark.parametrize(
    "header",
    [
        "",
        "nonsense",
        f"00-{TRACE}-{PARENT}",
        f"00-{TRACE}-{PARENT}-01-more",
        f"00-{TRACE}-{PARENT}-01\n",
        f"ff-{TRACE}-{PARENT}-01",
        f"cc-{TRACE}-{PARENT}-01.more",
        f"00-{TRACE.upper()}-{PARENT}-01",
        f"00-{TRACE[:-1]}-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[:-1]}\u0663-{PARENT}-01",
        f'00-{TRACE[:-1]}"-{PARENT}-01',
    ],
)
def test_a_header_that_is_not_valid_names_none(header: str) -> None:
    assert sampled_trace_id(header) == ""


def test_a_trace_that_is_not_sampled_is_not_named() -> None:
    assert sampled_trace_id(f"00-{TRACE}-{PARENT}-00") == ""
