"""What is written survives the end of a session, in a real browser; nobody else is offered it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.servers.chromium import Watch, chromium, log_in, write
from tests.servers.coordinator import PROJECT, Coordinator, coordinator

pytestmark = pytest.mark.chromium

DOCUMENT = (PROJECT / "scenarios" / "catalogue" / "exchange-latency.yaml").read_text()
CHANGED = DOCUMENT.replace("title: ", "title: Changed by ada, ", 1)
PASSWORD = "made-up-for-the-tests"
PEOPLE = """
from django.contrib.auth.models import User
from scenarios.drivers import documents
from scenarios.library import scenarios as stored_scenarios
for name in ("ada", "bob"):
    User.objects.create_superuser(name, password="made-up-for-the-tests")
stored_scenarios.save_scenario(documents.read_document(open("scenarios/catalogue/exchange-latency.yaml").read()))
"""
END_SESSIONS = "DELETE FROM django_session"
RESTORE = """
from scenarios.drivers import documents
from scenarios.library import scenarios as stored_scenarios
stored_scenarios.save_scenario(documents.read_document(open("scenarios/catalogue/exchange-latency.yaml").read()))
"""
KEPT = "Object.keys(localStorage).filter((key) => key.startsWith('kept-text'))"
PAGE = "/admin/scenarios/scenario/1/change/"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Coordinator]:
    with coordinator(Path(tmp_path_factory.mktemp("kept-text"))) as installed:
        installed.migrate()
        installed.manage("shell", "--no-imports", "-c", PEOPLE)
        installed.start_web()
        yield installed


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def context(site: Coordinator, browser: Browser) -> Iterator[BrowserContext]:
    opened = browser.new_context(base_url=f"http://127.0.0.1:{site.port}")
    watch = Watch(f"127.0.0.1:{site.port}")
    watch.over(opened)
    yield opened
    opened.close()
    # A refused login, and a form whose login has changed, are reported.
    assert [said for said in watch.complaints if "status of 403" not in said] == []


@pytest.fixture
def page(site: Coordinator, context: BrowserContext) -> Page:
    if stored(site) != DOCUMENT:
        site.manage("shell", "--no-imports", "-c", RESTORE)
    opened = context.new_page()
    log_in(opened, f"http://127.0.0.1:{site.port}", "ada", PASSWORD)
    opened.on("dialog", lambda dialog: dialog.accept())
    return opened


def edit(page: Page, text: str = CHANGED, address: str = PAGE) -> None:
    page.goto(address)
    write(page, text)
    expect(page.locator("#id_document")).to_have_js_property("value", text)


def log_in_again(page: Page, name: str = "ada") -> None:
    page.fill("#id_username", name)
    page.fill("#id_password", PASSWORD)
    page.click("input[type=submit]")


def stored(site: Coordinator) -> str:
    return str(site.rows("select document from scenarios_scenario where id = 1")[0][0])


def test_text_sent_without_a_session_is_offered_after_the_login(site: Coordinator, page: Page) -> None:
    edit(page)
    site.rows(END_SESSIONS)
    page.click('[name="_continue"]')
    log_in_again(page)
    expect(page.locator("#kept-text")).to_contain_text("was not saved")
    expect(page.locator("#kept-text")).not_to_contain_text("changed since")
    assert stored(site) == DOCUMENT
    page.click("text=Restore text")
    expect(page.locator("scenario-editor .cm-content")).to_contain_text("Changed by ada")
    page.click('[name="_save"]')
    expect(page.locator(".messagelist")).to_contain_text("was changed successfully")
    assert stored(site).replace("\r\n", "\n").strip() == CHANGED.strip()
    assert page.evaluate(KEPT) == []
    page.goto(PAGE)
    expect(page.locator("#kept-text")).to_have_count(0)


def test_a_new_scenario_is_kept_too_and_gone_when_it_is_saved(site: Coordinator, page: Page) -> None:
    text = CHANGED.replace("name: exchange-latency", "name: a-new-one", 1)
    edit(page, text, "/admin/scenarios/scenario/add/")
    site.rows(END_SESSIONS)
    page.click('[name="_save"]')
    log_in_again(page)
    page.click("text=Restore text")
    page.click('[name="_save"]')
    expect(page.locator(".messagelist")).to_contain_text("was added successfully")
    page.goto("/admin/scenarios/scenario/add/")
    expect(page.locator("#kept-text")).to_have_count(0)


def test_editor_says_that_the_login_has_expired(site: Coordinator, page: Page) -> None:
    page.goto(PAGE)
    site.rows(END_SESSIONS)
    write(page, CHANGED)
    expect(page.locator("#problems")).to_contain_text("Your login has ended")
    page.reload()
    log_in_again(page)
    expect(page.locator("#kept-text")).to_be_visible()


def test_nobody_else_in_this_browser_is_offered_it(site: Coordinator, page: Page) -> None:
    edit(page)
    site.rows(END_SESSIONS)
    page.click('[name="_continue"]')
    log_in_again(page, "bob")
    expect(page.locator("scenario-editor .cm-content")).to_be_visible()
    expect(page.locator("#kept-text")).to_have_count(0)
    assert "Changed by ada" not in page.content()
    page.click("#logout-form button")
    expect(page.locator("body")).to_contain_text("Log")
    page.goto(PAGE)
    log_in_again(page, "ada")
    expect(page.locator("#kept-text")).to_be_visible()


def test_a_logout_forgets_it(page: Page) -> None:
    edit(page)
    page.goto("/admin/")
    assert page.evaluate(KEPT) != []
    page.click("#logout-form button")
    page.goto(PAGE)
    log_in_again(page)
    expect(page.locator("scenario-editor .cm-content")).to_be_visible()
    expect(page.locator("#kept-text")).to_have_count(0)
    assert page.evaluate(KEPT) == []


def test_it_can_be_discarded_and_tells_when_something_else_was_stored_meanwhile(
    site: Coordinator, page: Page
) -> None:
    edit(page)
    page.goto("/admin/")
    other = RESTORE.replace(".read()", ".read().replace('title: ', 'title: Of bob, ', 1)")
    site.manage("shell", "--no-imports", "-c", other)
    page.goto(PAGE)
    expect(page.locator("#kept-text")).to_contain_text("has changed since then")
    page.click("text=Discard text")
    page.reload()
    expect(page.locator("scenario-editor .cm-content")).to_contain_text("Of bob")
    expect(page.locator("#kept-text")).to_have_count(0)


def test_a_form_of_another_login_is_refused_with_a_sentence_and_its_text_is_kept(
    context: BrowserContext, page: Page
) -> None:
    edit(page)
    other = context.new_page()
    other.goto("/admin/")
    other.click("#logout-form button")
    other.goto("/admin/login/")
    log_in_again(other)
    expect(other.locator("#logout-form")).to_be_visible()
    page.click('[name="_continue"]')
    expect(page.locator("h1")).to_have_text("Not saved: your login has changed")
    page.goto(PAGE)
    page.click("text=Restore text")
    expect(page.locator("#id_document")).to_have_js_property("value", CHANGED)


def test_other_forms_keep_what_is_written_too(site: Coordinator, page: Page) -> None:
    page.goto("/admin/scenarios/schedule/add/")
    page.fill("textarea", '{"delay_ms": 7}')
    site.rows(END_SESSIONS)
    page.fill("input[name=name]", "nightly")
    page.evaluate("document.querySelector('#schedule_form').noValidate = true")
    page.click('[name="_save"]')
    log_in_again(page)
    page.click("text=Restore text")
    expect(page.locator("textarea")).to_have_js_property("value", '{"delay_ms": 7}')
