"""What a run would meet is told where the scenario is written, and before it is started."""

from pathlib import Path

import pytest
import yaml
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from pytest_django.fixtures import Settings

from scenarios.drivers import documents
from scenarios.language.document import build_plan
from scenarios.library import scenarios as stored_scenarios
from scenarios.library import services as registered_services
from scenarios.library.warnings import find_start_delays, find_warnings
from scenarios.models import Scenario
from scenarios.runs import global_stop

pytestmark = pytest.mark.django_db

DOCUMENT = (Path(__file__).parents[4] / "scenarios" / "catalogue" / "exchange-latency.yaml").read_text()
UNDO = "          undo: {http: {service: exchange, method: DELETE, path: /chaos/latency}}\n"


@pytest.fixture(autouse=True)
def registered() -> None:
    registered_services.register_service("exchange", "http://127.0.0.1:1")
    registered_services.register_service("risk-monitor", "http://127.0.0.1:2")


@pytest.fixture
def scenario(admin_user: User) -> Scenario:
    return stored_scenarios.save_scenario(documents.read_document(DOCUMENT), by=admin_user)


def read_warnings(text: str) -> list[str]:
    return find_warnings(build_plan(documents.read_document(text), {}))


def test_complete_plan_has_no_warnings() -> None:
    assert read_warnings(DOCUMENT) == []


def test_a_scenario_that_checks_nothing_is_warned_of() -> None:
    document = yaml.safe_load(DOCUMENT)
    for phase in document["spec"]["phases"]:
        phase["validations"] = []
    document["spec"].pop("guards", None)
    (sentence, *_of_empty_phases) = read_warnings(yaml.safe_dump(document))
    assert sentence.startswith("Nothing is checked")


def test_accepting_any_certificate_is_warned_of() -> None:
    step = "{service: exchange, path: /health}"
    assert DOCUMENT.count(step)
    (sentence, *_more) = read_warnings(
        DOCUMENT.replace(step, "{service: exchange, path: /health, tls: {verify: false}}")
    )
    assert sentence == (
        "Validation 'the exchange is healthy' of phase 'baseline' accepts any certificate ('verify: false'), "
        "also that of an impostor, who then reads what it sends; name the authority with 'ca' instead"
    )


def test_misspelt_service_gets_a_suggestion() -> None:
    (sentence,) = read_warnings(DOCUMENT.replace("service: risk-monitor", "service: risk-monitr"))
    assert sentence == (
        "Unknown service 'risk-monitr' (did you mean 'risk-monitor'?): a run would end as errored"
    )


def test_action_without_undo_gives_a_warning() -> None:
    assert UNDO in DOCUMENT
    (sentence,) = read_warnings(DOCUMENT.replace(UNDO, ""))
    assert sentence == "'slow the exchange down' has no undo: its effect stays"


TOO_RARE = [
    ("hold: 10s", "throughout: true, every: 11s", "'every' is 11s, longer than the 'hold' of its phase, 10s"),
    ("hold: 10s", "within: 5s, every: 1m", "'every' is 1m, longer than its 'within', 5s"),
]
OFTEN_ENOUGH = [
    ("hold: 10s", "throughout: true, every: 10s"),
    ("hold: 10s", "within: 5s, every: 5s"),
    ("hold: 10s", "timeout: 5s"),
]
LOOKS = """
apiVersion: coordinator/v1
kind: Scenario
metadata: {{name: looks}}
spec:
  phases:
    - name: p
      {phase}
      validations:
        - {{name: v, probe: {{http: {{service: exchange}}}}, expect: {{status: 200}}, {words}}}
"""


@pytest.mark.parametrize(("phase", "words", "reason"), TOO_RARE)
def test_validation_that_looks_too_rarely_gives_a_warning(phase: str, words: str, reason: str) -> None:
    assert read_warnings(LOOKS.format(phase=phase, words=words)) == [f"'v' may look only once: {reason}"]


@pytest.mark.parametrize(("phase", "words"), OFTEN_ENOUGH)
def test_validation_that_looks_often_enough_gives_no_warning(phase: str, words: str) -> None:
    assert read_warnings(LOOKS.format(phase=phase, words=words)) == []


def test_empty_phase_gives_a_warning() -> None:
    more = "    - name: empty\n    - {name: pause, hold: 5s}\n"
    assert read_warnings(LOOKS.format(phase="hold: 10s", words="throughout: true") + more) == [
        "Phase 'empty' is empty and ends at once: give it actions, validations or 'hold', or remove it"
    ]


def test_draft_shows_warnings_above_its_plan(admin_client: Client) -> None:
    draft = DOCUMENT.replace("service: risk-monitor", "service: elsewhere")
    address = reverse("admin:scenarios_scenario_draft")
    answer = admin_client.post(address, draft, content_type="application/yaml").json()
    assert answer["problems"] == []
    assert "Unknown service &#x27;elsewhere&#x27;" in answer["plan"].partition("<svg")[0]


def test_global_stop_and_protected_services_are_shown_before_a_run(
    admin_client: Client, scenario: Scenario
) -> None:
    plan = build_plan(documents.read_document(DOCUMENT), {})
    assert find_start_delays(plan) == []
    exchange = registered_services.register_service("exchange", "http://127.0.0.1:1")
    exchange.is_protected = True
    registered_services.save_service(exchange)
    global_stop.pull_global_stop(by="berta", reason="the market opens")
    stopped, protected = find_start_delays(plan)
    assert stopped == "No run begins until the global stop, pulled by berta (the market opens) is released"
    assert "second person: 'exchange' is protected" in protected
    page = admin_client.get(reverse("admin:scenarios_scenario_change", args=[scenario.pk])).content.decode()
    assert "No run begins until the global stop" in page.partition("<dialog")[2]


PROCESS = """
apiVersion: coordinator/v1
kind: Scenario
metadata: {name: process}
spec:
  phases:
    - name: chaos
      actions: [{name: end it, do: DO, undo: {command: UNDO}}]
"""
KILL = "{signal: {pidfile: /run/exchange/a.pid, signal: KILL}}"
PAUSE = "{signal: {pidfile: /run/exchange/a.pid, signal: STOP}}"
PKILL = "{command: {run: [pkill, exchange]}}"
CUT = "{command: {run: [tc, qdisc, add]}}"


@pytest.mark.parametrize(
    ("do", "undo", "is_told"),
    [
        (KILL, "{run: [/opt/exchange/start]}", True),
        (KILL.replace("KILL", "TERM"), "{run: [/opt/exchange/start]}", True),
        (PKILL, "{run: [/opt/exchange/start]}", True),
        (CUT, "{run: [sh, -c, 'exchange --serve & ']}", True),
        (CUT, "{run: [sh, -c, 'nohup exchange']}", True),
        (CUT, "{run: [setsid, exchange]}", True),
        (KILL, "{run: [/opt/exchange/start], keep_running: true}", False),
        (KILL, "{run: [/usr/bin/systemctl, start, exchange]}", False),
        (PAUSE, "{run: [kill, -CONT, '77']}", False),
        (CUT, "{run: [tc, qdisc, del]}", False),
        (CUT, "{run: [sh, -c, 'tc qdisc del 2>&1 && echo done']}", False),
    ],
)
def test_undo_that_starts_processes_gives_a_warning(
    settings: Settings, do: str, undo: str, *, is_told: bool
) -> None:
    settings.ALLOWED_PIDFILE_DIRS = (Path("/run/exchange"),)
    settings.ALLOWED_COMMANDS = (
        "sh",
        "tc",
        "kill",
        "pkill",
        "setsid",
        "/usr/bin/systemctl",
        "/opt/exchange/start",
    )
    told = read_warnings(PROCESS.replace("UNDO", undo).replace("DO", do))
    assert any("'keep_running: true'" in sentence for sentence in told) is is_told
