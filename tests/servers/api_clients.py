"""What the programs of docs/api-clients.md need: a coordinator, a token, and their files."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.coordinator import PROJECT, coordinator
from tests.servers.documented import Page
from tests.servers.target import running_target

PAGE = Page(PROJECT / "docs" / "api-clients.md")
# A token, and a fault of a run that ended. It stays, because no watchdog is there to undo it.
PREPARED = """
from django.contrib.auth.models import User
from scenarios.access import tokens
from scenarios.domain.outcomes import Rollback
from tests.integration.scenarios.story_rows import Telling
telling = Telling()
telling.begin("risk-monitor")
telling.finish(Rollback.DIRTY)
print(tokens.create_token(User.objects.create_superuser("ada"), "a program", ("read", "edit", "run"))[1])
"""


@contextmanager
def prepared_coordinator(data: Path) -> Iterator[dict[str, str]]:
    """The environment of the programs, with a target in place of the exchange."""
    data.mkdir(exist_ok=True)
    with running_target() as exchange, coordinator(data) as installed:
        installed.set_up(exchange=exchange.url)
        token = installed.manage("shell", "--no-imports", "-c", PREPARED).strip()
        installed.start_worker()
        installed.start_web()
        yield {
            "TEST_COORDINATOR_SERVER": f"http://127.0.0.1:{installed.port}",
            "TEST_COORDINATOR_TOKEN": token,
        }


def save_page(folder: Path) -> None:
    """Every file that the page names."""
    PAGE.save_files(folder)
    (scenario,) = PAGE.blocks("json")
    (folder / "slow-exchange.json").write_text(scenario)
