"""A run with secrets leaves none behind: everything that is kept, logged, shown or answered is searched."""

import base64
import html
import json
import re
import subprocess
import zlib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
import redis
import requests

from tests.servers.coordinator import PROJECT, Coordinator, coordinator
from tests.servers.echo import running_echo
from tests.servers.loopback import wait_for

DOCUMENT = PROJECT / "tests" / "servers" / "keeps-a-secret.yaml"
# With what each encoding writes otherwise, and long enough to be found by chance nowhere.
SECRET = 'kEy/+&"ü: of-nobody#4711'
NAME, PASSWORD = "operator", "made-up-for-the-tests"
MAX_PAGES = 150


def list_forms(secret: str) -> list[bytes]:
    """How the secret may be written, with no more of base64 than stands whatever is written around it."""
    plain = secret.encode()
    inner_base64 = base64.b64encode(plain[:-3])[:24]
    written = [secret, html.escape(secret), quote(secret, safe=""), quote_plus(secret), quote(secret)]
    written += [json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], "of-nobody#4711"]
    return [*(text.encode() for text in written), inner_base64]


@pytest.fixture
def system(installation: dict[str, str], tmp_path: Path) -> Iterator[Coordinator]:
    environment = {
        "SCENARIO_SECRET_TOKEN": SECRET,
        "ALLOWED_COMMANDS": "/usr/bin/printenv:SAID",
        "DJANGO_SUPERUSER_PASSWORD": PASSWORD,
        **installation,
    }
    with running_echo() as echo, coordinator(tmp_path, **environment) as system:
        system.set_up(echo=echo)
        system.manage("createsuperuser", "--noinput", "--username", NAME, "--email", "operator@example.com")
        system.start_watchdog()
        system.start_worker()
        system.start_web()
        yield system


def test_a_run_with_a_secret_leaves_it_nowhere(system: Coordinator) -> None:
    run = run_to_its_end(system)
    kept = {**files(system), **stored(system), **shown(system), **printed(system, run)}
    assert len(kept) > 30
    assert any(b"***" in content for content in kept.values()), "nothing was redacted: was the secret used?"
    leaks = [
        f"{where}: {content[max(0, content.find(form) - 60) : content.find(form) + 60]!r}"
        for where, content in kept.items()
        for form in list_forms(SECRET)
        if form in content
    ]
    assert leaks == []


def run_to_its_end(system: Coordinator) -> str:
    system.manage("scenario", "import", str(DOCUMENT))
    run = system.manage("scenario", "run", "keeps-a-secret", "--detach").strip()
    failed = "SELECT 1 FROM scenarios_run WHERE outcome = 'failed'"
    wait_for(lambda: system.rows(failed), what="the run has ended as it must")
    return run


def files(system: Coordinator) -> dict[str, bytes]:
    """Database, logs and metrics of the data folder."""
    return {str(path): path.read_bytes() for path in system.data.rglob("*") if path.is_file()}


def stored(system: Coordinator) -> dict[str, bytes]:
    if "REDIS_URL" not in system.environment:
        return {}
    address = system.environment["DATABASE_URL"]
    found = {"pg_dump": subprocess.check_output(["pg_dump", "--inserts", address])}
    with redis.Redis.from_url(system.environment["REDIS_URL"]) as queue:
        for key in queue.scan_iter():
            kind = queue.type(key)
            values = queue.hgetall(key).values() if kind == b"hash" else [queue.dump(key) or b""]
            found[f"redis {key!r}"] = b"\n".join(map(inflated, values))
    return found


def inflated(value: bytes) -> bytes:
    """RQ packs what a job is given and what it returns."""
    try:
        return zlib.decompress(value)
    except zlib.error:
        return value


def shown(system: Coordinator) -> dict[str, bytes]:
    """Every page of the admin that a link leads to, and the API, as one with every permission sees them."""
    base = f"http://127.0.0.1:{system.port}"
    with requests.Session() as session:
        session.get(f"{base}/admin/login/")
        form = {"username": NAME, "password": PASSWORD, "csrfmiddlewaretoken": session.cookies["csrftoken"]}
        assert session.post(f"{base}/admin/login/?next=/admin/", form).url == f"{base}/admin/"
        waiting, seen = ["/admin/", "/metrics", *api_addresses(session, base)], dict[str, bytes]()
        while waiting and len(seen) < MAX_PAGES:
            address = waiting.pop(0)
            if address in seen:
                continue
            answer = session.get(base + address, timeout=300)
            # Whether it is ready depends on what the watchdog has reported by now.
            assert answer.status_code < 500 or address == "/api/v1/ready", address
            seen[address] = answer.content + repr(answer.headers).encode()
            waiting += links(answer.text)
    assert any("/run/" in address for address in seen)
    return seen


def links(page: str) -> list[str]:
    found = re.findall(r'(?:href|hx-get)="(/admin/[^"#]*)', page)
    return [html.unescape(link) for link in found if "logout" not in link and "/guide/" not in link]


def api_addresses(session: requests.Session, base: str) -> list[str]:
    """Everything that can be asked of the API, with the names that are there."""
    paths = session.get(f"{base}/api/v1/openapi.json").json()["paths"]
    answer = session.get(f"{base}/api/v1/runs")
    run = answer.json()["items"][0]["id"] if answer.ok else ""
    readable = [path for path, operations in paths.items() if "get" in operations]
    named = [path.replace("{name}", "keeps-a-secret").replace("{run_id}", run) for path in readable]
    return [path for path in named if "{" not in path]


def printed(system: Coordinator, run: str) -> dict[str, bytes]:
    """By the command line."""
    reports = [("report", run, "--format", format_) for format_ in ("html", "json", "junit", "md")]
    commands = [("runs",), ("list",), *reports]
    return {" ".join(command): system.manage("scenario", *command).encode() for command in commands}
