"""docs/api.md tells the truth: its commands are run, in their order, by curl."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.coordinator import PROJECT, Coordinator, coordinator
from tests.servers.documented import Page, run

PAGE = Page(PROJECT / "docs" / "api.md")
PEOPLE = (
    "from django.contrib.auth.models import User\n"
    "for name in ('ada', 'bob'): User.objects.create_superuser(name)"
)


@pytest.fixture
def system(tmp_path: Path) -> Iterator[Coordinator]:
    with coordinator(tmp_path, WEBHOOK_ALLOWED_HOSTS="hooks.example.com") as installed:
        installed.migrate()
        installed.manage("shell", "--no-imports", "-c", PEOPLE)
        installed.start_web()
        yield installed


def test_every_command_of_the_guide_does_what_it_says(system: Coordinator) -> None:
    values = {"127.0.0.1:8080": f"127.0.0.1:{system.port}"}
    printed = {}
    for line in PAGE.commands():
        code, output = run(system, line.replace("curl ", "curl --silent --show-error "), **values)
        assert code == 0, (line, output)
        printed[line.replace("\\", "")] = output
        if "api_token create" in line:
            whose = "SECOND" if "--scope approve" in line else "TOKEN"
            values[whose] = next(word for word in output.split() if word.startswith("tc_"))
        if "approvals?" in line:
            values["APPROVAL"] = str(json.loads(output)["items"][0]["id"])
        if "/webhooks" in line and "secret" in output:
            values["WEBHOOK"] = str(json.loads(output)["id"])
        if "-X POST" in line and line.endswith("/suites/exchange/runs"):
            values["ROUND"] = json.loads(output)["id"]
        if "Idempotency-Key" in line:
            values["RUN"] = json.loads(output)["id"]
    assert len(printed) == len(PAGE.commands()) >= 10
    run_id = values["RUN"]
    found = (
        *(("report", "<testsuites>"), ("event-stream", "event: end"), ("aborted&", run_id)),
        *(("nightly/resume", '"next_times": ["'), ("/approve", '"state": "approved"')),
        *(("hooks.example.com", "whsec_"), ("/test", "msg_")),
    )
    for words, told in found:
        assert any(words in line and told in output for line, output in printed.items()), words


def test_every_file_that_the_guide_names_is_there() -> None:
    text = PAGE.path.read_text()
    for name in ("benchmarks/api_fuzzing.py", "benchmarks/api_load.py", "docs/openapi.json"):
        assert name.removeprefix("docs/") in text
        assert (PROJECT / name).exists()
