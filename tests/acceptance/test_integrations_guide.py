"""docs/integrations.md is correct: its commands and its receiver work, and get the messages of a run."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scenarios.domain.durations import parse_duration
from scenarios.domain.webhooks import SUBSCRIBABLE, Message
from scenarios.notifications.deliveries import RETRY_DELAYS
from tests.servers.coordinator import PROJECT, Coordinator, command, coordinator
from tests.servers.documented import Page, run
from tests.servers.loopback import free_port, is_listening, wait_for
from tests.servers.receiver import Receiver
from tests.servers.target import Target, running_target

PAGE = Page(PROJECT / "docs" / "integrations.md")
GUIDE = PAGE.path.read_text()
ADD, LIST, TEST, *CHANNELS, CHECK = PAGE.commands()
[CHANNEL_SETTINGS] = [block for block in PAGE.blocks("text") if "EMAIL_URL" in block]
THE_CLAIM_RAN_OUT = """
from django.utils.timezone import now
from scenarios.models import Delivery
Delivery.objects.update(next_try_at=now())
"""
LONG_FAULT = PROJECT / "tests" / "servers" / "long-fault.yaml"


@pytest.fixture
def target() -> Iterator[Target]:
    with running_target() as running:
        yield running


@pytest.fixture
def grafana() -> Iterator[Receiver]:
    with Receiver().listening() as listening:
        yield listening


@pytest.fixture
def system(tmp_path: Path, target: Target, grafana: Receiver) -> Iterator[Coordinator]:
    with coordinator(tmp_path, GRAFANA_URL=grafana.url, GRAFANA_TOKEN="glsa_made_up") as installed:
        installed.set_up(target=target.url)
        yield installed


def test_the_documented_receiver_hears_of_a_run_and_grafana_of_its_fault(
    system: Coordinator, target: Target, grafana: Receiver, tmp_path: Path
) -> None:
    PAGE.save_files(tmp_path)
    port = free_port()
    code, secret = run(system, ADD, ADDRESS=f"http://127.0.0.1:{port}/runs")
    assert code == 0, secret
    assert run(system, TEST)[0] == 1
    system.start("receiver", str(tmp_path / "receiver.py"), str(port), WEBHOOK_SECRET=secret.strip())
    wait_for(lambda: is_listening(port), what="the receiver listens")
    assert run(system, TEST) == (0, "chat: answered 204\n")
    assert "run.finished, fault.outstanding" in run(system, LIST)[1]
    stop_a_run(system, target)
    wait_for(lambda: len(heard(system)) == 2, what="the end of the run is told")
    tested, ended = heard(system)
    assert [tested["type"], ended["type"]] == ["webhook.test", "run.finished"]
    assert ended["data"]["run"]["status"] == "aborted"
    grafana.wait_for(1)
    assert "service:target" in grafana.messages()[0]["tags"]


def stop_a_run(system: Coordinator, target: Target) -> None:
    system.start_worker()
    system.start_watchdog()
    run_id = system.manage("scenario", "run", str(LONG_FAULT), "--detach").strip()
    wait_for(lambda: target.active, what="the fault is injected")
    system.manage("scenario", "stop", run_id)


def heard(system: Coordinator) -> list[Any]:
    lines = system.find_log("receiver").read_text().splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


def test_the_channels_of_the_page_are_added_with_the_settings_that_it_names(tmp_path: Path) -> None:
    settings = dict(line.split("=", 1) for line in CHANNEL_SETTINGS.splitlines())
    with coordinator(tmp_path, **settings) as installed:
        installed.manage("migrate", "-v0")
        for added in CHANNELS:
            assert run(installed, added)[0] == 0, added
        code, text = run(installed, LIST)
    assert code == 0
    assert all(name in text for name in ("incidents", "pager", "team"))
    assert "hooks.slack.com" not in text


def test_the_page_names_every_message_and_every_delay() -> None:
    named = {line.split("`")[1] for line in GUIDE.splitlines() if line.startswith("| `") and "." in line}
    assert named >= {*map(str, SUBSCRIBABLE), str(Message.TEST)}
    sentence = " ".join(GUIDE.split()).split("is retried after ")[1].split(", or later")[0]
    delays = [
        part.replace(" ", "").replace("min", "m") for part in sentence.replace(" and ", ", ").split(", ")
    ]
    assert [parse_duration(delay) for delay in delays] == list(RETRY_DELAYS)


def test_the_single_sign_on_of_the_page_passes_the_check_that_it_names(tmp_path: Path) -> None:
    [settings] = [block for block in PAGE.blocks("text") if "OIDC_ISSUER" in block]
    environment = dict(line.split("=", 1) for line in settings.splitlines())
    with coordinator(tmp_path, **environment) as installed:
        assert run(installed, CHECK)[0] == 0
    del environment["OIDC_CLIENT_SECRET"]
    with command(tmp_path, *CHECK.split()[2:], **environment) as checking:
        assert checking.stdout is not None
        assert "OIDC_ISSUER needs OIDC_CLIENT_SECRET" in checking.stdout.read()


def test_a_message_whose_sender_is_killed_in_the_middle_is_sent_again_under_the_same_id(
    system: Coordinator,
) -> None:
    with Receiver().listening() as receiver:
        receiver.hangs = True
        assert run(system, ADD, ADDRESS=receiver.url)[0] == 0
        sending = system.start("sender", "manage.py", *TEST.split()[2:])
        receiver.wait_for(1)
        sending.kill()
        sending.wait()
        receiver.hangs = False
        system.manage("shell", "--no-imports", "-c", THE_CLAIM_RAN_OUT)
        system.start_watchdog()
        receiver.wait_for(2)
    first, second = receiver.requests
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body
