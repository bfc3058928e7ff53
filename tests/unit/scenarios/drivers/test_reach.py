"""ONLY_REGISTERED_SERVICES limits steps to registered services."""

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError
from pytest_django.fixtures import Settings

from scenarios.domain.errors import StepImpossible
from scenarios.drivers.http import Http
from scenarios.drivers.http_arguments import HttpArguments
from scenarios.drivers.prometheus import Prometheus, PrometheusArguments
from scenarios.drivers.tcp import Tcp, TcpArguments

from .conftest import Platform

ADDRESSES: list[tuple[Any, type[BaseModel], dict[str, Any], str]] = [
    (Http(), HttpArguments, {"url": "http://127.0.0.1:1/"}, "'url'"),
    (Tcp(), TcpArguments, {"host": "127.0.0.1", "port": 1}, "'host'"),
    (Prometheus(), PrometheusArguments, {"query": "up", "server": "http://127.0.0.1:1"}, "'server'"),
]


@pytest.mark.parametrize(("driver", "arguments", "words", "name"), ADDRESSES)
async def test_unregistered_address_is_refused_when_read_and_when_used(
    driver: Any, arguments: type[BaseModel], words: dict[str, Any], name: str, *, settings: Settings
) -> None:
    saved = arguments.model_validate(words)
    settings.ONLY_REGISTERED_SERVICES = True
    with pytest.raises(
        ValidationError, match=f"{name} is not allowed: this site allows only registered services"
    ):
        arguments.model_validate(words)
    with pytest.raises(StepImpossible, match=f"{name} is not allowed"):
        await driver.probe(saved, Platform())


def test_registered_service_is_allowed_but_following_its_redirects_is_not(
    settings: Settings,
) -> None:
    settings.ONLY_REGISTERED_SERVICES = True
    HttpArguments.model_validate({"service": "exchange", "path": "/health"})
    TcpArguments.model_validate({"service": "exchange"})
    PrometheusArguments.model_validate({"query": "up"})
    with pytest.raises(ValidationError, match="'follow_redirects' is not allowed"):
        HttpArguments.model_validate({"service": "exchange", "follow_redirects": True})
