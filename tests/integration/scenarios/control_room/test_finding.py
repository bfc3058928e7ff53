"""Search, filters and saved filters of the lists, with whatever people or links put into them."""

from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from scenarios.control_room import saved_filters
from scenarios.domain.outcomes import Rollback
from scenarios.library import services as registered_services
from scenarios.models import Fault, Run, SavedFilter, Scenario
from scenarios.runs import commands as run_commands
from tests.integration.scenarios.planned_rows import DOCUMENT, exchange, someone, stored
from tests.integration.scenarios.story_rows import Telling

pytestmark = pytest.mark.django_db

LISTS = ["run", "scenario", "service", "fault"]
LEFT_OUT = "has a value that cannot be used; all filters are left out"
HOSTILE = ["<script>alert(1)</script>", "'\" OR 1=1 --\\", "%_", "a\0b", "\ud800", "é" * 3000]


def store(name: str, **metadata: str) -> Scenario:
    words = "".join(f", {word}: {value}" for word, value in metadata.items())
    return stored(DOCUMENT.replace("{name: break-exchange}", f"{{name: {name}{words}}}"))


def start(scenario: Scenario, by: User | None = None) -> Run:
    return run_commands.start_run(scenario.document, {}, origin="api", scenario=scenario, by=by)


def find(client: Client, model: str, **query: str) -> list[Any]:
    answer = client.get(reverse(f"admin:scenarios_{model}_changelist"), query)
    assert answer.status_code == 200, answer.headers
    return list(answer.context["cl"].result_list)


def open_list(client: Client, model: str, query: str) -> Any:
    return client.get(f"{reverse(f'admin:scenarios_{model}_changelist')}?{query}", follow=True)


# Searching


def test_runs_are_found_by_scenario_person_and_beginning_of_id(admin_client: Client) -> None:
    ann = someone("ann")
    slow, other = store("slow-exchange", title="Late answers"), store("other")
    by_ann, by_nobody = start(slow, ann), start(other)
    assert find(admin_client, "run", q="exchange") == [by_ann]
    assert find(admin_client, "run", q="late") == [by_ann]
    assert find(admin_client, "run", q="ANN") == [by_ann]
    assert find(admin_client, "run", q=by_nobody.short_id) == [by_nobody]
    assert find(admin_client, "run", q=str(by_nobody.pk)) == [by_nobody]
    assert find(admin_client, "run", q="ann other") == []
    assert find(admin_client, "run", scenario="other") == [by_nobody]
    assert find(admin_client, "run", scenario="exchan") == [by_ann]
    assert find(admin_client, "run", scenario="no-such") == []
    Run.objects.filter(pk=by_ann.pk).update(environment="staging")
    assert find(admin_client, "run", environment="staging") == [by_ann]
    assert find(admin_client, "run", environment="stag") == []


def test_scenarios_are_found_by_tag_and_service(admin_client: Client) -> None:
    tagged, other = store("first", tags="[nightly, Zürich]"), store("second")
    assert find(admin_client, "scenario", tag="Zürich") == [tagged]
    assert find(admin_client, "scenario", q="Zürich") == [tagged]
    assert find(admin_client, "scenario", q="second") == [other]
    assert len(find(admin_client, "scenario", service="exchange")) == 2
    assert find(admin_client, "scenario", service="custody") == []


def test_services_are_filtered_by_hold_and_proxy(admin_client: Client) -> None:
    held = exchange()
    free = registered_services.register_service("free", "http://127.0.0.1:2", proxy="http://127.0.0.1:3")
    Telling().begin()
    assert find(admin_client, "service", held="yes") == [held]
    assert find(admin_client, "service", held="no") == [free]
    assert find(admin_client, "service", has_proxy="yes") == [free]
    assert find(admin_client, "service", has_proxy="no", q="exch") == [held]


def test_faults_are_found_among_the_newest_and_by_their_run(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scenarios.control_room.searches.MAX_SEARCHED", 1)
    for service in ("old", "new"):
        telling = Telling()
        telling.begin(service=service)
        telling.finish()
    old, new = Fault.objects.get(service="old"), Fault.objects.get(service="new")
    Fault.objects.filter(pk=old.pk).update(opened_at=timezone.now() - timedelta(days=1))
    assert find(admin_client, "fault", q="slow") == [new]
    assert find(admin_client, "fault", q=old.run.short_id) == [old]
    assert find(admin_client, "fault", service="old") == [old]
    assert find(admin_client, "fault", driver=old.driver, q="new") == [new]


@pytest.mark.parametrize("model", LISTS)
def test_hostile_text_is_only_text(admin_client: Client, model: str) -> None:
    store("first", tags="[nightly]")
    names = (
        "tag",
        "scenario",
        "environment",
        "service",
        "driver",
        "held",
        "has_proxy",
        "state",
        "o",
        "p",
        "no_such",
    )
    for text in HOSTILE:
        for words in ({"q": text}, dict.fromkeys(names, text)):
            answer = open_list(admin_client, model, urlencode(words, errors="surrogatepass"))
            assert answer.status_code == 200, words
            assert b"<script>alert" not in answer.content


@pytest.mark.parametrize("model", ["scenario", "service"])
def test_names_are_suggested_while_somebody_types(admin_client: Client, model: str) -> None:
    exchange()
    store("break-exchange", tags="[exchange]")
    address = reverse(f"admin:scenarios_{model}_names")
    assert "exchange" in admin_client.get(address, {"of": "name", "name": "CHANG"}).content.decode()
    assert "<option" not in admin_client.get(address, {"of": "name", "name": "<no"}).content.decode()
    tags = reverse("admin:scenarios_scenario_tags")
    assert 'value="exchange"' in admin_client.get(tags, {"of": "tag", "tag": "change"}).content.decode()


# Saved filters


def save(client: Client, model: str, query: str, name: str = "Mine", **fields: str) -> Any:
    address = reverse(f"admin:scenarios_{model}_save-filter")
    return client.post(address, {"name": name, "query": query, **fields}, follow=True)


def test_a_saved_filter_is_a_link_above_the_list(admin_client: Client, client: Client) -> None:
    store("first", tags="[nightly]")
    page = save(admin_client, "scenario", "?tag=nightly&p=1&e=1")
    assert page.redirect_chain == [("/admin/scenarios/scenario/?tag=nightly", 302)]
    assert '<a href="?tag=nightly" aria-current="true">Mine</a>' in page.content.decode()
    assert "Save this filter" not in page.content.decode()
    other_list = admin_client.get(reverse("admin:scenarios_run_changelist")).content.decode()
    assert "?tag=nightly" not in other_list


def test_others_see_only_shared_filters_and_cannot_remove_them(admin_client: Client) -> None:
    save(admin_client, "scenario", "tag=own", "Own")
    save(admin_client, "scenario", "tag=shared", "Shared", is_shared="on")
    client = Client()
    client.force_login(someone("vera", "view_scenario"))
    content = client.get(reverse("admin:scenarios_scenario_changelist")).content.decode()
    assert "?tag=shared" in content
    assert "by admin" in content
    assert "?tag=own" not in content
    assert "forget-filter" not in content
    for saved in SavedFilter.objects.all():
        address = reverse("admin:scenarios_scenario_forget-filter", args=[saved.pk])
        assert client.post(address).status_code == 403
    own = SavedFilter.objects.get(name="Own")
    admin_client.post(reverse("admin:scenarios_scenario_forget-filter", args=[own.pk]))
    assert [saved.name for saved in SavedFilter.objects.all()] == ["Shared"]


def test_the_list_must_be_one_that_the_person_may_view(client: Client) -> None:
    client.force_login(someone("vera", "view_scenario"))
    address = reverse("admin:scenarios_run_save-filter")
    assert client.post(address, {"name": "x", "query": "q=1"}).status_code == 403
    assert client.get(reverse("admin:scenarios_scenario_save-filter")).status_code == 403
    assert not SavedFilter.objects.exists()


@pytest.mark.parametrize("model", LISTS)
def test_a_filter_that_no_list_knows_any_more_leaves_the_others_at_work(
    admin_client: Client, model: str
) -> None:
    page = open_list(admin_client, model, "gone__exact=1&q=no-such-thing&also=%00")
    assert page.status_code == 200
    assert list(page.context["cl"].result_list) == []
    assert "This list has no filter &#x27;gone__exact&#x27;; it is left out." in page.content.decode()


def test_a_related_column_cannot_be_looked_into(admin_client: Client) -> None:
    page = open_list(admin_client, "run", "started_by__password__startswith=p")
    assert "it is left out" in page.content.decode()


@pytest.mark.parametrize(
    "query",
    ["id__in=99999999999999999999", "opened_at__range=", "id__range=1", "what__contains=x&id__in=%00"],
)
def test_a_value_that_no_database_can_compare_leaves_all_filters_out(
    admin_client: Client, query: str
) -> None:
    page = open_list(admin_client, "fault", query)
    assert page.status_code == 200
    finds_nothing = connection.vendor == "postgresql" and query.startswith("id__in=")
    assert finds_nothing or LEFT_OUT in page.content.decode()


def test_the_list_of_people_leaves_them_out_too(admin_client: Client) -> None:
    address = reverse("admin:auth_user_changelist")
    page = admin_client.get(f"{address}?groups=99999999999999999999", follow=True)
    assert page.status_code == 200
    assert connection.vendor == "postgresql" or LEFT_OUT in page.content.decode()


def test_a_regular_expression_is_no_filter(admin_client: Client) -> None:
    store("sample")
    page = open_list(admin_client, "scenario", "name__regex=(")
    assert page.status_code == 200
    assert "it is left out" in page.content.decode()


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_and_filters_are_saved_as_text(admin_client: Client, text: str) -> None:
    query = urlencode({"q": text}, errors="surrogatepass")
    page = save(admin_client, "scenario", query, text.encode(errors="replace").decode()[:60])
    assert page.status_code == 200
    assert b"<script>alert" not in page.content
    for saved in SavedFilter.objects.all():
        assert saved.query.isascii()
        assert open_list(admin_client, "scenario", saved.query).status_code == 200


def test_the_same_name_replaces_and_nobody_has_too_many(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saved_filters, "MAX_EACH", 1)
    save(admin_client, "scenario", "tag=a")
    save(admin_client, "scenario", "tag=b")
    refused = save(admin_client, "scenario", "tag=c", "Another")
    assert "You have 1 filters of this list" in refused.content.decode()
    assert [saved.query for saved in SavedFilter.objects.all()] == ["tag=b"]
    assert "Choose a filter" in save(admin_client, "scenario", "p=3").content.decode()


def test_outstanding_faults_are_found_by_key(admin_client: Client) -> None:
    """With a subquery, SQLite looks at each fault in the order of the list."""
    telling = Telling()
    telling.begin()
    telling.finish(Rollback.DIRTY)
    with CaptureQueriesContext(connection) as queries:
        assert find(admin_client, "fault", left="yes") == list(Fault.objects.all())
    sorted_by_time = [query["sql"] for query in queries if '."opened_at" DESC' in query["sql"]]
    assert sorted_by_time
    assert not [sql for sql in sorted_by_time if "IN (SELECT" in sql]
