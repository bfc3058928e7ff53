"""How soon an open page shows a change on the target: `python benchmarks/page_updates.py [--times N]`.

A real run of a worker looks at a service every 100 ms. The service changes between well and not well, and
Chromium has the page of the run open. Measured from the change until the page shows what the next look saw.
Exits 1 on a miss.
"""

import argparse
import re
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from playwright.sync_api import Page

from benchmarks.goals import Goals
from tests.servers.chromium import chromium, log_in
from tests.servers.control_room import NAME, PASSWORD
from tests.servers.coordinator import coordinator
from tests.servers.target import Target, running_target

SECONDS_GOAL = 1.0
DOCUMENT = """
apiVersion: coordinator/v1
kind: Scenario
metadata: {name: watched}
spec:
  phases:
    - name: watched
      validations:
        - name: it is calm
          within: 10m
          for: 10m
          every: 100ms
          probe: {http: {service: target, path: /calm}}
          expect: {status: 200}
"""
COUNT = "document.querySelectorAll('#events tr').length"


def measure(page: Page, target: Target, times: int) -> list[float]:
    taken = []
    for number in range(times):
        time.sleep(0.37)  # so that changes fall on different moments between two polls
        seen = page.evaluate(COUNT)
        # Not by wait_for_function: it evaluates a text in the page, which the page's policy forbids.
        begun = time.perf_counter()
        target.asked = (number + 1) % 2
        while page.evaluate(COUNT) <= seen:
            page.wait_for_timeout(10)
        taken.append(time.perf_counter() - begun)
    return taken


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=30)
    times = parser.parse_args().times
    goals = Goals()
    with (
        tempfile.TemporaryDirectory() as folder,
        running_target() as target,
        coordinator(Path(folder), DJANGO_SUPERUSER_PASSWORD=PASSWORD) as system,
        chromium() as browser,
    ):
        document = Path(folder) / "watched.yaml"
        document.write_text(DOCUMENT)
        system.set_up(target=target.url)
        system.manage("createsuperuser", "--noinput", "--username", NAME, "--email", "a@example.com")
        system.start_worker()
        system.start_web()
        run = system.manage("scenario", "run", str(document), "--detach").strip()
        page = browser.new_page()
        page.set_default_timeout(120_000)
        log_in(page, f"http://127.0.0.1:{system.port}", NAME, PASSWORD)
        page.goto(f"http://127.0.0.1:{system.port}/admin/scenarios/run/{run}/change/")
        page.locator("#events-title").click()
        page.locator("#run-header", has_text=re.compile("watched")).wait_for()
        time.sleep(2)
        taken = measure(page, target, times)
        system.manage("scenario", "stop", run)
    goals.at_most("a change on the target on an open page, p50", statistics.median(taken), SECONDS_GOAL, "s")
    goals.at_most("the same, longest", max(taken), SECONDS_GOAL, "s")
    return goals.status


if __name__ == "__main__":
    sys.exit(main())
