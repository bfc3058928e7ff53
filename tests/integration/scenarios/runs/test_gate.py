"""What a run may touch is decided by the address that its connections are made to, however it is spelt."""

import json
import socket
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from pytest_django.fixtures import Settings

from scenarios.domain.errors import StepImpossible
from scenarios.domain.outcomes import FaultState, Outcome, Rollback, RunState
from scenarios.library import services as registered_services
from scenarios.models import Fault
from scenarios.ports import Connection, Intent
from scenarios.runs.gate import RunGate
from tests.integration.scenarios.planned_rows import read_approval
from tests.integration.scenarios.reaching import (
    action,
    approved,
    carried_out,
    document,
    probe,
    queued,
)
from tests.servers.recording import Recorder, recording

pytestmark = pytest.mark.django_db(transaction=True)


SPELLINGS = [
    "http://localhost:{port}/x",
    "http://LOCALHOST:{port}/x",
    "http://localhost.:{port}/x",
    "http://127.1:{port}/x",
    "http://2130706433:{port}/x",
    "http://0x7f.0.0.1:{port}/x",
    "http://0:{port}/x",
    "http://0.0.0.0:{port}/x",
    "http://127.0.0.2:{port}/x",
    "http://[::1]:{port}/x",
    "http://[::ffff:127.0.0.1]:{port}/x",
    "http://[::ffff:7f00:1]:{port}/x",
    "http://ann:pw@127.0.0.1:{port}/x",
    "http://127.0.0.1:0{port}/x",
    "http://①②⑦.0.0.1:{port}/x",
]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_run_waits_for_an_approval_however_it_spells_the_address(custody: Recorder, spelling: str) -> None:
    url = spelling.format(port=custody.port)
    run = queued(document(actions=[action({"http": {"url": url, "method": "POST"}})]))
    assert (run.state, run.services) == (RunState.AWAITING_APPROVAL, ["custody"])


@pytest.mark.parametrize("spelling", ["http://127.0.0.1:80/x", "http://localhost/x", "http://127.1:080/x"])
def test_a_run_waits_for_an_approval_however_it_spells_the_default_port(spelling: str) -> None:
    registered_services.register_service("custody", "http://127.0.0.1", is_protected=True)
    run = queued(document(actions=[action({"http": {"url": spelling, "method": "POST"}})]))
    assert (run.state, run.services) == (RunState.AWAITING_APPROVAL, ["custody"])


@pytest.mark.parametrize("spelling", ["localhost", "127.1", "2130706433", "::1", "[::1]", "0", "LOCALHOST."])
def test_a_run_waits_for_an_approval_of_a_connection_by_host_and_port(
    custody: Recorder, spelling: str
) -> None:
    run = queued(document(actions=[action({"tcp": {"host": spelling, "port": custody.port}})]))
    assert run.state == RunState.AWAITING_APPROVAL


HOST_NAME_AND_LOOPBACK = [("{machine}", "127.0.0.1"), ("127.0.0.1", "{machine}")]


@pytest.fixture
def machine() -> str:
    """The name of this machine."""
    name = socket.gethostname()
    try:
        socket.getaddrinfo(name, None)
    except (OSError, ValueError) as error:
        pytest.skip(f"the host name {name!r} does not resolve: {error}")
    return name


@pytest.mark.parametrize(("registered", "named"), HOST_NAME_AND_LOOPBACK)
def test_a_run_waits_for_an_approval_where_one_address_is_the_machine_s_name(
    machine: str, registered: str, named: str
) -> None:
    protected, url = (f"http://{host.format(machine=machine)}:8080" for host in (registered, named))
    registered_services.register_service("custody", protected, is_protected=True)
    run = queued(document(actions=[action({"http": {"url": f"{url}/x", "method": "POST"}})]))
    assert (run.state, run.services) == (RunState.AWAITING_APPROVAL, ["custody"])


@pytest.mark.parametrize(("registered", "named"), HOST_NAME_AND_LOOPBACK)
def test_a_request_is_refused_where_one_address_is_the_machine_s_name(
    machine: str, registered: str, named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with recording() as server:
        protected, url = (
            f"http://{host.format(machine=machine)}:{server.port}" for host in (registered, named)
        )
        registered_services.register_service("custody", protected, is_protected=True)
        monkeypatch.setenv("SCENARIO_SECRET_URL", url)
        ended = carried_out(
            queued(document(actions=[action({"http": {"url": "${secret:URL}", "method": "POST"}})]))
        )
        assert (ended.outcome, server.requests) == (Outcome.ERRORED, [])
    assert "leads to 'custody', which is protected, and nobody has approved" in ended.reason


HIDDEN = [
    {"http": {"url": "http://${secret:HOST}:PORT/x", "method": "POST"}},
    {"http": {"url": "http://127.0.0.1:${secret:PORT}/x", "method": "POST"}},
    {"http": {"url": "${secret:URL}", "method": "POST"}},
    {"http": {"url": "http://${secret:HOST}:PORT/x"}},
    {"tcp": {"host": "${secret:HOST}", "port": "PORT"}},
    {"prometheus": {"query": "up", "server": "${secret:URL}"}},
]


@pytest.fixture
def _secrets(custody: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"HOST": "localhost", "PORT": str(custody.port), "URL": custody.url}.items():
        monkeypatch.setenv(f"SCENARIO_SECRET_{name}", value)


def with_port(step: Any, port: int) -> Any:
    text = json.dumps(step).replace('"PORT"', str(port)).replace(":PORT/", f":{port}/")
    return json.loads(text)


@pytest.mark.usefixtures("_secrets")
@pytest.mark.parametrize("step", HIDDEN)
def test_an_address_in_a_secret_is_refused_where_the_request_is_sent(custody: Recorder, step: Any) -> None:
    do = with_port(step, custody.port)
    ended = carried_out(queued(document(actions=[action(do)])))
    assert (ended.outcome, custody.requests) == (Outcome.ERRORED, [])
    assert "leads to 'custody', which is protected, and nobody has approved" in ended.reason


@pytest.mark.usefixtures("_secrets")
def test_an_undo_that_a_secret_hides_keeps_its_fault_from_being_injected(
    custody: Recorder, shop: Recorder
) -> None:
    do = {"http": {"service": "shop", "method": "POST", "path": "/inject"}}
    undo = {"http": {"url": "${secret:URL}", "method": "DELETE"}}
    ended = carried_out(queued(document(actions=[action(do, undo)])))
    assert (ended.outcome, ended.rollback) == (Outcome.ERRORED, Rollback.CLEAN)
    assert (custody.requests, shop.requests) == ([], [])
    assert not Fault.objects.exists()


@pytest.mark.parametrize("method", ["POST", "DELETE", "PUT", "post", "PATCH", "PURGE"])
@pytest.mark.parametrize("place", ["validations", "guards"])
def test_a_probe_that_acts_needs_hold_and_approval(custody: Recorder, method: str, place: str) -> None:
    look = probe({"http": {"service": "custody", "method": method}})
    others = {"validations": [probe({"wait": {"duration": "1ms"}})]} if place == "guards" else {}
    others["validations"] = others.get("validations", [])
    for validation in others["validations"]:
        validation["expect"] = {"elapsed": {"exists": True}}
    run = queued(document(**{**others, place: [look]}))
    assert (run.state, run.services) == (RunState.AWAITING_APPROVAL, ["custody"])


@pytest.mark.parametrize(
    "header", ["X-HTTP-Method-Override", "x-http-method-override", "X-HTTP-Method", "X-Method-Override"]
)
@pytest.mark.parametrize("value", ["DELETE", "${secret:VERB}"])
def test_a_probe_whose_header_overrides_its_method_acts(custody: Recorder, header: str, value: str) -> None:
    look = probe({"http": {"service": "custody", "headers": {header: value}}})
    run = queued(document(validations=[look]))
    assert (run.state, run.services) == (RunState.AWAITING_APPROVAL, ["custody"])


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "get"])
def test_a_probe_that_changes_nothing_needs_no_approval(custody: Recorder, method: str) -> None:
    look = probe({"http": {"url": f"http://localhost:{custody.port}/health", "method": method}})
    ended = carried_out(queued(document(validations=[look])))
    assert (ended.outcome, custody.asked) == (Outcome.PASSED, [f"{method.upper()} /health"])


@pytest.mark.usefixtures("_secrets")
@pytest.mark.parametrize("place", ["validations", "guards"])
def test_a_probe_that_acts_is_refused_where_a_secret_hides_it(custody: Recorder, place: str) -> None:
    look = probe({"http": {"url": "${secret:URL}", "method": "DELETE"}})
    wait = {"name": "wait", "do": {"wait": {"duration": "30s"}}}
    more = {"actions": [wait]} if place == "guards" else {}
    ended = carried_out(queued(document(**{place: [look]}, **more)))
    assert (ended.outcome, custody.requests) == (Outcome.ERRORED, [])
    assert "which is protected" in ended.reason


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_does_not_lead_an_action_to_a_protected_service(
    custody: Recorder, shop: Recorder, status: int
) -> None:
    shop.status, shop.redirect_to = status, f"http://localhost:{custody.port}/x"
    do = {"http": {"service": "shop", "method": "POST", "follow_redirects": True}}
    undo = {"http": {"service": "shop", "method": "DELETE", "path": "/undo"}}
    shop.before_answer = lambda request: setattr(shop, "status", 200) if request.method == "DELETE" else None
    ended = carried_out(queued(document(actions=[action(do, undo)])))
    assert (ended.outcome, custody.requests) == (Outcome.ERRORED, [])
    assert ended.rollback == Rollback.CLEAN
    fault = Fault.objects.get()
    # With 307 and 308 the service has left it to the other; with the others it may have done it itself.
    assert fault.state == (FaultState.NOT_INJECTED if status in {307, 308} else FaultState.UNDONE)


def test_an_approved_run_is_let_through_every_way(custody: Recorder, shop: Recorder, ann: User) -> None:
    shop.status, shop.redirect_to = 307, f"http://localhost:{custody.port}/redirected"
    steps = [
        {"http": {"service": "custody", "method": "POST", "path": "/direct"}},
        {"http": {"service": "shop", "method": "POST", "follow_redirects": True}},
    ]
    actions = [{"name": str(number), "do": step} for number, step in enumerate(steps)]
    run = queued(document(actions=actions), ann)
    assert approved(run).outcome == Outcome.PASSED
    assert custody.asked == ["POST /direct", "POST /redirected"]


def test_a_second_service_at_the_address_is_protected_with_it(custody: Recorder) -> None:
    registered_services.register_service("alias", f"http://localhost:{custody.port}")
    run = queued(document(actions=[action({"http": {"service": "alias", "method": "POST"}})]))
    assert (run.state, run.services) == (RunState.AWAITING_APPROVAL, ["alias", "custody"])
    assert read_approval(run).services == ["custody"]


# ONLY_REGISTERED_SERVICES


def test_only_registered_services_are_reached_whatever_a_site_s_own_driver_is_asked(
    shop: Recorder, settings: Settings
) -> None:
    settings.ONLY_REGISTERED_SERVICES = True
    settings.PROMETHEUS_URL = "http://localhost:9"
    gate = RunGate(queued(document(actions=[action({"wait": {"duration": "1ms"}})])))
    admit = async_to_sync(gate.admit)
    for port in (shop.port, 9):
        admit(Connection("vm", (("127.0.0.1", port),)), Intent.READ)
    with pytest.raises(StepImpossible, match="reaches registered services only"):
        admit(Connection("vm", (("127.0.0.1", 8),)), Intent.READ)
