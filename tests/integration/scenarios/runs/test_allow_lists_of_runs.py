"""Allow lists that people narrow while runs go on: the next step notices, and every undo still works."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from pytest_django.fixtures import Settings

from scenarios.domain.allow_lists import ListName
from scenarios.domain.errors import StepImpossible
from scenarios.domain.outcomes import FaultState, Outcome, Rollback
from scenarios.drivers.documents import read_document
from scenarios.drivers.gate import admit_url
from scenarios.engine.step_platform import StepPlatform
from scenarios.language.document import build_plan
from scenarios.library import allow_lists
from scenarios.library.preflight import check_preflight
from scenarios.library.services import register_service
from scenarios.library.warnings import find_warnings
from scenarios.models import Fault
from scenarios.ports import Intent
from scenarios.runs import current_lists
from scenarios.runs.gate import RunGate
from tests.fakes import NoServices
from tests.integration.scenarios.reaching import (
    action,
    carried_out,
    document,
    in_the_database,
    probe,
    queued,
)
from tests.servers.listing_servers import listing_cluster
from tests.servers.recording import Recorder, recording

pytestmark = pytest.mark.django_db(transaction=True)
NOTHING: list[str] = []


@pytest.fixture(autouse=True)
def site(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.ALLOWED_COMMANDS = ("touch", "rm", "test")
    settings.ALLOWED_COMMAND_VARIABLES = {"touch": frozenset({"TZ", "LANG"})}
    settings.ALLOWED_PIDFILE_DIRS = (tmp_path,)
    monkeypatch.setattr(current_lists, "MAX_AGE", 0.0)


@pytest.fixture
def shop() -> Iterator[Recorder]:
    with recording() as server:
        register_service("shop", server.url)
        yield server


def narrow(name: ListName, entries: list[str] | None) -> None:
    allow_lists.replace_entries(name, entries, by="ann")


def breaking(file: Path) -> dict[str, Any]:
    """A fault whose undo and whose proof are commands, too."""
    return {
        **action({"command": {"run": ["touch", str(file)]}}, {"command": {"run": ["rm", str(file)]}}),
        "undone": {"probe": {"command": {"run": ["test", "-e", str(file)]}}, "expect": {"exit_code": 1}},
    }


def test_a_step_that_is_switched_off_meanwhile_is_refused_and_the_fault_before_it_is_undone(
    shop: Recorder, tmp_path: Path
) -> None:
    shop.before_answer = in_the_database(lambda _request: narrow(ListName.COMMANDS, NOTHING))
    file = tmp_path / "broken"
    asked = {"name": "ask", "do": {"http": {"service": "shop", "method": "POST", "path": "/"}}}
    more = {"name": "more", "do": {"command": {"run": ["touch", str(tmp_path / "more")]}}}
    ended = carried_out(queued(document(actions=[breaking(file), asked, more])))
    assert (ended.outcome, ended.rollback) == (Outcome.ERRORED, Rollback.CLEAN)
    assert "'touch' is switched off on this site: its allow list 'commands' names none now" in ended.reason
    assert Fault.objects.get().state == FaultState.UNDONE
    assert sorted(tmp_path.iterdir()) == []


def test_a_fault_whose_undo_is_switched_off_is_not_injected(shop: Recorder, tmp_path: Path) -> None:
    shop.before_answer = in_the_database(lambda _request: narrow(ListName.COMMANDS, ["touch", "test"]))
    asked = {"name": "ask", "do": {"http": {"service": "shop", "method": "POST", "path": "/"}}}
    ended = carried_out(queued(document(actions=[asked, breaking(tmp_path / "broken")])))
    assert ended.outcome == Outcome.ERRORED
    assert "'rm' is switched off on this site" in ended.reason
    assert not Fault.objects.exists()
    assert sorted(tmp_path.iterdir()) == []


def test_a_run_of_what_is_switched_off_injects_nothing_and_its_plan_says_so(tmp_path: Path) -> None:
    narrow(ListName.COMMANDS, ["touch:TZ", "test"])
    source = document(actions=[breaking(tmp_path / "broken")])
    plan = build_plan(read_document(source), {})
    [refusal] = check_preflight(plan).refusals
    assert "'rm' is switched off on this site" in refusal
    assert "the undo of action 'act'" in refusal
    assert any("'rm' is switched off" in sentence for sentence in find_warnings(plan))
    ended = carried_out(queued(source))
    assert (ended.outcome, sorted(tmp_path.iterdir())) == (Outcome.ERRORED, [])
    set_language = {"command": {"run": ["touch", "/dev/null"], "env": {"LANG": "C"}}}
    ended = carried_out(queued(document(actions=[action(set_language)])))
    assert "setting 'LANG' for 'touch' is switched off" in ended.reason
    narrow(ListName.COMMANDS, None)
    assert carried_out(queued(source)).outcome == Outcome.PASSED


def test_signals_go_only_to_folders_that_are_switched_on_and_the_undo_goes_everywhere(
    shop: Recorder, tmp_path: Path
) -> None:
    (tmp_path / "web").mkdir()
    (tmp_path / "out").symlink_to("/run")
    with subprocess.Popen(["/bin/sleep", "600"]) as process:
        try:
            file = tmp_path / "target.pid"
            file.write_text(f"{process.pid}\n")
            narrow(ListName.PIDFILE_DIRS, [str(tmp_path / "web"), str(tmp_path / "out")])
            words = {"pidfile": str(file)}
            stop = action({"signal": {**words, "signal": "STOP"}}, {"signal": {**words, "signal": "CONT"}})
            assert (
                f"'{file}' is switched off on this site"
                in carried_out(queued(document(actions=[stop]))).reason
            )
            by_pid = {"signal": {"pid": process.pid, "signal": "CONT"}}
            ended = carried_out(queued(document(actions=[action(by_pid)])))
            assert f"signalling process {process.pid} is switched off" in ended.reason
            narrow(ListName.PIDFILE_DIRS, None)
            shop.before_answer = in_the_database(lambda _request: narrow(ListName.PIDFILE_DIRS, NOTHING))
            ask = {"name": "ask", "do": {"http": {"service": "shop", "method": "POST", "path": "/"}}}
            ended = carried_out(queued(document(actions=[stop, ask])))
            assert ended.rollback == Rollback.CLEAN, ended.reason
            assert Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"
        finally:
            process.kill()


def test_steps_connect_only_to_networks_that_are_switched_on_and_undos_everywhere(
    shop: Recorder, settings: Settings
) -> None:
    look = document(validations=[probe({"http": {"service": "shop"}})])
    assert carried_out(queued(look)).outcome == Outcome.PASSED
    narrow(ListName.NETWORKS, ["10.0.0.0/8"])
    reason = carried_out(queued(look)).reason
    assert "its address 127.0.0.1 is in no network that this site allows" in reason
    assert "the allow list 'networks' names '10.0.0.0/8' now" in reason
    narrow(ListName.NETWORKS, None)
    settings.ALLOWED_NETWORKS = ("192.0.2.0/24",)
    assert "ALLOWED_NETWORKS names '192.0.2.0/24' now" in carried_out(queued(look)).reason
    settings.ALLOWED_NETWORKS = ()
    shop.requests.clear()

    def narrow_after_injection(request: Any) -> None:
        if request.path == "/inject":
            narrow(ListName.NETWORKS, NOTHING)

    shop.before_answer = in_the_database(narrow_after_injection)
    inject, undo, more = (
        {"http": {"service": "shop", "method": method, "path": path}}
        for method, path in (("POST", "/inject"), ("DELETE", "/undo"), ("POST", "/more"))
    )
    fault = {
        **action(inject, undo),
        "undone": {"probe": {"http": {"service": "shop", "path": "/gone"}}, "expect": {"status": 200}},
    }
    ended = carried_out(queued(document(actions=[fault, {"name": "more", "do": more}])))
    assert (ended.outcome, ended.rollback) == (Outcome.ERRORED, Rollback.CLEAN), ended.reason
    assert shop.asked == ["POST /inject", "DELETE /undo", "GET /gone"]


@pytest.mark.parametrize(
    "request_of_load",
    [{"http": {"service": "shop", "path": "/price"}}, {"tcp": {"service": "shop"}}],
    ids=["http", "another driver"],
)
def test_a_load_ends_when_its_network_is_switched_off(
    shop: Recorder, request_of_load: dict[str, Any]
) -> None:

    def narrow_when_asked(request: Any) -> None:
        if request.path == "/narrow":
            narrow(ListName.NETWORKS, ["10.0.0.0/8"])

    shop.before_answer = in_the_database(narrow_when_asked)
    # After a second a request narrows the list; nothing else in this phase connects after that.
    last = {
        "name": "last",
        "at": "1s",
        "do": {"http": {"service": "shop", "method": "POST", "path": "/narrow"}},
    }
    source = json.loads(document(actions=[last]))
    source["spec"]["load"] = [{"name": "shoppers", "rate": "5/s", "request": request_of_load}]
    source["spec"]["phases"][0]["hold"] = "300s"
    ended = carried_out(queued(json.dumps(source)))
    assert ended.outcome == Outcome.ERRORED
    assert ended.reason.startswith("load 'shoppers': '127.0.0.1' is refused: its address 127.0.0.1 is in no")
    assert "POST /narrow" in shop.asked


def test_clusters_and_engines_of_other_machines_are_in_networks_and_sockets_are_not(
    settings: Settings, tmp_path: Path
) -> None:
    settings.CONTAINER_ENGINES = {"far": "tcp://127.0.0.1:1", "near": f"unix://{tmp_path}/none"}
    with listing_cluster(tmp_path) as path:
        settings.KUBERNETES_CONFIG, settings.KUBERNETES_NAMESPACES = path, ("shop",)
        looks = {
            "cluster": {"kubernetes": {"of": "Pod", "namespace": "shop"}},
            "far": {"container": {"engine": "far", "name": "shop"}},
            "near": {"container": {"engine": "near", "name": "shop"}},
        }

        def find_reason(step: dict[str, Any]) -> str:
            field = "found" if "kubernetes" in step else "count"
            look = {"name": "look", "probe": step, "expect": {field: 7}}
            return carried_out(queued(document(validations=[look]))).reason

        before = {name: find_reason(step) for name, step in looks.items()}
        narrow(ListName.NETWORKS, ["10.0.0.0/8"])
        after = {name: find_reason(step) for name, step in looks.items()}
    assert not any("is refused" in reason for reason in before.values()), before
    assert after["near"] == before["near"]
    for name in ("cluster", "far"):
        assert "'127.0.0.1' is refused: its address 127.0.0.1 is in no network" in after[name]


def test_the_undo_of_a_fault_reaches_its_engine_in_any_network() -> None:
    narrow(ListName.NETWORKS, NOTHING)
    run = queued(document(actions=[action({"wait": {"duration": "1s"}})]))

    def admit(*, undoes: bool) -> None:
        intent = Intent.UNDO if undoes else Intent.READ
        platform = StepPlatform(NoServices(), RunGate(run), intent, frozenset(), undoes=undoes)
        async_to_sync(admit_url)("tcp://127.0.0.1:2376", platform)

    admit(undoes=True)
    with pytest.raises(StepImpossible, match="in no network that this site allows"):
        admit(undoes=False)
