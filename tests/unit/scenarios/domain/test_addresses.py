"""Resolved names while the name server hangs or fails."""

import threading
import time
from collections.abc import Iterator

import pytest

from scenarios.domain import addresses
from scenarios.domain.addresses import Names, format_hold


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A name server that does not answer before the test is over."""
    is_over = threading.Event()
    monkeypatch.setattr(addresses, "look_up", lambda _host: ["203.0.113.1"] * is_over.wait(60))
    monkeypatch.setattr(addresses, "LOOKUP_SECONDS", 1.0)
    yield
    is_over.set()


@pytest.mark.usefixtures("hanging")
def test_hanging_name_server_is_waited_for_once() -> None:
    names = Names()
    hosts = [f"shop-{number}.example" for number in range(50)]
    names.resolve(hosts)
    began = time.monotonic()
    for _ in range(20):
        names.resolve(hosts)
    assert time.monotonic() - began < 15  # 20 if each one waits again


def test_known_addresses_are_kept_while_the_name_server_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [["203.0.113.1"], [], ["203.0.113.2"]]
    monkeypatch.setattr(addresses, "look_up", lambda _host: answers.pop(0))
    monkeypatch.setattr(addresses, "KNOWN_FOR_SECONDS", 0.0)
    names = Names()
    found = [names.resolve(["shop.example"])["shop.example"] for _ in range(3)]
    assert found == [{"203.0.113.1"}, {"203.0.113.1"}, {"203.0.113.2"}]


@pytest.mark.parametrize(
    ("place", "name"),
    [
        (("localhost", 8080), "127.0.0.1:8080"),
        (("203.0.113.1", 80), "203.0.113.1:80"),
        (("2001:db8::1", 443), "[2001:db8::1]:443"),
        (("shop.example", 80), ""),
    ],
)
def test_a_place_is_held_by_its_address(place: tuple[str, int], name: str) -> None:
    assert format_hold(place) == name


@pytest.mark.parametrize(
    ("url", "port"),
    [
        ("postgres://db/shop", 5432),
        ("redis://db", 6379),
        ("redis://db:1/0", 1),
        ("tcp://db:9", 9),
        ("https://db", 443),
    ],
)
def test_port_that_an_address_does_not_name_is_that_of_its_scheme(url: str, port: int) -> None:
    assert addresses.parse_endpoint(url) == ("db", port)
