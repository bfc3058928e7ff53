"""A real browser goes to a real provider and back, under the site's own policy."""

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.servers.chromium import Watch, chromium
from tests.servers.coordinator import coordinator
from tests.servers.oidc_provider import CLIENT_ID, CLIENT_SECRET, Provider

pytestmark = pytest.mark.chromium


def test_a_person_logs_in_by_the_button_and_lands_where_they_wanted_to_go(tmp_path: Path) -> None:
    with Provider().listening() as provider:
        environment = {"OIDC_ISSUER": provider.issuer, "OIDC_STAFF_GROUPS": "sre", "OIDC_NAME": "Example SSO"}
        environment |= {"OIDC_CLIENT_ID": CLIENT_ID, "OIDC_CLIENT_SECRET": CLIENT_SECRET}
        with coordinator(tmp_path, **environment, OIDC_SUPERUSER_GROUPS="sre") as site, chromium() as browser:
            site.migrate()
            site.start_web()
            context = browser.new_context()
            watch = Watch(f"127.0.0.1:{site.port}")
            watch.over(context)
            page = context.new_page()
            page.goto(f"http://127.0.0.1:{site.port}/admin/scenarios/webhook/")
            page.click("text=Log in with Example SSO")
            expect(page.locator("h1")).to_have_text("Webhooks")
            assert watch.complaints == []
            context.close()
