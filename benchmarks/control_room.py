"""The control room with many rows: `python benchmarks/control_room.py [--runs N] [--events N]
[--scenarios N]`.

On SQLite, or on the database of DATABASE_URL, with one process of gunicorn, a session, and one request after
the other on one connection. Every run has a fault that was undone. Pages and API responses that are slow with
many scenarios are requested last. Exits with 1 if a goal is missed.
"""

import argparse
import http.client
import os
import re
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.servers.api_load import MANY_RUNS
from tests.servers.coordinator import Coordinator, coordinator

TIMES = 15
ALSO_FAULTS = """
from scenarios.models import Fault
undo = {"driver": "http", "arguments": {"service": "exchange", "method": "DELETE", "path": "/chaos"}}
Fault.objects.bulk_create(
    (
        Fault(run_id=run, order=1, phase="chaos", action="slow it down", driver="http", service="exchange",
              undo=undo, timeout=5, state="undone", opened_at=at, injected_at=at, closed_at=at)
        for run, at in Run.objects.values_list("pk", "queued_at").iterator()
    ),
    batch_size=2000,
)
if connection.vendor == "postgresql":
    connection.cursor().execute("VACUUM ANALYZE scenarios_fault")
"""
MANY_SCENARIOS = """
from scenarios.library import services as registered_services
from scenarios.models import NamedService, Scenario
from tests.integration.scenarios.story_rows import DOCUMENT
for number in range(20):
    registered_services.register_service(f"service-{{number}}", "http://127.0.0.1:9")
rows = Scenario.objects.bulk_create(
    (Scenario(name=f"scenario-{{number}}", document=DOCUMENT) for number in range({count})), batch_size=2000
)
NamedService.objects.bulk_create(
    (
        NamedService(scenario=row, scenario_name=row.name, service=f"service-{{n}}")
        for row in rows for n in {{row.pk % 20, row.pk % 7}}
    ),
    batch_size=2000,
)
"""
LONG_RUN = """
from tests.integration.scenarios.story_rows import Telling
telling = Telling()
telling.begin()
telling.flicker({events})
print(telling.run.pk)
"""
SESSION = """
from importlib import import_module
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import User
user = User.objects.create_superuser("someone")
session = import_module(settings.SESSION_ENGINE).SessionStore()
session[SESSION_KEY], session[HASH_SESSION_KEY] = str(user.pk), user.get_session_auth_hash()
session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[-1]
session.save()
print(session.session_key)
"""
# The goal of the list of runs, for every other page among as many rows.
ANY_PAGE = 100.0
HOME_PAGE = 60.0
# Of an answer that reads no row: 5 for its query, the rest for who asks.
OF_NO_ROW = 15.0


class Browser:
    """One connection with a session."""

    def __init__(self, port: int, session: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._headers = {"Cookie": f"sessionid={session}"}

    def get(self, address: str) -> str:
        self._connection.request("GET", address, headers=self._headers)
        answer = self._connection.getresponse()
        content = answer.read().decode()
        assert answer.status in (200, 204), f"{address}: {answer.status}"
        return content

    def milliseconds(self, address: str) -> float:
        begun = time.perf_counter()
        self.get(address)
        return (time.perf_counter() - begun) * 1000


def measured(browser: Browser, what: str, address: str, goal: float) -> bool:
    browser.get(address)
    taken = [browser.milliseconds(address) for _ in range(TIMES)]
    p50 = statistics.median(taken)
    missed = "  MISSED" if p50 > goal else ""
    print(f"{what:44} p50 {p50:6.1f} ms  longest {max(taken):6.1f} ms  goal {goal:g}{missed}", flush=True)
    return p50 <= goal


def pages(browser: Browser, run: str) -> bool:
    page = f"/admin/scenarios/run/{run}/change/"
    poll = re.search(r'id="poll" hx-get="([^"]+)"', browser.get(page))
    assert poll is not None, "the run page does not poll"
    now = re.search(r'hx-get="(/admin/now/[^"]*)"', browser.get("/admin/"))
    assert now is not None, "Home does not poll"
    rows = (
        ("the run page", page, 200.0),
        ("a poll of it", poll[1], 20.0),
        ("the list of runs", "/admin/scenarios/run/", 100.0),
        ("the same, filtered, page 3", "/admin/scenarios/run/?outcome=failed&p=3", 100.0),
        ("Home", "/admin/", HOME_PAGE),
        ("a poll of it", now[1].replace("&amp;", "&"), ANY_PAGE),
        ("the list of scenarios", "/admin/scenarios/scenario/", ANY_PAGE),
        ("the list of faults", "/admin/scenarios/fault/", ANY_PAGE),
        ("the list of services", "/admin/scenarios/service/", ANY_PAGE),
        ("a scrape", "/metrics", ANY_PAGE),
    )
    met = [measured(browser, *row) for row in rows]
    return all(met)


def among_many_scenarios(browser: Browser) -> bool:
    rows = (
        ("the list of services", "/admin/scenarios/service/", 50.0),
        ("the same over the API", "/api/v1/services", 50.0),
        ("faults left behind, over the API", "/api/v1/faults?outstanding=true", OF_NO_ROW),
    )
    met = [measured(browser, *row) for row in rows]
    return all(met)


def fill(system: Coordinator, runs: int, events: int) -> str:
    system.set_up(exchange="http://127.0.0.1:9")
    system.manage("shell", "--no-imports", "-c", MANY_RUNS.format(count=runs) + ALSO_FAULTS)
    return system.manage("shell", "--no-imports", "-c", LONG_RUN.format(events=events)).strip()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--events", type=int, default=2_000)
    parser.add_argument("--scenarios", type=int, default=10_000)
    options = parser.parse_args()
    own = {"DATABASE_URL": os.environ["DATABASE_URL"]} if "DATABASE_URL" in os.environ else {}
    with (
        tempfile.TemporaryDirectory() as folder,
        coordinator(Path(folder), WEB_CONCURRENCY="1", **own) as system,
    ):
        run = fill(system, options.runs, options.events)
        session = system.manage("shell", "--no-imports", "-c", SESSION).strip()
        system.start_web()
        print(f"{options.runs} runs with a fault each, and one of {options.events} events")
        met = pages(Browser(system.port, session), run)
        system.manage("shell", "--no-imports", "-c", MANY_SCENARIOS.format(count=options.scenarios))
        print(f"and {options.scenarios} scenarios")
        return 0 if among_many_scenarios(Browser(system.port, session)) and met else 1


if __name__ == "__main__":
    sys.exit(main())
