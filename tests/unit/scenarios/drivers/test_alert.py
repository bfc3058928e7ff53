"""The alert driver, against a real Prometheus with a real Alertmanager, and against garbage responses."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any
from urllib.request import Request, urlopen

import pytest
from pydantic import ValidationError
from pytest_django.fixtures import Settings

from scenarios.domain.errors import StepFailed, StepImpossible, StepNotSent
from scenarios.drivers.alert import Alert, AlertArguments
from tests.servers.alertmanager import alertmanager
from tests.servers.loopback import wait_for
from tests.servers.prometheus_server import prometheus

from .conftest import Platform, Respond, Serve

# It sends an alert again, which it may have done before it knew Alertmanager.
OFTEN = ("--rules.alert.resend-delay=1s",)
RULES = """
groups:
  - name: shop
    interval: 1s
    rules:
      - {alert: ShopDown, expr: 'vector(1)', labels: {service: shop}, annotations: {summary: gone}}
      - {alert: ShopDown, expr: 'vector(1)', labels: {service: cart}}
      - {alert: ShopSlow, expr: 'vector(1)', for: 1h}
      - {alert: 'Odd "name" \\ {x}', expr: 'vector(1)'}
"""


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The addresses of both, once the alerts have arrived."""
    folder = tmp_path_factory.mktemp("alerts")
    with alertmanager(folder) as notified:
        (folder / "rules.yml").write_text(RULES)
        managers = [{"static_configs": [{"targets": [notified.removeprefix("http://")]}]}]
        config = {"rule_files": ["rules.yml"], "alerting": {"alertmanagers": managers}}
        (folder / "prometheus.yml").write_text(json.dumps(config))
        with prometheus(folder / "prometheus.yml", folder / "tsdb", *OFTEN) as address:
            wait_for(lambda: len(read(f"{notified}/api/v2/alerts")) == 3, what="the alerts have arrived")
            yield {"prometheus": address, "alertmanager": notified}


def read(url: str, data: Any = None) -> Any:
    with urlopen(build_request(url, data), timeout=60) as answer:
        return json.load(answer)


def build_request(url: str, data: Any) -> Request:
    body = None if data is None else json.dumps(data).encode()
    return Request(url, body, {"Content-Type": "application/json"})


def send_alert(address: str) -> None:
    alert = {"labels": {"alertname": "Silenced"}}
    urlopen(build_request(f"{address}/api/v2/alerts", [alert]), timeout=60).close()


async def ask(name: str, server: str, **words: Any) -> dict[str, Any]:
    arguments = AlertArguments.model_validate({"name": name, "server": server, "timeout": "120s", **words})
    return dict(await Alert().probe(arguments, Platform()))


both = pytest.mark.parametrize("source", ["prometheus", "alertmanager"])


@pytest.mark.alertmanager
@pytest.mark.prometheus
class TestRealServers:
    @both
    async def test_alert_is_firing(self, servers: dict[str, str], source: str) -> None:
        seen = await ask("ShopDown", servers[source], source=source)
        assert (seen["firing"], seen["count"], seen["pending"], seen["suppressed"]) == (True, 2, 0, 0)
        assert seen["since"].startswith("20")
        assert {alert["labels"]["service"] for alert in seen["alerts"]} == {"shop", "cart"}

    @both
    async def test_labels_choose_among_alerts_of_one_name(self, servers: dict[str, str], source: str) -> None:
        seen = await ask("ShopDown", servers[source], source=source, labels={"service": "shop"})
        assert [alert["annotations"] for alert in seen["alerts"]] == [{"summary": "gone"}]
        assert not (await ask("ShopDown", servers[source], source=source, labels={"service": "x"}))["firing"]

    @both
    async def test_alert_that_is_unknown_is_not_firing(self, servers: dict[str, str], source: str) -> None:
        seen = await ask("Nothing", servers[source], source=source)
        assert seen == {"firing": False, "count": 0, "pending": 0, "suppressed": 0, "alerts": []}

    @both
    async def test_name_may_contain_any_character(self, servers: dict[str, str], source: str) -> None:
        assert (await ask('Odd "name" \\ {x}', servers[source], source=source))["firing"]

    async def test_pending_alert_is_not_firing(self, servers: dict[str, str]) -> None:
        seen = await ask("ShopSlow", servers["prometheus"])
        assert (seen["firing"], seen["pending"]) == (False, 1)
        assert "since" in seen

    async def test_silenced_alert_is_firing_and_suppressed(self, servers: dict[str, str]) -> None:
        matcher = {"name": "alertname", "value": "Silenced", "isRegex": False, "isEqual": True}
        times = {"startsAt": "2020-01-01T00:00:00Z", "endsAt": "2090-01-01T00:00:00Z"}
        address = servers["alertmanager"]
        read(
            f"{address}/api/v2/silences", {"matchers": [matcher], "createdBy": "test", "comment": "", **times}
        )
        await asyncio.to_thread(send_alert, address)
        async with asyncio.timeout(300):
            for _ in range(10_000):
                seen = await ask("Silenced", address, source="alertmanager")
                if seen["suppressed"]:
                    break
        assert (seen["firing"], seen["suppressed"], seen["alerts"][0]["state"]) == (True, 1, "suppressed")

    async def test_configured_prometheus_is_the_default(
        self, servers: dict[str, str], settings: Settings
    ) -> None:
        settings.PROMETHEUS_URL = servers["prometheus"]
        arguments = AlertArguments.model_validate({"name": "ShopDown"})
        assert (await Alert().probe(arguments, Platform()))["firing"]

    async def test_service_may_be_asked(self, servers: dict[str, str]) -> None:
        words = {"name": "ShopDown", "service": "exchange", "source": "alertmanager"}
        arguments = AlertArguments.model_validate(words)
        assert (await Alert().probe(arguments, Platform(servers["alertmanager"])))["firing"]
        await Alert().reach(arguments, Platform(servers["alertmanager"]))

    async def test_server_of_the_other_kind_is_told_apart(self, servers: dict[str, str]) -> None:
        with pytest.raises(StepFailed, match=r"Prometheus at http://.* answered"):
            await ask("ShopDown", servers["alertmanager"])
        with pytest.raises(StepFailed, match=r"Alertmanager at http://.* answered 404"):
            await ask("ShopDown", servers["prometheus"], source="alertmanager")


def answering(status: str, body: str) -> Respond:
    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        writer.write((head + body).encode())
        await writer.drain()

    return respond


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        ("200 OK", "<html>", "without a list of alerts"),
        ("200 OK", "{}", "without a list of alerts"),
        ("200 OK", "null", "without a list of alerts"),
        ("200 OK", "[1]", "without a list of alerts"),
        ("200 OK", '[{"labels": {}}]', "without a list of alerts"),
        (
            "200 OK",
            '[{"labels": 7, "status": {"state": "active"}, "startsAt": ""}]',
            "without a list of alerts",
        ),
        ("200 OK", '{"data": {"alerts": "many"}}', "without a list of alerts"),
        ("200 OK", "[" * 100_000, "without a list of alerts"),
        ("200 OK", "x" * 2_000_000, "more than 1048576 bytes"),
        ("401 Unauthorized", "who are you?", "answered 401: 'who are you\\?'"),
        ("503 No", "", "answered 503"),
    ],
)
@both
async def test_garbage_response_fails_with_a_sentence(
    serve: Serve, source: str, status: str, body: str, words: str
) -> None:
    with pytest.raises(StepFailed, match=words):
        await ask("ShopDown", await serve(answering(status, body)), source=source)


async def test_slow_server_ends_the_step_in_time(serve: Serve) -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(300)

    with pytest.raises(StepFailed, match="did not answer within 200ms"):
        await ask("ShopDown", await serve(hang), timeout="200ms")


async def test_closed_port_refuses(closed_port: int) -> None:
    with pytest.raises(StepNotSent, match="refused the connection"):
        await ask("ShopDown", f"http://127.0.0.1:{closed_port}")


def test_service_that_does_not_speak_http_is_impossible() -> None:
    arguments = AlertArguments.model_validate({"name": "ShopDown", "service": "exchange"})
    with pytest.raises(StepImpossible, match="the address of 'exchange' is not one of Prometheus"):
        Alert().check(arguments, Platform("redis://127.0.0.1:6379"))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ({}, "Field required"),
        ({"name": "A", "source": "alertmanager"}, "no Alertmanager is configured"),
        ({"name": "A", "service": "x", "server": "http://host"}, "cannot be combined"),
        ({"name": "A", "server": "host:9093"}, "must begin with"),
        ({"name": "A", "labels": {"severity": 1}}, "valid string"),
    ],
)
def test_step_that_makes_no_sense_is_refused(words: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        AlertArguments.model_validate(words)
