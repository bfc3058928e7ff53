"""Schemathesis against a running coordinator, by the description that it gives of itself."""

import subprocess
import sys
from pathlib import Path

from tests.servers.coordinator import PROJECT, Coordinator

RULES = PROJECT / "tests" / "servers" / "schemathesis.toml"


def fuzzed_installation(data: Path) -> tuple[Coordinator, str]:
    """A coordinator with something of everything in it, and a token that may do everything."""
    installed = Coordinator(data, API_FAILED_TOKENS_PER_MINUTE="1000000")
    installed.set_up(exchange="http://127.0.0.1:9")
    installed.manage("shell", "--no-imports", "-c", SOMETHING_OF_EVERYTHING)
    scopes = [part for scope in ALL_SCOPES for part in ("--scope", scope)]
    printed = installed.manage("api_token", "create", "fuzz", "--name", "fuzzing", *scopes)
    installed.start_worker()
    installed.start_watchdog()
    installed.start_web()
    return installed, next(line for line in printed.splitlines() if line.startswith("tc_"))


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


ALL_SCOPES = ("read", "edit", "run", "stop", "acknowledge", "global-stop")
SOMETHING_OF_EVERYTHING = """
from django.contrib.auth.models import User
from tests.integration.scenarios.story_rows import Telling
from scenarios.domain.outcomes import Rollback
User.objects.create_superuser("fuzz")
for rollback in (Rollback.CLEAN, Rollback.DIRTY):
    telling = Telling()
    telling.begin()
    telling.finish(rollback)
"""
