"""Which faults make sense."""

import pytest

from injector.faults import Direction, Fault, parse_fault
from injector.values import FaultError


def test_a_fault_has_what_was_given_and_defaults() -> None:
    assert parse_fault({"latency": 0.3, "direction": "both"}) == Fault(latency=0.3, direction=Direction.BOTH)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "a fault is an object"),
        ({}, "no effect"),
        ({"latency": 0}, "no effect"),
        ({"share": 0.5}, "no effect"),
        ({"slow": 1}, "unknown field 'slow'"),
        ({"latency": "300ms"}, "latency='300ms' is not a number"),
        ({"latency": True}, "latency=True is not a number"),
        ({"latency": float("nan")}, "is not a number"),
        ({"latency": -1}, "out of range"),
        ({"latency": 0.1, "jitter": 0.2}, "more than latency"),
        ({"bandwidth": 0}, "out of range"),
        ({"cut_after": 1.5}, "not a whole number"),
        ({"refuse": 1}, "neither true nor false"),
        ({"hang": True, "direction": "left"}, "direction='left' is unknown"),
        ({"refuse": True, "share": 1.1}, "out of range"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused_with_the_reason(given: object, message: str) -> None:
    with pytest.raises(FaultError, match=message):
        parse_fault(given)


def test_a_cut_after_no_byte_is_a_fault() -> None:
    assert parse_fault({"cut_after": 0}).cut_after == 0
