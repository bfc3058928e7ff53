"""Loading drivers by their dotted paths."""

import pytest

from scenarios.drivers import DriverNotLoaded, load_drivers

HTTP = "scenarios.drivers.http.Http"


def test_drivers_are_loaded_by_their_names() -> None:
    drivers = load_drivers([HTTP, "scenarios.drivers.tcp.Tcp", "scenarios.drivers.wait.Wait"])
    assert list(drivers) == ["http", "tcp", "wait"]


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("http", "not a dotted path"),
        ("", "not a dotted path"),
        ("scenarios.drivers.nothing.Nothing", "cannot be imported"),
        ("scenarios.drivers.http.Htp", "no class 'Htp'"),
        ("scenarios.drivers.http.MAX_BODY_BYTES", "is not a class"),
        ("scenarios.drivers.http.HttpArguments", "lacks name, Arguments, probe, act"),
    ],
)
def test_invalid_path_of_a_driver_is_refused_with_the_reason(path: str, words: str) -> None:
    with pytest.raises(DriverNotLoaded, match=words) as refusal:
        load_drivers([path])
    assert repr(path) in str(refusal.value)


def test_two_drivers_with_one_name_are_refused() -> None:
    with pytest.raises(DriverNotLoaded, match="are both named 'http'"):
        load_drivers([HTTP, HTTP])
