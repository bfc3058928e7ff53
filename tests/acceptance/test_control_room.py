"""The control room in a real browser, against real processes: written, run, watched, stopped, explained."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, Request, expect

from tests.servers.chromium import Watch, chromium, log_in, write
from tests.servers.control_room import NAME, PAGES, PASSWORD, ControlRoom, control_room
from tests.servers.coordinator import PROJECT
from tests.servers.event_streams import FOLLOW, HAS_ENDED, read_events
from tests.servers.loopback import wait_for
from tests.servers.page_checks import LOST, SMALL, find_violations

pytestmark = [pytest.mark.chromium, pytest.mark.slow]

DOCUMENT = (PROJECT / "scenarios" / "catalogue" / "exchange-latency.yaml").read_text()
OWN = DOCUMENT.replace("name: exchange-latency", "name: written-here", 1)
MISTAKE_LINE = 1 + OWN[: OWN.index("method: POST")].count("\n")
# They go on asking.
LIVE = {"home", "running", "run-with-a-fault-left", "run-that-awaits-approval", "service", "services"}


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlRoom]:
    with control_room(Path(tmp_path_factory.mktemp("control-room"))) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def past(room: ControlRoom) -> dict[str, str]:
    return room.past()


@pytest.fixture
def pages(room: ControlRoom, past: dict[str, str]) -> Iterator[dict[str, str]]:
    with room.pages(past) as addresses:
        yield addresses


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    opened = browser.new_context()
    yield opened
    opened.close()


@pytest.fixture
def watch(room: ControlRoom, context: BrowserContext) -> Iterator[Watch]:
    """Nothing may be complained of, and nobody else asked, in any of these tests."""
    watching = Watch(room.base.removeprefix("http://"))
    watching.over(context)
    yield watching
    assert watching.complaints == []
    assert watching.strangers == []


@pytest.fixture
def page(room: ControlRoom, context: BrowserContext, watch: Watch) -> Page:
    opened = context.new_page()
    log_in(opened, room.base, NAME, PASSWORD)
    return opened


def test_a_scenario_is_written_with_an_error_at_its_line_mended_saved_and_run_live(
    room: ControlRoom, page: Page
) -> None:
    page.goto(f"{room.base}/admin/scenarios/scenario/add/")
    write(page, OWN.replace("method: POST", "metod: POST", 1))
    problem = page.locator("#problems li")
    expect(problem).to_contain_text(f"line {MISTAKE_LINE}, ")
    expect(problem).to_contain_text("did you mean 'method'?")
    expect(page.locator("scenario-editor .cm-lint-marker-error")).to_have_count(1)
    write(page, OWN)
    expect(problem).to_have_count(0)
    expect(page.locator("#plan svg")).to_be_visible()
    page.click("text=Save and continue editing")
    page.click("text=Run…")
    page.fill("dialog input[name=hold]", "long")
    page.click("dialog button:text-is('Run')")
    expect(page.locator("input[name=hold]:focus")).to_have_attribute("aria-invalid", "true")
    page.fill("input[name=hold]", "2s")
    page.click("button:text-is('Run')")
    follow_to_the_report(page)


def test_unsaved_text_is_not_run_and_the_browser_asks_before_leaving(room: ControlRoom, page: Page) -> None:
    page.goto(f"{room.base}/admin/scenarios/scenario/2/change/")
    unsaved = page.locator("dialog [data-unsaved]")
    page.click("text=Run…")
    expect(unsaved).to_be_hidden()
    page.click("dialog button:text-is('Cancel')")
    page.locator("scenario-editor .cm-content").click()
    page.keyboard.type("# ")
    page.click("text=Run…")
    expect(unsaved).to_be_visible()
    page.click("dialog button:text-is('Cancel')")
    with page.expect_event("dialog") as asked:
        page.on("dialog", lambda dialog: dialog.accept())
        page.click("nav >> text=Runs")
    page.wait_for_url("**/run/")
    assert asked.value.type == "beforeunload"


def follow_to_the_report(page: Page) -> None:
    """Without another page load until the report is asked for."""
    header = page.locator("#run-header")
    expect(header).to_contain_text("2s")
    page.evaluate("window.notReloaded = true")
    expect(page.locator("#steps li")).to_have_count(7)
    expect(header.locator(".verdict.passed")).to_be_visible()
    expect(page).to_have_title(re.compile("^✓ passed: "))
    every_event_is_a_row_in_its_order(page)
    assert page.evaluate("window.notReloaded")
    expect(page.locator("#timeline .fault")).to_have_count(1)
    page.locator("#steps summary").nth(2).click()
    expect(page.locator("#steps details[open]")).to_contain_text("delay_ms: 500")
    page.click(".reports a:text-is('HTML')")
    expect(page.locator("h1")).to_have_text("The exchange answers slowly")
    assert page.locator("h1").evaluate("title => getComputedStyle(title).fontSize") == "24px"
    pages_on_paper = re.findall(rb"/Type\s*/Page\b", page.pdf(format="A4"))
    assert len(pages_on_paper) <= 2


def every_event_is_a_row_in_its_order(page: Page) -> None:
    page.locator("#events-title").click()
    rows = page.locator("#events tr td:first-child").all_inner_texts()
    told = page.locator("#run-header dt:text-is('Events') + dd").inner_text()
    assert rows == [str(number) for number in range(1, int(told) + 1)]
    assert "run_finished" not in page.locator("#content").inner_text().split("Timeline")[0]


def test_a_run_is_stopped_from_its_page_and_its_fault_is_undone(room: ControlRoom, page: Page) -> None:
    run = room.run("exchange-latency", hold="100s")
    page.goto(f"{room.base}/admin/scenarios/run/{run}/change/")
    expect(page.locator("#faults")).to_contain_text("active")
    expect(page.locator("#run-header progress")).to_be_visible()
    polls_do_not_pile_up(page)
    page.click("button:text-is('Stop')")
    expect(page.locator("#run-header .verdict.aborted")).to_be_visible()
    expect(page.locator("#faults")).to_contain_text("undone")
    expect(page.locator("#poll[hx-get]")).to_have_count(0)


def polls_do_not_pile_up(page: Page) -> None:
    """On a connection that takes longer for an answer than a page waits until it asks again."""
    under_way: list[int] = [0]
    answered: list[str] = []

    def note(request: Request) -> None:
        if "/live/" in request.url:
            under_way.append(under_way[-1] + 1)

    def forget(request: Request) -> None:
        if "/live/" in request.url:
            under_way.append(under_way[-1] - 1)
            answered.append(request.url)

    network = page.context.new_cdp_session(page)
    slow = {"offline": False, "latency": 1200, "downloadThroughput": 50_000, "uploadThroughput": 50_000}
    network.send("Network.emulateNetworkConditions", slow)
    page.on("request", note)
    page.on("requestfinished", forget)
    while len(answered) < 3:
        page.wait_for_timeout(100)
    page.remove_listener("request", note)
    network.detach()
    # One that the emulation did not delay may still be on its way.
    assert max(under_way) <= 2


def test_open_details_and_focus_survive_an_update(room: ControlRoom, page: Page) -> None:
    run = room.run("exchange-latency", hold="100s")
    page.goto(f"{room.base}/admin/scenarios/run/{run}/change/")
    expect(page.locator("#faults")).to_contain_text("active")
    undo = page.locator("#faults summary")
    undo.click()
    undo.focus()
    page.evaluate("document.querySelector('#faults').dataset.isOld = 'yes'")
    token = page.locator("input[name=csrfmiddlewaretoken]").first.input_value()
    page.request.post(
        f"{room.base}/admin/scenarios/run/{run}/stop/", form={"csrfmiddlewaretoken": token}, max_redirects=0
    )
    expect(page.locator("#faults")).to_contain_text("undone")
    expect(page.locator("#faults[data-is-old]")).to_have_count(0)
    expect(page.locator("#faults details[open] summary:focus")).to_have_count(1)


def test_a_part_of_the_timeline_is_shown_by_dragging_over_it(
    room: ControlRoom, page: Page, past: dict[str, str]
) -> None:
    page.goto(f"{room.base}/admin/scenarios/run/{past['ended']}/change/")
    whole, zoomed = page.locator("#whole"), page.locator("#zoomed")
    expect(whole.locator("#curves svg")).to_be_visible()
    place = whole.locator("#timeline svg").bounding_box()
    assert place is not None
    middle = place["y"] + place["height"] / 2
    page.mouse.move(place["x"] + place["width"] * 0.6, middle)
    page.mouse.down()
    page.mouse.move(place["x"] + place["width"] * 0.8, middle, steps=4)
    page.mouse.up()
    expect(zoomed.locator("svg[data-seconds]")).to_have_count(2)
    expect(whole).to_be_hidden()
    begin, end = (float(page.input_value(f"form.zoom [name={name}]")) for name in ("from", "to"))
    seconds = float(whole.locator("#timeline svg").get_attribute("data-seconds") or "0")
    assert 0 < begin < end < seconds
    page.get_by_role("button", name="Whole run").press("Enter")
    expect(whole).to_be_visible()
    # The same by keyboard alone.
    expect(page.locator("form.zoom [name=from]")).to_be_focused()
    page.keyboard.type("0.5")
    page.keyboard.press("Tab")
    page.keyboard.type("1.5")
    page.keyboard.press("Enter")
    expect(zoomed.locator("h3")).to_have_text("From 500ms to 1.5s")
    pages_on_paper = re.findall(rb"/Type\s*/Page\b", page.pdf(format="A4"))
    assert len(pages_on_paper) <= 2


def test_a_curve_leads_to_its_step_and_back(room: ControlRoom, page: Page, past: dict[str, str]) -> None:
    page.goto(f"{room.base}/admin/scenarios/run/{past['ended']}/change/")
    page.locator("#looks a:text-is('Step')").first.click()
    step = page.locator("#steps details[open]")
    expect(step).to_have_count(1)
    step.get_by_role("link", name="Curve").click()
    assert page.evaluate("document.querySelector(location.hash).matches('figure.chart')")


# What a reader whose system forces its colours could not see: a badge without a border or a shape, a bar of
# the timeline without a line, a text that has the colour of its background.
UNSEEN = """() => {
  const style = (element) => getComputedStyle(element);
  const canvas = style(document.body).backgroundColor;
  const places = (selector, isUnseen) => [...document.querySelectorAll(selector)]
    .filter((element) => element.getClientRects().length && isUnseen(style(element)))
    .map((element) => `${selector}: ${element.outerHTML.slice(0, 80)}`);
  return [
    ...places(".verdict", (is) => is.borderTopStyle === "none" || is.color === canvas),
    ...places(".picture text", (is) => is.fill === canvas || is.fill === "none"),
    ...places(".picture .fault, .picture .span, .picture .mark", (is) =>
      (is.stroke === "none" || is.stroke === canvas) && (is.fill === "none" || is.fill === canvas)),
    ...places(".button, button", (is) => is.borderTopStyle === "none" && is.textDecorationLine === "none"),
  ];
}"""
IS_FOCUS_SEEN = """() => {
  const marked = document.activeElement.closest(".choice") ?? document.activeElement;
  const is = getComputedStyle(marked);
  return is.outlineStyle !== "none" && is.outlineColor !== getComputedStyle(document.body).backgroundColor;
}"""


def test_badges_timelines_and_focus_are_seen_with_forced_colours(
    browser: Browser, room: ControlRoom, past: dict[str, str]
) -> None:
    context = browser.new_context(forced_colors="active")
    page = context.new_page()
    log_in(page, room.base, NAME, PASSWORD)
    unseen: dict[str, list[str]] = {}
    for name in ("home", "run", "run-with-a-fault-left", "runs", "scenario", "new-test", "suite", "service"):
        page.goto(room.base + PAGES[name].format(**past, running=""))
        if found := page.evaluate(UNSEEN):
            unseen[name] = found
        for _ in range(3):
            page.keyboard.press("Tab")
            if not page.evaluate(IS_FOCUS_SEEN):
                unseen.setdefault(name, []).append(page.evaluate("document.activeElement.outerHTML")[:80])
    context.close()
    assert unseen == {}


def test_times_are_shown_in_the_zone_of_the_reader_who_may_prefer_utc(
    browser: Browser, room: ControlRoom, past: dict[str, str]
) -> None:
    context = browser.new_context(timezone_id="Asia/Tokyo")
    page = context.new_page()
    log_in(page, room.base, NAME, PASSWORD)
    for address in (f"/admin/scenarios/run/{past['ended']}/change/", "/admin/scenarios/run/"):
        page.goto(room.base + address)
        time_of_run = page.locator("time.moment[data-style=full]").first
        expect(time_of_run).to_have_text(re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d GMT\+9$"))
        expect(time_of_run).to_have_attribute("title", re.compile(" UTC$"))
    page.select_option("#footer select", "utc")
    expect(time_of_run).to_have_text(re.compile(" UTC$"))
    page.reload()
    expect(time_of_run).to_have_text(re.compile(" UTC$"))
    page.select_option("#footer select", "relative")
    expect(time_of_run).to_have_text(re.compile(" ago$"))
    context.close()


def wait_for_found(page: Page) -> None:
    """Two services of the container engine and two of the namespace, which come after the page."""
    expect(page.get_by_role("link", name="Register it…")).to_have_count(4)


def test_every_page_passes_axe_accessibility_checks(
    room: ControlRoom, context: BrowserContext, pages: dict[str, str]
) -> None:
    page = context.new_page()  # not watched: axe itself writes styles into the page
    log_in(page, room.base, NAME, PASSWORD)
    axe = Axe()
    found: dict[tuple[str, str], list[str]] = {}
    for name, address in pages.items():
        if name == "api":  # Swagger's own page
            continue
        page.goto(room.base + address)
        if name == "find-services":
            wait_for_found(page)
        found |= {(name, theme): serious for theme, serious in find_violations(axe, page)}
    assert found == {}


def test_a_page_says_when_it_can_no_longer_be_kept_up_to_date(
    room: ControlRoom, context: BrowserContext
) -> None:
    page = context.new_page()  # not watched: the browser itself complains of the connection
    log_in(page, room.base, NAME, PASSWORD)
    context.set_offline(offline=True)
    expect(page.locator("#stale")).to_be_visible()
    context.set_offline(offline=False)
    expect(page.locator("#stale")).to_have_count(0)


def test_the_api_can_be_tried_out_within_the_policy(room: ControlRoom, page: Page, watch: Watch) -> None:
    page.goto(f"{room.base}/api/v1/docs", wait_until="networkidle")
    # One that is open, and one that writes, which takes the session and its CSRF token.
    for operation, status in (("health-health", "200"), ("global_stop-release_global_stop", "204")):
        block = page.locator(f"#operations-{operation}")
        block.click()
        block.get_by_role("button", name="Try it out").click()
        block.get_by_role("button", name="Execute").click()
        expect(block.locator(".responses-table.live-responses-table")).to_contain_text(status)
    assert watch.complaints == []


def test_events_of_all_runs_reach_a_browser_and_a_program_over_streams_that_end(
    room: ControlRoom, page: Page
) -> None:
    """Each stream ends after a second; EventSource and httpx-sse go on behind the last id."""
    page.evaluate(FOLLOW)
    wait_for(lambda: page.evaluate("messages.length > 0"), what="the stream says where it begins")
    run = room.run("exchange-latency")
    wait_for(lambda: page.evaluate(HAS_ENDED, run), what="the browser gets the end of the run")
    position, *seen = page.evaluate("source.close() || messages")
    assert position["type"] == "position"
    token = room.installed.manage("api_token", "create", NAME, "--name", "events", "--scope", "read").strip()
    read = list(read_events(room.base, token, position["id"], until=seen[-1]["id"]))
    assert [message["id"] for message in seen] == read
    numbers = [message["sequence"] for message in seen if message["run"] == run]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) > 5


def test_every_page_fits_a_width_of_360_pixels_and_asks_for_nothing_that_the_policy_forbids(
    room: ControlRoom, page: Page, watch: Watch, pages: dict[str, str]
) -> None:
    """A list shows every value there, with what it is of."""
    page.set_viewport_size({"width": 360, "height": 800})
    wide, small, lists = {}, {}, 0
    for name, address in pages.items():
        page.goto(room.base + address, wait_until="load" if name in LIVE else "networkidle")
        if name == "find-services":
            wait_for_found(page)
        width = page.evaluate("document.documentElement.scrollWidth")
        if width > 360:
            wide[name] = width
        if name != "api" and (found := page.evaluate(SMALL)):  # Swagger's own page
            small[name] = found
        if re.fullmatch(r"/admin/scenarios/[a-z]+/", address):
            lists += 1
            assert page.evaluate(LOST) == [], address
            assert not page.locator("#result_list thead").is_visible()
    assert wide == {}
    assert small == {}
    assert lists >= 9
    assert watch.complaints == []
