"""Schemathesis against a running coordinator, based on its OpenAPI document."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from pathlib import Path
from urllib.request import urlopen

from tests.servers.coordinator import PROJECT, Coordinator, coordinator
from tests.servers.loopback import wait_for

RULES = PROJECT / "tests" / "servers" / "schemathesis.toml"


@contextmanager
def fuzzed_installation(data: Path, **environment: str) -> Iterator[tuple[Coordinator, str]]:
    """A coordinator with at least one object of each kind, and a token that may do everything."""
    environment["API_FAILED_TOKENS_PER_MINUTE"] = "1000000"  # the tool tries many
    with coordinator(data, **environment) as installed:
        installed.set_up(exchange="http://127.0.0.1:9")
        installed.manage("shell", "--no-imports", "-c", SOMETHING_OF_EVERYTHING)
        scopes = [part for scope in ALL_SCOPES for part in ("--scope", scope)]
        token = installed.manage("api_token", "create", "fuzz", "--name", "fuzzing", *scopes).strip()
        installed.start_worker()
        installed.start_watchdog()
        installed.start_web()
        # The tool waits 10 s for the description, which each process builds with the first request for it.
        for place in ("ready", "openapi.json"):
            address = f"http://127.0.0.1:{installed.port}/api/v1/{place}"
            wait_for(partial(answers, address), what=f"{place} is answered")
        yield installed, token


def answers(address: str) -> bool:
    try:
        with urlopen(address, timeout=300) as answer:
            return bool(answer.status == HTTPStatus.OK)
    except OSError:  # 503, or it is still starting
        return False


def fuzz(installed: Coordinator, token: str, *options: str) -> "subprocess.CompletedProcess[str]":
    address = f"http://127.0.0.1:{installed.port}/api/v1/openapi.json"
    authorised = ("--header", f"Authorization: Bearer {token}") if token else ()
    return subprocess.run(
        [
            str(Path(sys.executable).with_name("schemathesis")),
            *("--config-file", str(RULES), "run", address, "--checks", "all", *authorised, *options),
        ],
        cwd=installed.data,
        capture_output=True,
        text=True,
        check=False,
        timeout=3600,
    )


# Written out: a benchmark that fuzzes has no Django. A test holds that it is all of them.
ALL_SCOPES = (
    *("read", "edit", "run", "schedule", "services", "webhooks", "approve"),
    *("stop", "acknowledge", "global-stop", "allow-lists"),
)
SOMETHING_OF_EVERYTHING = """
from django.contrib.auth.models import User
from tests.integration.scenarios.planned_rows import DOCUMENT, asked_run, scheduled, stored
from tests.integration.scenarios.story_rows import Telling
from scenarios.library import services as registered_services
from scenarios.notifications import webhooks
from scenarios.domain.outcomes import Rollback
from scenarios.models import Webhook
fuzz = User.objects.create_superuser("fuzz")
for rollback in (Rollback.CLEAN, Rollback.DIRTY):
    telling = Telling()
    telling.begin()
    telling.finish(rollback)
registered_services.register_service("custodian", "http://127.0.0.1:10", is_protected=True)
webhook = Webhook(name="chat", url="http://127.0.0.1:10/runs", events=["run.finished"])
webhooks.save_webhook(webhook, by=fuzz)
document = DOCUMENT.replace("exchange", "custodian")
stored(document)
scheduled(fuzz, scenario_name="break-custodian", cron="0 0 1 1 *")
for _number in range(3):
    asked_run(None, document)
"""
