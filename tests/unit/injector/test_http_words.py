"""Which HTTP faults are refused, and why."""

import pytest

from injector.http_faults import parse_http_fault
from injector.values import FaultError
from tests.without_module import run_without


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "'http' is an object"),
        ({}, "no effect"),
        ({"path": "/"}, "no effect"),
        ({"status": 99}, "out of range"),
        ({"status": 500, "path": "charge"}, "is not a path"),
        ({"status": 500, "path": "/a*b"}, "is not a path"),
        ({"status": 500, "method": "a b"}, "is not a method"),
        ({"status": 500, "first": 0}, "out of range"),
        ({"set_headers": {"a": "b\r\nc"}}, "not a header"),
        ({"set_headers": {"a": "☃"}}, "outside Latin-1"),
        ({"set_headers": ["a"]}, "not an object of names"),
        ({"body": 5}, "is not text"),
        ({"statuss": 500}, "unknown field 'statuss'"),
    ],
)
def test_fault_of_http_that_makes_no_sense_is_refused_with_the_reason(given: object, message: str) -> None:
    with pytest.raises(FaultError, match=message):
        parse_http_fault(given, 1.0, 0)


WITHOUT_H11 = """
from injector import program
from injector.faults import parse_fault
parse_fault({"latency": 0.3})
try:
    parse_fault({"http": {"status": 500}})
except ValueError as error:
    print(error)
"""


def test_without_h11_only_the_faults_of_http_are_refused() -> None:
    done = run_without("h11", WITHOUT_H11)
    assert done.stdout.startswith("HTTP faults need the Python package h11"), done.stderr
