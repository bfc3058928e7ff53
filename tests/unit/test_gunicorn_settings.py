"""gunicorn.conf.py reads the environment and refuses what makes no sense."""

import runpy
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

FILE = Path(__file__).resolve().parents[2] / "gunicorn.conf.py"


def configured(monkeypatch: pytest.MonkeyPatch, **environment: str) -> dict[str, Any]:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return runpy.run_path(str(FILE))


def test_default_serves_only_this_machine_with_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PORT", "WEB_ADDRESS", "WEB_CONCURRENCY", "WEB_MAX_REQUESTS"):
        monkeypatch.delenv(name, raising=False)
    found = configured(monkeypatch)
    assert found["bind"] == "127.0.0.1:8080"
    assert (found["worker_class"], found["threads"], found["workers"]) == ("gthread", 8, 2)
    assert found["max_requests"] == 0
    assert found["control_socket_disable"] is True
    assert found["wsgi_app"] == "coordinator_site.wsgi:application"


@pytest.mark.parametrize(
    ("address", "bind"),
    [("0.0.0.0", "0.0.0.0:9000"), ("::1", "[::1]:9000")],  # noqa: S104 - on purpose
)
def test_it_listens_at_the_configured_address(
    monkeypatch: pytest.MonkeyPatch, address: str, bind: str
) -> None:
    assert configured(monkeypatch, WEB_ADDRESS=address, PORT="9000")["bind"] == bind


def test_workers_that_are_replaced_are_not_all_replaced_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    found = configured(monkeypatch, WEB_MAX_REQUESTS="1000")
    assert (found["max_requests"], found["max_requests_jitter"]) == (1000, 100)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "0"),
        ("PORT", "http"),
        ("WEB_ADDRESS", "localhost"),
        ("WEB_CONCURRENCY", "0"),
        ("WEB_MAX_REQUESTS", "-1"),
        ("WEB_MAX_REQUESTS_JITTER", "some"),
        ("WEB_GRACEFUL_TIMEOUT", "0"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    with pytest.raises(ImproperlyConfigured, match=f"{name}={value!r}"):
        configured(monkeypatch, **{name: value})
