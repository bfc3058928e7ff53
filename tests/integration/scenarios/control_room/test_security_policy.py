"""Every page forbids what is not from here, and no page needs it."""

import gzip
import re
from pathlib import Path

import pytest
from django.contrib.staticfiles import finders
from django.test import Client

pytestmark = pytest.mark.django_db

PAGES = [
    "/admin/",
    "/admin/login/",
    "/admin/scenarios/scenario/add/",
    "/api/v1/docs",
    "/api/v1/health",
    "/none",
]


@pytest.mark.parametrize("page", PAGES)
def test_every_answer_has_the_policy_and_nothing_unsafe_in_it(admin_client: Client, page: str) -> None:
    policy = admin_client.get(page)["Content-Security-Policy"]
    assert policy.startswith("default-src 'self';")
    assert "unsafe" not in policy


@pytest.mark.parametrize("page", PAGES[:4])
def test_no_page_has_a_script_a_style_or_an_address_that_the_policy_would_stop(
    admin_client: Client, page: str
) -> None:
    content = admin_client.get(page).content.decode()
    scripts = re.findall(r"<script(?![^>]*(?:src=|application/json))[^>]*>", content)
    assert (scripts, re.findall(r"<style|\sstyle=|\son\w+=", content)) == ([], [])
    assert re.findall(r'(?:src|href)="(?:https?:)?//', content) == []


@pytest.mark.parametrize(("page", "most_kib"), [("/admin/", 60), ("/admin/scenarios/scenario/add/", 205)])
def test_assets_of_a_page_are_small(admin_client: Client, page: str, most_kib: int) -> None:
    content = admin_client.get(page).content
    loaded = [content] + [
        read_static_file(name) for name in re.findall(r'(?:src|href)="/static/([^"?]+)', str(content))
    ]
    assert len(loaded) > 5
    assert sum(len(gzip.compress(part)) for part in loaded) <= most_kib * 1024


def read_static_file(name: str) -> bytes:
    found = finders.find(name)
    assert found, name
    return Path(found).read_bytes()


def test_a_poll_whose_session_has_ended_makes_the_page_log_in(client: Client) -> None:
    answer = client.get("/admin/now/", headers={"HX-Request": "true"}, follow=True)
    assert answer["HX-Refresh"] == "true"


def test_the_icon_is_found_where_a_browser_asks_for_it(client: Client) -> None:
    assert client.get("/favicon.ico")["Location"].startswith("/static/scenarios/favicon.svg?v=")
    assert finders.find("scenarios/favicon.svg")


def test_the_brand_is_the_products_own(admin_client: Client) -> None:
    content = admin_client.get("/admin/").content.decode()
    assert "Test Coordinator" in content
    assert "Django" not in content.replace("django_tasks", "").replace("Django Tasks", "")
