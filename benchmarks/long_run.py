"""A long run with many looks and a load: the speed of its pages, and its size in the database.

    python benchmarks/long_run.py [--minutes 60]

A real coordinator on SQLite carries out one run against the demo exchange: ten validations that look once a
second throughout, a load of 20 requests/s, and a fault. Its page and the poll of its page are then requested,
over gunicorn with a session, and the rows of the run are measured. Exits with 1 if a goal is missed.
"""

import argparse
import re
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.control_room import SESSION, TIMES, Browser
from benchmarks.goals import Goals
from tests.servers.coordinator import Coordinator, coordinator
from tests.servers.loopback import free_port, is_listening, wait_for

VALIDATIONS = 10
SECONDS_BEFORE_THE_END = 20
VALIDATION = """
        - name: look number {number}
          probe: {{http: {{service: exchange, path: /health}}}}
          expect: {{status: 200, elapsed: {{below: 5}}}}
          throughout: {{success: 50%}}
          every: 1s
"""
DOCUMENT = """
apiVersion: coordinator/v1
kind: Scenario
metadata: {{name: long-run}}
spec:
  timeout: {timeout}s
  load:
    - {{name: traders, rate: 20/s, request: {{http: {{service: exchange, path: /health}}}}}}
  phases:
    - {{name: before, hold: 10s}}
    - name: long
      hold: {seconds}s
      actions:
        - name: slow it down
          do: {{http: {{service: exchange, method: POST, path: /chaos/latency, json: {{delay_ms: 20}}}}}}
          undo: {{http: {{service: exchange, method: DELETE, path: /chaos/latency}}}}
      validations:
{validations}
"""


def begin(installed: Coordinator, folder: Path, seconds: int) -> str:
    """The id of the run, which goes on."""
    port = free_port()
    installed.set_up(exchange=f"http://127.0.0.1:{port}")
    installed.start_demo_service("exchange", port)
    wait_for(lambda: is_listening(port), what="the exchange listens")
    installed.start_worker()
    installed.start_watchdog()
    installed.start_web()
    document = folder / "long.yaml"
    looks = "".join(VALIDATION.format(number=number) for number in range(VALIDATIONS))
    document.write_text(DOCUMENT.format(seconds=seconds, timeout=seconds + 600, validations=looks))
    return installed.manage("scenario", "run", str(document), "--detach").strip()


def count_kibibytes(installed: Coordinator) -> float:
    """What the tables with rows of runs take, with their indexes. SQLite is built with `dbstat`."""
    query = """
        select sum(pgsize) from dbstat where name in (
            select name from sqlite_master where tbl_name in (
                'scenarios_run', 'scenarios_event', 'scenarios_fault', 'scenarios_lookchunk',
                'scenarios_runcharts', 'scenarios_runfigures', 'scenarios_loadprogress'
            )
        )
    """
    return float(installed.rows(query)[0][0]) / 1024


def measure_page(browser: Browser, address: str) -> float:
    browser.get(address)
    return statistics.median(browser.milliseconds(address) for _ in range(TIMES))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0)
    seconds = round(parser.parse_args().minutes * 60)
    goals = Goals()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with coordinator(folder / "data", WEB_CONCURRENCY="1") as installed:
            run = begin(installed, folder, seconds)
            session = installed.manage("shell", "--no-imports", "-c", SESSION).strip()
            browser, page = Browser(installed.port, session), f"/admin/scenarios/run/{run}/change/"
            time.sleep(max(0, seconds - SECONDS_BEFORE_THE_END))
            poll = re.search(r'id="poll" hx-get="([^"]+)"', browser.get(page))
            assert poll is not None, "the run has ended already"
            goals.at_most("the page of the run, just before its end", measure_page(browser, page), 200, "ms")
            goals.at_most("a poll of it when nothing is new", measure_page(browser, poll[1]), 20, "ms")
            ended = "select 1 from scenarios_run where state = 'finished'"
            wait_for(lambda: installed.rows(ended), what="the run has ended", seconds=900)
            browser = Browser(installed.port, session)  # gunicorn has closed the idle connection
            goals.at_most("the page of the run that has ended", measure_page(browser, page), 200, "ms")
            goals.at_most("rows of the run", count_kibibytes(installed), 2048, "KiB")
            [(verdict, reason)] = installed.rows("select outcome, reason from scenarios_run")
            print(f"the run of {seconds:,} s: {verdict}, {reason}")
    return goals.status


if __name__ == "__main__":
    sys.exit(main())
