"""A test of a service is made by choosing, without writing YAML."""

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from scenarios.drivers import documents
from scenarios.language.document import build_plan
from scenarios.library import services as registered_services
from scenarios.library.shipped_tests import list_shipped_tests
from scenarios.models import Host, Run, Scenario, Service

pytestmark = pytest.mark.django_db

PAGE = "/admin/scenarios/scenario/new-test/"
SLOW = f"{PAGE}?service=shop&break=dependency-slow"
CHOSEN = {"service": "shop", "dependency": "shop-db", "latency": "450ms", "path": "/price", "limit": "1s"}


@pytest.fixture
def services() -> None:
    for name in ("shop", "shop-db", "cache"):
        registered_services.register_service(name, "http://127.0.0.1:9/")
    Service.objects.filter(name="shop-db").update(proxy="http://127.0.0.1:9", proxy_listener="shop-db")


def read(client: Client, address: str) -> str:
    return client.get(address).content.decode()


def test_without_services_the_page_says_what_to_do_first(admin_client: Client) -> None:
    assert "No service is registered." in read(admin_client, PAGE)


@pytest.mark.usefixtures("services")
def test_three_steps_lead_to_a_scenario_that_can_be_run(admin_client: Client) -> None:
    assert "?service=shop-db" in read(admin_client, PAGE)
    cards = read(admin_client, f"{PAGE}?service=shop")
    assert "break=dependency-slow" in cards
    assert "No host is registered." in cards
    assert "break=cpu-busy" not in cards
    form = read(admin_client, SLOW)
    assert "What a run would do" in form  # with the defaults
    assert 'aria-label="The plan as a timeline"' in form
    assert (
        form.count('<option value="shop-db"') == 2
    )  # of both: the service that must survive, and what breaks
    assert '<option value="cache"' in form
    shown = admin_client.post(SLOW, {**CHOSEN, "new_name": "mine", "show": "yes"}).content.decode()
    assert "What a run would do" in shown
    assert not Scenario.objects.exists()
    saved = admin_client.post(SLOW, {**CHOSEN, "new_name": "mine", "save": "yes"})
    scenario = Scenario.objects.get()
    assert saved["Location"] == f"/admin/scenarios/scenario/{scenario.pk}/run/"
    assert (scenario.name, scenario.title) == ("mine", "shop: a dependency answers slowly (shop-db)")
    plan = build_plan(documents.read_document(scenario.document), {})
    [action] = plan.phases[1].actions
    assert "450ms" in scenario.document
    assert "shop-db" in str(action)
    assert not Run.objects.exists()


@pytest.mark.usefixtures("services")
def test_a_test_is_saved_and_run_at_once_by_those_who_may_run(admin_client: Client, client: Client) -> None:
    started = admin_client.post(SLOW, {**CHOSEN, "new_name": "mine", "run": "yes"})
    run = Run.objects.get()
    assert started["Location"] == f"/admin/scenarios/run/{run.pk}/change/"
    assert (run.scenario, run.state) == (Scenario.objects.get(name="mine"), "queued")
    writer = User.objects.create_user("writer", is_staff=True)
    for right in ("add_scenario", "view_scenario", "view_service"):
        writer.user_permissions.add(Permission.objects.get(codename=right))
    client.force_login(writer)
    assert 'name="run"' not in read(client, SLOW)
    client.post(SLOW, {**CHOSEN, "new_name": "other", "run": "yes"})
    assert (Scenario.objects.count(), Run.objects.count()) == (1, 1)


def test_what_breaks_is_registered_together_with_the_first_test_of_it(
    admin_client: Client, client: Client
) -> None:
    registered_services.register_service("shop", "http://127.0.0.1:9/")
    assert "break=dependency-slow" in read(admin_client, f"{PAGE}?service=shop")
    assert "Control API of its fault proxy" in read(admin_client, SLOW)
    chosen = {**CHOSEN, "new_name": "mine", "dependency-name": "shop-db"}
    missing = admin_client.post(SLOW, {**chosen, "save": "yes"}).content.decode()
    assert missing.count('class="errorlist"') == 2  # both addresses
    chosen |= {"dependency-base_url": "http://127.0.0.1:8/", "dependency-proxy": "http://127.0.0.1:7"}
    assert "What a run would do" in admin_client.post(SLOW, {**chosen, "show": "yes"}).content.decode()
    assert Service.objects.count() == 1
    taken = admin_client.post(SLOW, {**chosen, "dependency-name": "shop", "save": "yes"}).content.decode()
    assert "already exists" in taken
    admin_client.post(SLOW, {**chosen, "run": "yes"})
    assert Service.objects.get(name="shop-db").proxy == "http://127.0.0.1:7"
    assert "shop-db" in Run.objects.get().document
    assert '<option value="shop-db"' in read(admin_client, SLOW)  # it is known now
    Service.objects.filter(name="shop-db").delete()
    writer = User.objects.create_user("writer", is_staff=True)
    writer.user_permissions.add(Permission.objects.get(codename="add_scenario"))
    client.force_login(writer)
    assert "No service has a fault proxy." in read(client, f"{PAGE}?service=shop")
    assert "Control API of its fault proxy" not in read(client, SLOW)


def test_new_service_is_saved_and_tested_with_one_click(admin_client: Client) -> None:
    assert "Save and test it…" in read(admin_client, "/admin/scenarios/service/add/")
    queries = {"queries-TOTAL_FORMS": "0", "queries-INITIAL_FORMS": "0"}
    sent = {"name": "shop", "base_url": "http://127.0.0.1:9", "_test": "yes", **queries}
    saved = admin_client.post("/admin/scenarios/service/add/", sent)
    assert saved["Location"] == f"{PAGE}?service=shop"
    page = f"/admin/scenarios/service/{Service.objects.get().pk}/change/"
    assert "Save and test it…" not in read(admin_client, page)


@pytest.mark.usefixtures("services")
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"new_name": "Not A Name"}, "Not A Name"),
        ({"new_name": ""}, "This field is required"),
        ({"latency": "soon"}, "soon"),
        ({"latency": "2h"}, "at most"),
        ({"dependency": "cache"}, "Select a valid choice"),
        ({"dependency": "'; DROP"}, "Select a valid choice"),
    ],
)
def test_impossible_value_is_reported_at_its_field(
    admin_client: Client, changes: dict[str, str], words: str
) -> None:
    answer = admin_client.post(SLOW, {**CHOSEN, "new_name": "mine", "save": "yes", **changes})
    text = answer.content.decode()
    assert answer.status_code == 200
    assert "errorlist" in text
    assert words in text
    assert not Scenario.objects.exists()


@pytest.mark.usefixtures("services")
def test_a_name_that_is_taken_is_not_replaced(admin_client: Client) -> None:
    admin_client.post(SLOW, {**CHOSEN, "new_name": "shop-dependency-slow", "save": "yes"})
    assert 'value="shop-dependency-slow-2"' in read(admin_client, SLOW)
    again = admin_client.post(SLOW, {**CHOSEN, "new_name": "shop-dependency-slow", "save": "yes"})
    assert "already exists" in again.content.decode()
    assert Scenario.objects.count() == 1


@pytest.mark.usefixtures("services")
@pytest.mark.parametrize(
    "query", ["?service=nobody", "?service=shop&break=nothing", "?break=dependency-slow", "?service=%00"]
)
def test_an_address_that_was_made_up_begins_again(admin_client: Client, query: str) -> None:
    assert admin_client.get(PAGE + query).status_code == 200


def test_page_needs_the_permission_to_add_scenarios(client: Client) -> None:
    client.force_login(User.objects.create_user("reader", is_staff=True))
    assert client.get(PAGE).status_code == 403


@pytest.mark.usefixtures("services")
def test_scenarios_are_found_by_their_tags(admin_client: Client) -> None:
    admin_client.post(SLOW, {**CHOSEN, "new_name": "mine", "save": "yes"})
    scenarios = "/admin/scenarios/scenario/"
    assert 'href="?tag=latency"' in read(admin_client, scenarios)
    assert ">mine</a>" in read(admin_client, f"{scenarios}?tag=latency")
    for other in ("laten", "nothing", "%00", "a%22b"):
        assert ">mine</a>" not in read(admin_client, f"{scenarios}?tag={other}")


def read_field(field: Any) -> str:
    """What a browser sends for it: of a list, the first if none is chosen."""
    value = "" if field.value() is None else str(field.value())
    choices = [str(word) for word, _shown in getattr(field.field, "choices", ())]
    return choices[0] if choices and value not in choices else value


@pytest.mark.usefixtures("services")
def test_form_can_be_saved_as_a_browser_sends_it(admin_client: Client) -> None:
    """With all its fields, which are texts: also numbers."""
    Host.objects.create(name="shop-1")
    one_of_each_driver = {test.driver: test for test in list_shipped_tests().values()}
    for test in one_of_each_driver.values():
        page = f"{PAGE}?service=shop&break={test.name}"
        sent = {field.name: read_field(field) for field in admin_client.get(page).context["form"]}
        assert admin_client.post(page, {**sent, "save": "yes"}).status_code == 302, test.name
        stored = documents.read_document(Scenario.objects.get(name=sent["new_name"]).document)
        for word, declared in test.document.variables.items():
            if word not in test.targets:
                assert stored.variables[word].default == declared.default
