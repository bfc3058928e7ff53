"""The API keeps to its own description, and streams keep no thread from plain requests."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.api_fuzzing import fuzz, fuzzed_installation
from tests.servers.api_load import TELL_ON, Clients
from tests.servers.coordinator import Coordinator
from tests.servers.loopback import wait_for

pytestmark = pytest.mark.slow
Installation = tuple[Coordinator, str]
# Whatever was asked for before, in whichever order: a protected service, a run that holds it, the stop.
SETTLED = """
import time
from scenarios.runs import global_stop
from scenarios.runs import commands as run_commands
from scenarios.models import Hold, Run, Service

Service.objects.update(is_protected=False)
for run in Run.objects.unfinished():
    run_commands.request_stop(run, by="a test")
global_stop.release_global_stop()
while Run.objects.unfinished().exists():
    time.sleep(0.1)
Hold.objects.all().delete()
"""


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    folder: Path = tmp_path_factory.mktemp("api")
    with fuzzed_installation(folder, WEB_CONCURRENCY="2") as installed:
        yield installed


# Without a token nearly every answer is 401, whatever is asked for: one phase shows it.
@pytest.mark.parametrize(("is_known", "phases", "at_least"), [(True, (), 300), (False, ("fuzzing",), 50)])
def test_responses_match_the_description(
    installation: Installation, is_known: bool, phases: tuple[str, ...], at_least: int
) -> None:
    installed, token = installation
    only = [word for phase in phases for word in ("--phases", phase)]
    done = fuzz(installed, token if is_known else "", "--max-examples", "2", "--seed", "1", *only)
    assert done.returncode == 0, done.stdout + done.stderr
    counted = re.search(r"(\d+) generated, (\d+) passed", done.stdout)
    assert counted is not None
    assert int(counted[1]) > at_least


def test_readers_of_a_stream_miss_nothing_and_keep_no_thread_from_others(installation: Installation) -> None:
    installed, token = installation
    installed.start("teller", "manage.py", "shell", "--no-imports", "-c", SETTLED + TELL_ON)
    log = installed.find_log("teller")
    wait_for(lambda: log.read_text().strip(), what="a run goes on")
    clients = Clients(installed, token)

    async def ask() -> float:
        """The seconds of the slowest request."""
        # More readers than the two processes have threads, all of whom would stay for 20 seconds.
        async with clients.reading(30, f"runs/{log.read_text().strip()}/events?wait=20") as readers:
            took = await clients.at_once(20, "runs?limit=1")
        assert [reader.failures for reader in readers if reader.failures] == []
        assert sum(reader.gaps for reader in readers) == 0
        assert all(reader.seen for reader in readers)
        return max(took)

    # If readers kept the threads, no try would succeed. A busy machine may need more than one.
    assert any(asyncio.run(ask()) < 18 for _ in range(8))
