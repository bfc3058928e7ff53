"""`python -m tests.screenshots FOLDER`: every page of the control room, light and dark, wide and narrow."""

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser

from tests.servers.chromium import chromium, log_in
from tests.servers.control_room import NAME, PASSWORD, ControlRoom, control_room

WIDTHS = (1280, 360)
HEIGHT = 900


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
                page.goto(room.base + address, wait_until="networkidle")
                page.screenshot(path=folder / f"{name}-{theme}-{width}.png", full_page=True)
            context.close()


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as data,
        control_room(Path(data)) as room,
        room.pages(room.past()) as pages,
        chromium() as browser,
    ):
        photograph(browser, room, pages, folder)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m tests.screenshots FOLDER")
    main(Path(sys.argv[1]))
