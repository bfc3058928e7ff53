"""Three people in a real browser, who know the pages alone: how many clicks does each need?

The seconds are printed and not judged: they are those of the machine.
"""

import re
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, expect

from tests.servers.careless_shop import running_careless_shop
from tests.servers.chromium import PATIENCE, Watch, chromium
from tests.servers.coordinator import Coordinator, coordinator
from tests.servers.fault_proxy import TOKEN, running_fault_proxy
from tests.servers.loopback import wait_for
from tests.servers.page_checks import SMALL, find_violations
from tests.servers.target import Target, running_target

pytestmark = [pytest.mark.chromium, pytest.mark.slow]

NAME, PASSWORD = "operator", "made-up-for-the-tests"
# With the login; a page that makes people go round needs more.
MAX_CLICKS = {"somebody new": 5, "somebody woken at night": 2, "a reviewer": 2}

# Each run in one transaction, so that the worker does not claim it before its events are written.
LAST_NIGHT = """
from django.db import transaction
from tests.integration.scenarios.runs.test_regressions import carry_out
for recovers in (1.0, 1.1, 0.9, 1.0, 1.0, 1.0):
    with transaction.atomic():
        carry_out(recovers)
with transaction.atomic():
    run = carry_out(4.0, limits={"time_to_recover": 2.0})
print(run.pk)
"""
# The tests of this file share a site; somebody new has one without runs.
NOTHING_WAS_RUN = """
from scenarios.models import Run
from scenarios.runs.deletion import delete_rows
delete_rows(list(Run.objects.values_list("pk", flat=True)))
"""
NOTHING_IS_PROXIED = """
from scenarios.models import Service
Service.objects.exclude(proxy="").delete()
Service.objects.create(name="first", base_url="http://127.0.0.1:9")
"""
FIRST_TEST = "/admin/scenarios/scenario/new-test/?service=first&break=dependency-hangs"
A_FAULT_IS_LEFT = """
from django.db import transaction
from scenarios.domain.outcomes import Rollback
from scenarios.models import Service
from tests.integration.scenarios.story_rows import Telling
Service.objects.create(name="stubborn", base_url="TARGET")
with transaction.atomic():
    telling = Telling()
    telling.begin(service="stubborn")
    telling.finish(Rollback.DIRTY)
"""


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    with running_target() as running:
        yield running


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Coordinator]:
    own = {"DJANGO_SUPERUSER_PASSWORD": PASSWORD, "SCENARIO_SECRET_FAULT_PROXY_TOKEN": TOKEN}
    with coordinator(Path(tmp_path_factory.mktemp("stories")), **own) as installed:
        installed.migrate()
        installed.manage("createsuperuser", "--noinput", "--username", NAME, "--email", "a@example.com")
        installed.start_watchdog()
        installed.start_worker()
        installed.start_web()
        yield installed


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@dataclass
class Person:
    """Opens Home, and goes on from there by clicks alone."""

    name: str
    page: Page
    clicks: list[str] = field(default_factory=list)
    begun: float = field(default_factory=time.monotonic)

    def click(self, place: Locator | str) -> None:
        found = self.page.locator(place) if isinstance(place, str) else place
        self.clicks.append(re.sub(r"\s+", " ", found.inner_text() or found.get_attribute("value") or ""))
        found.click()

    def tell(self, say: Callable[[str], None]) -> None:
        seconds = time.monotonic() - self.begun
        say(f"{self.name}: {len(self.clicks)} clicks, {seconds:.1f} s: {' > '.join(self.clicks)}")
        assert len(self.clicks) <= MAX_CLICKS[self.name]


@pytest.fixture
def begin(site: Coordinator, browser: Browser) -> Iterator[Callable[[str], Person]]:
    context = browser.new_context()
    context.set_default_timeout(PATIENCE)
    watch = Watch(f"127.0.0.1:{site.port}")
    watch.over(context)

    def log_in(name: str) -> Person:
        person = Person(name, context.new_page())
        person.page.goto(f"http://127.0.0.1:{site.port}/admin/")
        person.page.fill("#id_username", NAME)
        person.page.fill("#id_password", PASSWORD)
        person.click("input[type=submit]")
        expect(person.page.locator("h1")).to_have_text("Control room")
        return person

    yield log_in
    assert watch.complaints == []
    assert watch.strangers == []
    context.close()


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str], record_property: Callable[..., None]) -> Callable[[str], None]:
    """Prints a line among the results, also of tests that pass."""

    def print_line(line: str) -> None:
        record_property("story", line)
        with capsys.disabled():
            sys.stdout.write(f"\n{line}\n")

    return print_line


def test_somebody_new_learns_that_their_service_waits_without_limit(
    site: Coordinator, begin: Callable[[str], Person], target: Target, say: Callable[[str], None]
) -> None:
    with (
        running_fault_proxy(target.url.removeprefix("http://")) as proxy,
        running_careless_shop(f"http://{proxy.listener}/health") as shop,
    ):
        site.manage("shell", "--no-imports", "-c", NOTHING_WAS_RUN)
        person = begin("somebody new")
        page = person.page
        person.click("text=register a service")
        page.fill("#id_name", "my-shop")
        page.fill("#id_base_url", shop)
        person.click(page.locator("input[name=_test]").first)
        person.click("a:has(strong:text-is('A dependency hangs'))")
        prices = {"name": "prices", "base_url": f"http://{proxy.listener}", "proxy": proxy.control}
        for name, text in prices.items():
            page.fill(f"#id_dependency-{name}", text)
        page.fill("#id_path", "/")
        person.click("button:text-is('Save and run')")
        header = page.locator("#run-header")
        expect(header.locator(".verdict.failed")).to_be_visible()
        # The insight: its users wait as long as the dependency does.
        expect(header).to_contain_text("users still get answers")
        expect(page.locator("#faults")).to_contain_text("undone")
        person.tell(say)


def test_somebody_woken_at_night_finds_and_removes_a_fault_whose_target_refused_the_undo(
    site: Coordinator, target: Target, begin: Callable[[str], Person], say: Callable[[str], None]
) -> None:
    target.refuse_undo = True
    site.manage("shell", "--no-imports", "-c", A_FAULT_IS_LEFT.replace("TARGET", target.url))
    person = begin("somebody woken at night")
    alarm = person.page.locator("section.alarm", has_text="1 fault still injected")
    expect(alarm).to_contain_text("The watchdog keeps trying.")
    expect(alarm).to_contain_text("stubborn")
    expect(alarm).to_contain_text("answered 503")
    expect(alarm).to_contain_text("not by itself")
    # Before the service works again: the watchdog would otherwise be the one that removes the fault.
    person.click(alarm.get_by_role("button", name="Try again"))
    expect(person.page.locator(".messagelist")).to_contain_text("will be retried")
    target.refuse_undo = False  # the person has restarted the service
    expect(person.page.locator("#now")).to_contain_text("no faults outstanding")
    wait_for(lambda: target.undone > 0, what="the target has undone it")
    person.tell(say)


def test_reviewer_finds_the_regression_of_last_night(
    site: Coordinator, begin: Callable[[str], Person], say: Callable[[str], None]
) -> None:
    run = site.manage("shell", "--no-imports", "-c", LAST_NIGHT).strip()
    person = begin("a reviewer")
    row = person.page.locator("section[aria-labelledby=verdicts-title] tr", has_text=run[:8])
    expect(row.locator(".verdict.failed")).to_be_visible()
    expect(row).to_contain_text("time to recover 4s, usually 1s")
    person.click(row.get_by_role("link", name="Compare"))
    figures = person.page.locator("section[aria-labelledby=figures-title] tr")
    recovery = figures.filter(has=person.page.locator("td:text-is('time to recover')"))
    expect(recovery.locator("td")).to_have_text(["time to recover", "4s", "1s"])
    person.tell(say)


def test_the_form_of_a_first_test_can_be_used_by_everybody(site: Coordinator, browser: Browser) -> None:
    """It asks for the dependency, too, which it does only where no service has a fault proxy."""
    site.manage("shell", "--no-imports", "-c", NOTHING_IS_PROXIED)
    context = browser.new_context(viewport={"width": 360, "height": 800})
    page = context.new_page()  # not watched: axe itself writes styles into the page
    page.goto(f"http://127.0.0.1:{site.port}{FIRST_TEST}")
    page.fill("#id_username", NAME)
    page.fill("#id_password", PASSWORD)
    page.click("input[type=submit]")
    expect(page.locator("#id_dependency-proxy")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.evaluate(SMALL) == []
    assert list(find_violations(Axe(), page)) == []
    context.close()
