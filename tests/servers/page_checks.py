"""What a page is checked for in a browser: accessibility, targets for a finger, and values that are lost."""

from collections.abc import Iterator
from typing import Literal

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from tests.servers.loopback import wait_for

SERIOUS = {"serious", "critical"}
# Colours pass from one theme to the other in a transition.
SETTLED = "!document.getAnimations().some((animation) => animation instanceof CSSTransition)"
NEXT_FRAME = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
AXE_OPTIONS: dict[Literal["light", "dark"], dict[str, object]] = {
    "light": {"resultTypes": ["violations"]},
    # What the light theme has shown, the dark one shares: all but the colours.
    "dark": {"resultTypes": ["violations"], "runOnly": {"type": "rule", "values": ["color-contrast"]}},
}
# Values outside the picture, and such as nothing says what they are of.
LOST = """() => [...document.querySelectorAll("#result_list tbody td, #result_list tbody th")]
    .filter((cell) => cell.textContent.trim() !== "-" && cell.checkVisibility())
    .filter((cell) => cell.getBoundingClientRect().right > innerWidth
        || !("name" in cell.dataset || cell.matches("th, .action-checkbox")))
    .map((cell) => cell.textContent)"""
# Targets that a finger cannot hit. Links within text are excepted, as in WCAG 2.2, 2.5.8.
SMALL = """() => [...document.querySelectorAll(
        "button, summary, select, input, .button, nav a, .object-tools a")]
    .filter((one) => one.type !== "hidden" && one.checkVisibility({visibilityProperty: true}))
    .map((one) => [one, one.getBoundingClientRect()])
    .filter(([one, box]) => box.width > 1 && box.height > 1 && (box.height < 24 || box.width < 24))
    .map(([one, box]) => `${one.outerHTML.slice(0, 80)} ${box.width} × ${box.height}`)"""


def find_violations(axe: Axe, page: Page) -> Iterator[tuple[str, list[str]]]:
    """Serious violations by theme, where there are any."""
    for theme, options in AXE_OPTIONS.items():
        page.emulate_media(color_scheme=theme)
        page.evaluate(NEXT_FRAME)
        wait_for(lambda: page.evaluate(SETTLED), what="the colours are those of the theme")
        violations = axe.run(page, options=options).response["violations"]
        if serious := [describe(violation) for violation in violations if violation["impact"] in SERIOUS]:
            yield theme, serious


def describe(violation: dict[str, object]) -> str:
    nodes = violation["nodes"]
    assert isinstance(nodes, list)
    return f"{violation['id']}: {[(node['target'], node['failureSummary'][:200]) for node in nodes[:3]]}"
