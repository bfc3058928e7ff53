"""The control room with many rows: `python benchmarks/control_room.py [--runs N] [--events N]
[--scenarios N] [--postgresql]`.

On SQLite, on a temporary PostgreSQL server, or on the database of DATABASE_URL; with one process of gunicorn,
a session, and one request after the other on one connection. Every run has a fault that was undone. One is
an hour long: so many events, and ten validations that looked each second. Pages have at most 60 KiB,
compressed as by a proxy. Those that are slow with many scenarios are requested last. Exits with 1 if a goal
is missed.
"""

import argparse
import gzip
import http.client
import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.goals import Goals
from tests.servers.coordinator import Coordinator, coordinator
from tests.servers.postgresql import PostgreSQL, postgresql, programs

TIMES = 15
MANY_RUNS = """
from benchmarks.rows.fill import fill_lately
fill_lately({count})
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
from datetime import timedelta
from django.utils import timezone
from scenarios.domain.looks import MAX_LOOKS, Look
from scenarios.models import LookChunk, Run
from scenarios.published.looks import encode_looks
from scenarios.runs.look_book import CHUNK_LOOKS
begun = timezone.now() - timedelta(hours=1)
Run.objects.filter(pk=telling.run.pk).update(claimed_at=begun, queued_at=begun)
for series in range(10):
    looks = [
        Look(begun.timestamp() + n * 3600 / MAX_LOOKS, n % 97 > 3, 0.01 + n % 13 / 100)
        for n in range(MAX_LOOKS)
    ]
    LookChunk.objects.bulk_create(
        LookChunk(run=telling.run, attempt=1, series=series, number=n // CHUNK_LOOKS,
                  phase="chaos", validation=f"look number {{series}}", about="exchange",
                  count=len(looks[n : n + CHUNK_LOOKS]), content=encode_looks(looks[n : n + CHUNK_LOOKS]))
        for n in range(0, MAX_LOOKS, CHUNK_LOOKS)
    )
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
# In KiB, compressed; smaller ones are not told.
MAX_PAGE, SMALL_PAGE = 60.0, 10.0


class Browser:
    """One connection with a session."""

    def __init__(self, port: int, session: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
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


@dataclass(frozen=True, slots=True)
class Served:
    """Who is asked, and the processor time so far of those who answer, in seconds."""

    goals: Goals
    browser: Browser
    used: Callable[[], float]

    def measure_page(self, what: str, address: str, goal: float) -> None:
        content = self.browser.get(address)
        used = self.used()
        taken = [self.browser.milliseconds(address) for _ in range(TIMES)]
        used = (self.used() - used) / TIMES * 1000
        self.goals.at_most(f"{what}, p50 of {TIMES}", statistics.median(taken), goal, "ms")
        self.goals.at_most("  processor time of web process and database, mean", used, goal, "ms")
        size = len(gzip.compress(content.encode(), compresslevel=6)) / 1024
        if size > SMALL_PAGE:
            self.goals.at_most("  compressed", size, MAX_PAGE, "KiB")


def measure_processor_time(master: int) -> float:
    """Of a process and its children, in seconds."""
    pids = [master, *map(int, Path(f"/proc/{master}/task/{master}/children").read_text().split())]
    fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
    return sum(int(field) for own in fields for field in own[11:13]) / os.sysconf("SC_CLK_TCK")


def measure_pages(served: Served, run: str) -> None:
    browser = served.browser
    page = f"/admin/scenarios/run/{run}/change/"
    poll = re.search(r'id="poll" hx-get="([^"]+)"', browser.get(page))
    assert poll is not None, "the run page does not poll"
    now = re.search(r'hx-get="(/admin/now/[^"]*)"', browser.get("/admin/"))
    assert now is not None, "Home does not poll"
    rows = (
        ("the page of a run of an hour", page, 200.0),
        ("a poll of it", poll[1].replace("&amp;", "&"), 20.0),
        ("the list of runs", "/admin/scenarios/run/", 100.0),
        ("the same, filtered, page 3", "/admin/scenarios/run/?outcome=failed&p=3", 100.0),
        ("Home", "/admin/", HOME_PAGE),
        ("a poll of it", now[1].replace("&amp;", "&"), ANY_PAGE),
        ("the list of scenarios", "/admin/scenarios/scenario/", ANY_PAGE),
        ("the list of faults", "/admin/scenarios/fault/", ANY_PAGE),
        ("the list of services", "/admin/scenarios/service/", ANY_PAGE),
        ("a scrape", "/metrics", ANY_PAGE),
    )
    for row in rows:
        served.measure_page(*row)


def measure_among_many_scenarios(served: Served) -> None:
    rows = (
        ("the list of services", "/admin/scenarios/service/", 50.0),
        ("the same over the API", "/api/v1/services", 50.0),
        ("faults left behind, over the API", "/api/v1/faults?outstanding=true", OF_NO_ROW),
        ("the form of a schedule", "/admin/scenarios/schedule/add/", ANY_PAGE),
    )
    for row in rows:
        served.measure_page(*row)


def fill(system: Coordinator, runs: int, events: int) -> str:
    system.set_up(exchange="http://127.0.0.1:9")
    system.manage("shell", "--no-imports", "-c", MANY_RUNS.format(count=runs))
    return system.manage("shell", "--no-imports", "-c", LONG_RUN.format(events=events)).strip()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--events", type=int, default=2_000)
    parser.add_argument("--scenarios", type=int, default=10_000)
    parser.add_argument("--postgresql", action="store_true")
    options = parser.parse_args()
    own = {"DATABASE_URL": os.environ["DATABASE_URL"]} if "DATABASE_URL" in os.environ else {}
    goals = Goals()
    server: PostgreSQL | None = None
    with ExitStack() as stack:
        if options.postgresql:
            found = programs()
            assert found is not None, "PostgreSQL is not installed: apt-get install postgresql"
            server = stack.enter_context(postgresql(found))
            own["DATABASE_URL"] = server.new_database()
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        system = stack.enter_context(coordinator(Path(folder), WEB_CONCURRENCY="1", **own))
        run = fill(system, options.runs, options.events)
        session = system.manage("shell", "--no-imports", "-c", SESSION).strip()
        system.start_web()
        print(f"{options.runs} runs with a fault each, and one of {options.events} events")
        web = system.find_process("web").pid

        def find_used() -> float:
            return measure_processor_time(web) + (server.measure_processor_time() if server else 0.0)

        measure_pages(Served(goals, Browser(system.port, session), find_used), run)
        system.manage("shell", "--no-imports", "-c", MANY_SCENARIOS.format(count=options.scenarios))
        print(f"and {options.scenarios} scenarios", flush=True)
        measure_among_many_scenarios(Served(goals, Browser(system.port, session), find_used))
    return goals.status


if __name__ == "__main__":
    sys.exit(main())
