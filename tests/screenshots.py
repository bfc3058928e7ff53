"""`python -m tests.screenshots FOLDER`: every page of the control room, light and dark, wide and narrow."""

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser

from tests.servers.chromium import chromium, log_in
from tests.servers.control_room import NAME, PASSWORD, ControlRoom, control_room
from tests.servers.loopback import wait_for

WIDTHS = (1280, 360)
HEIGHT = 900


def prepared(room: ControlRoom) -> dict[str, str]:
    """Addresses to photograph by name, after something has happened that they can show."""
    ended = room.run("exchange-latency")
    room.run("exchange-errors")
    stopped = room.run("exchange-latency", hold="1m")
    wait_for(
        lambda: "passed" in room.installed.manage("scenario", "runs"), what="a run has passed", seconds=60
    )
    room.installed.manage("scenario", "stop", stopped)
    running = room.run("exchange-latency", hold="5m")
    return {
        "home": "/admin/",
        "scenarios": "/admin/scenarios/scenario/",
        "scenario": "/admin/scenarios/scenario/2/change/",
        "new-scenario": "/admin/scenarios/scenario/add/",
        "run-form": "/admin/scenarios/scenario/2/run/",
        "history": "/admin/scenarios/scenario/2/history/",
        "runs": "/admin/scenarios/run/",
        "run": f"/admin/scenarios/run/{ended}/change/",
        "running": f"/admin/scenarios/run/{running}/change/",
        "faults": "/admin/scenarios/fault/",
        "services": "/admin/scenarios/service/",
        "api": "/api/v1/docs",
    }


def photograph(browser: Browser, room: ControlRoom, pages: dict[str, str], folder: Path) -> None:
    for theme in ("light", "dark"):
        for width in WIDTHS:
            viewport = {"width": width, "height": HEIGHT}
            context = browser.new_context(viewport=viewport, color_scheme=theme)  # type: ignore[arg-type]
            page = context.new_page()
            page.goto(f"{room.base}/admin/login/")
            page.screenshot(path=folder / f"login-{theme}-{width}.png")
            log_in(page, room.base, NAME, PASSWORD)
            for name, address in pages.items():
                # Until the editor has asked the server; the page of a living run never stops asking.
                page.goto(room.base + address, wait_until="load" if name == "running" else "networkidle")
                page.screenshot(path=folder / f"{name}-{theme}-{width}.png", full_page=True)
            context.close()


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as data, control_room(Path(data)) as room, chromium() as browser:
        photograph(browser, room, prepared(room), folder)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m tests.screenshots FOLDER")
    main(Path(sys.argv[1]))
