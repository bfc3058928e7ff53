"""The words of the driver of fault proxies: what they are for the proxy, and which are refused."""

from typing import Any

import pytest
from pydantic import ValidationError

from injector.faults import Direction, Fault
from injector.http_faults import HttpFault
from injector.proxy import Proxy
from scenarios.drivers.proxy_arguments import ProxyArguments
from tests.unit.scenarios.drivers.proxy.conftest import DRIVER, OneProxy, arguments, call


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (
            {"latency": "300ms", "jitter": "50ms", "share": 0.2, "direction": "down"},
            Fault(latency=0.3, jitter=0.05, share=0.2),
        ),
        ({"refuse": True}, Fault(refuse=True)),
        ({"hang": True, "share": "20%", "seed": 7}, Fault(hang=True, share=0.2, seed=7)),
        ({"reset": True}, Fault(reset=True)),
        ({"reset": {"after": "4KiB"}}, Fault(reset_after=4096)),
        ({"cut": {"after": "0B"}, "direction": "up"}, Fault(cut_after=0, direction=Direction.UP)),
        ({"bandwidth": "20KiB/s"}, Fault(bandwidth=20480)),
        ({"slow_close": "1s", "corrupt": "1%"}, Fault(slow_close=1, corrupt=0.01)),
        (
            {"http": {"path": "/charge", "method": "post", "status": 503, "first": 2}},
            Fault(http=HttpFault(path="/charge", method="POST", status=503, first=2)),
        ),
        (
            {"http": {"truncate": "1KiB", "headers": {"X-Id": 5}}, "share": "20%", "seed": 3},
            Fault(http=HttpFault(truncate=1024, headers={"x-id": "5"}, share=0.2, seed=3), share=0.2, seed=3),
        ),
    ],
)
async def test_words_arrive_at_the_proxy(
    proxy: Proxy, platform: OneProxy, words: dict[str, Any], fault: Fault
) -> None:
    await DRIVER.inject(arguments(**words), platform, await call(platform, **words))
    assert proxy.faults.find("f1").fault == fault


@pytest.mark.parametrize(
    ("words", "place", "sentence"),
    [
        ({}, (), "no effect: give at least one of 'latency'"),
        ({"refuse": False}, (), "no effect"),
        ({"jitter": "1s", "hang": True}, ("jitter",), "needs 'latency'"),
        ({"latency": "1s", "jitter": "2s"}, ("jitter",), "more than 'latency'"),
        ({"latency": 3}, ("latency",), "number without a unit"),
        ({"latency": "2h"}, ("latency",), "at most 1h"),
        ({"bandwidth": "20KiB"}, ("bandwidth",), "such as '20KiB/s'"),
        ({"cut": {"after": 4}}, ("cut", "after"), "number without a unit"),
        ({"cut": {}}, ("cut", "after"), "required"),
        ({"hang": True, "share": "0%"}, ("share",), "is not a share"),
        ({"http": {"path": "/"}}, ("http",), "no effect: give at least one of 'status'"),
        ({"http": {"status": 503, "path": "/a*b"}}, ("http", "path"), "before its end"),
        ({"http": {"status": 503, "first": 1, "share": 0.1}}, ("http", "share"), "cannot be combined"),
        ({"http": {"status": 503, "first": 1}, "share": 0.1}, ("share",), "cannot be combined"),
    ],
)
def test_words_that_make_no_sense_are_refused_at_their_place(
    words: dict[str, Any], place: tuple[str, ...], sentence: str
) -> None:
    with pytest.raises(ValidationError) as refusal:
        ProxyArguments.model_validate({"service": "exchange", **words})
    (error,) = refusal.value.errors()
    assert error["loc"] == place
    assert sentence in error["msg"]


def test_words_of_http_are_numbers_for_the_proxy() -> None:
    http = {"path": "/pay/*", "method": "post", "delay": "1s", "truncate": "1KiB", "share": "20%"}
    assert arguments(http=http).to_wire() == {
        "http": {"path": "/pay/*", "method": "POST", "delay": 1.0, "truncate": 1024, "share": 0.2}
    }
    assert arguments(http={"status": 503, "set_headers": {"Retry-After": 3}}).to_wire() == {
        "http": {"status": 503, "set_headers": {"Retry-After": "3"}}
    }


def test_a_reset_is_true_or_after_some_bytes() -> None:
    for value, place in (("soon", ("reset", "flag")), ({"before": "1B"}, ("reset", "mapping", "after"))):
        with pytest.raises(ValidationError) as refusal:
            arguments(reset=value)
        assert place in {error["loc"] for error in refusal.value.errors()}


def test_schema_offers_both_kinds_of_reset() -> None:
    schema = ProxyArguments.model_json_schema()
    assert schema["properties"]["reset"]["anyOf"] == [{"$ref": "#/$defs/After"}, {"type": "boolean"}]
