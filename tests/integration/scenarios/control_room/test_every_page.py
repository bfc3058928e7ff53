"""What holds for every page of the control room."""

import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from coordinator_site import __version__
from scenarios.models import Fault, Run, Scenario, Service
from scenarios.runs import commands as run_commands
from scenarios.runs import global_stop
from tests.integration.scenarios.story_rows import DOCUMENT, Telling

pytestmark = pytest.mark.django_db

PROJECT = Path(__file__).resolve().parents[4]
admin.autodiscover()
LISTS = [
    reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    for model in admin.site._registry
]
PAGES = ["/admin/", "/admin/guide/", "/admin/scenarios/scenario/add/", "/admin/password_change/", *LISTS]
FOOT = re.compile(r'<footer id="footer">(.*?)</footer>', re.DOTALL)


@pytest.fixture
def logged_in(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("ada"))
    return client


@pytest.mark.parametrize("arguments", [["version"], ["--version"], ["version", "--no-color"]])
def test_the_command_tells_the_version_of_the_product(arguments: list[str]) -> None:
    told = subprocess.run(
        [sys.executable, "manage.py", *arguments], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    assert told.stdout == f"{__version__}\n"


@pytest.mark.parametrize("address", PAGES)
def test_the_foot_of_every_page_tells_it_too(logged_in: Client, address: str) -> None:
    found = FOOT.search(logged_in.get(address).content.decode())
    assert found is not None
    assert f"Test Coordinator {__version__}" in found[1]


def test_strangers_do_not_learn_the_version(client: Client) -> None:
    assert __version__ not in client.get("/admin/login/").content.decode()


def test_the_page_that_refuses_tells_it_too(client: Client) -> None:
    client.force_login(User.objects.create_user("eve", is_staff=True))
    answer = client.get("/admin/scenarios/run/")
    assert (answer.status_code, f"Test Coordinator {__version__}" in answer.content.decode()) == (403, True)


@pytest.mark.parametrize("address", PAGES)
def test_every_page_tells_that_everything_is_stopped(logged_in: Client, address: str) -> None:
    assert "Everything is stopped" not in logged_in.get(address).content.decode()
    global_stop.pull_global_stop(by="berta", reason="an <incident>")
    content = logged_in.get(address).content.decode()
    assert content.count("Everything is stopped") == 1
    assert "berta" in content
    assert "an &lt;incident&gt;" in content


def test_pages_of_single_rows_tell_the_version_and_that_everything_is_stopped(logged_in: Client) -> None:
    Telling().begin()
    Service.objects.create(name="shop", base_url="http://127.0.0.1:9")
    global_stop.pull_global_stop(by="berta", reason="an incident")
    pages = [
        reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])
        for row in (model.objects.first() for model in (Scenario, Run, Fault, Service, User))
        if row is not None
    ]
    assert len(pages) == 5
    for address in pages:
        content = logged_in.get(address).content.decode()
        assert content.count("Everything is stopped") == 1, address
        assert f"Test Coordinator {__version__}" in content, address


@pytest.mark.parametrize("is_pulled_first", [True, False])
def test_a_run_under_the_global_stop_tells_what_it_waits_for(
    logged_in: Client, is_pulled_first: bool
) -> None:
    stop = partial(global_stop.pull_global_stop, by="berta", reason="an incident")
    if is_pulled_first:
        stop()
    run = run_commands.start_run(DOCUMENT, {}, origin="cli")
    if not is_pulled_first:
        stop()
    page = reverse("admin:scenarios_run_change", args=[run.pk])
    api = f"/api/v1/runs/{run.pk}"
    for address in (page, reverse("admin:scenarios_run_changelist"), api, "/admin/now/"):
        assert "the global stop, pulled by berta (an incident)" in logged_in.get(address).content.decode()
    assert "no worker has been seen" not in logged_in.get(page).content.decode()
    live = reverse("admin:scenarios_run_live", args=[run.pk])
    seen = live_mark(logged_in.get(page).content.decode())
    assert logged_in.get(live, {"after": seen}).status_code == 204
    global_stop.release_global_stop()
    changed = logged_in.get(live, {"after": seen})
    assert "waiting: no worker has been seen" in changed.content.decode()
    assert logged_in.get(api).json()["waiting_for"] == ""


def live_mark(content: str) -> str:
    found = re.search(r'/live/\?after=([^"]+)"', content)
    assert found is not None
    return found[1]


@pytest.mark.parametrize("address", LISTS)
def test_no_list_counts_rows_for_its_filters(logged_in: Client, address: str) -> None:
    assert "_facets" not in logged_in.get(address).content.decode()
    assert logged_in.get(address, {"_facets": "True"}).status_code == 200


def test_runs_with_more_scenarios_than_an_answer_has_columns(logged_in: Client) -> None:
    """A count would be a column: SQLite has 2,000 of them in an answer, PostgreSQL 1,664."""
    Scenario.objects.bulk_create(Scenario(name=f"scenario-{number}", document="") for number in range(2_500))
    assert logged_in.get(reverse("admin:scenarios_run_changelist"), {"_facets": "True"}).status_code == 200


@pytest.mark.parametrize("model", [Fault, Run, Scenario, Service])
def test_empty_list_says_what_to_do(logged_in: Client, model: type[Fault | Run | Scenario | Service]) -> None:
    address = reverse(f"admin:scenarios_{model._meta.model_name}_changelist")
    names, hint = model._meta.verbose_name_plural, admin.site._registry[model].empty_hint  # type: ignore[attr-defined]
    content = logged_in.get(address).content.decode()
    assert hint
    assert f"There are no {names} yet. {hint}" in content
    assert (
        f"No {names} match the search and the filters."
        in logged_in.get(address, {"q": "none"}).content.decode()
    )
