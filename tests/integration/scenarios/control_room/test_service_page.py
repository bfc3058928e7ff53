"""The page of a service: its queries are tried and taken from presets, and it is readable without scripts."""

import gzip
import re
from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from pytest_django.fixtures import Settings

from scenarios.charts.query_presets import PRESETS
from scenarios.library import services as registered_services
from scenarios.models import AuditEntry, Service, ServiceQuery
from tests.integration.scenarios.api.conftest import program
from tests.integration.scenarios.planned_rows import DOCUMENT, someone, stored
from tests.servers.false_prometheus import FalsePrometheus, false_prometheus, matrix

pytestmark = pytest.mark.django_db

TRY = "/admin/scenarios/service/try-query/"
ADD = "/admin/scenarios/service/add/"
LOOKING = """
apiVersion: coordinator/v1
kind: Scenario
metadata: {name: NAME}
spec:
  phases:
    - name: steady
      validations:
        - name: it answers
          probe: {http: {service: shop, path: /}}
          expect: {status: 200}
"""
QUERY = 'sum(rate(http_requests_total{job="$service"}[$window]))'


@pytest.fixture
def server(settings: Settings) -> Iterator[FalsePrometheus]:
    with false_prometheus() as running:
        settings.PROMETHEUS_URL = running.url
        yield running


@pytest.fixture
def shop() -> Service:
    return registered_services.register_service("shop", "http://127.0.0.1:1", proxy="http://127.0.0.1:1")


def try_query(client: Client, query: str, **fields: str) -> str:
    sent = {"name": "shop", "queries-3-query": query, "queries-3-unit": "per second", **fields}
    answer = client.post(TRY, sent)
    assert answer.status_code == 200
    return answer.content.decode()


def test_a_query_is_tried_with_the_names_of_the_form_and_shown_as_a_curve(
    admin_client: Client, server: FalsePrometheus
) -> None:
    content = try_query(admin_client, QUERY)
    assert "<svg" in content
    assert "The last 30 minutes: 1/s." in content
    [form] = server.asked
    assert form["query"] == 'sum(rate(http_requests_total{job="shop"}[60s]))'
    assert float(form["end"]) - float(form["start"]) == 1800
    assert not ServiceQuery.objects.exists()
    assert not AuditEntry.objects.exclude(entrance="login").exists()


def test_what_gives_no_curve_says_why(admin_client: Client, server: FalsePrometheus) -> None:
    assert "unknown placeholder" in try_query(admin_client, "up{job='$job'}")
    assert server.asked == []
    server.reply = lambda _form: matrix()
    assert "Is the label right?" in try_query(admin_client, QUERY)
    server.reply = lambda _form: (
        400,
        b'{"status": "error", "errorType": "bad_data", "error": "<b>parse</b>"}',
    )
    refused = try_query(admin_client, "sum(")
    assert "parse" in refused
    assert "<b>" not in refused
    assert "Write a query first" in try_query(admin_client, " \0 ")
    assert "Write a query first" in admin_client.post(TRY, {"queries-0-title": "x"}).content.decode()


def test_several_series_have_a_legend(admin_client: Client, server: FalsePrometheus) -> None:
    def reply(form: dict[str, str]) -> tuple[int, bytes]:
        end = float(form["end"])
        return matrix(*(({"pod": pod}, [(end, "2")]) for pod in ("a", "<script>")))

    server.reply = reply
    content = try_query(admin_client, "up")
    assert "pod=a" in content
    assert "<script>" not in content


def test_without_a_prometheus_the_form_says_so(admin_client: Client, settings: Settings) -> None:
    settings.PROMETHEUS_URL = ""
    assert "PROMETHEUS_URL" in try_query(admin_client, QUERY)


def test_to_try_needs_the_permission_to_change_services(client: Client) -> None:
    client.force_login(someone("vera", "view_service"))
    assert client.post(TRY, {"queries-0-query": "up"}).status_code == 403


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_filled_in_and_can_be_saved(admin_client: Client, name: str, shop: Service) -> None:
    shop.queries.all().delete()
    page = admin_client.get(reverse("admin:scenarios_service_change", args=[shop.pk]), {"preset": name})
    [inline] = page.context["inline_admin_formsets"]
    data = {"name": "shop", "base_url": shop.base_url}
    for key, value in inline.formset.management_form.initial.items():
        data[f"queries-{key}"] = value
    for number, form in enumerate(inline.formset.extra_forms):
        data |= {f"queries-{number}-{field}": value for field, value in form.initial.items()}
    assert admin_client.post(page.request["PATH_INFO"], data).status_code == 302
    saved = [(row.title, row.query, row.unit) for row in shop.queries.all()]
    assert saved == list(PRESETS[name].queries)


def saved_fields(service: Service, **changed: str) -> dict[str, str]:
    """The fields of its form with no change but these."""
    counts = ("TOTAL_FORMS", "INITIAL_FORMS", "MIN_NUM_FORMS", "MAX_NUM_FORMS")
    queries = {f"queries-{count}": "0" for count in counts}
    return {"name": service.name, "base_url": service.base_url, **queries, **changed}


def test_without_tls_and_credentials_their_fields_are_empty(admin_client: Client, shop: Service) -> None:
    page = admin_client.get(reverse("admin:scenarios_service_change", args=[shop.pk]))
    form = page.context["adminform"].form
    assert (form["tls"].value(), form["auth"].value()) == ("", "")


def test_changed_tls_and_credentials_are_named_in_the_history(admin_client: Client) -> None:
    shop = Service.objects.create(name="shop", base_url="http://127.0.0.1:1")
    address = reverse("admin:scenarios_service_change", args=[shop.pk])
    words = {"tls": '{"ca": "shop-ca.pem"}', "auth": '{"bearer": "${secret:SERVICE_SHOP}"}'}
    for added in ({"tls": words["tls"]}, words, {}):
        assert admin_client.post(address, saved_fields(shop, **added)).status_code == 302
    history = admin_client.get(reverse("admin:scenarios_service_history", args=[shop.pk]))
    messages = [entry.get_change_message() for entry in history.context["action_list"]]
    tls, credentials, both = messages
    assert "TLS" in tls
    assert "redentials" not in tls
    assert "redentials" in credentials
    assert "TLS" not in credentials
    assert "TLS" in both
    assert "redentials" in both
    assert "SERVICE_SHOP" not in history.content.decode()


@pytest.mark.parametrize("preset", ["no-such", "<script>", ""])
def test_an_unknown_preset_adds_nothing(admin_client: Client, shop: Service, preset: str) -> None:
    page = admin_client.get(reverse("admin:scenarios_service_change", args=[shop.pk]), {"preset": preset})
    [inline] = page.context["inline_admin_formsets"]
    assert inline.formset.extra_forms == []
    assert admin_client.get(ADD, {"preset": preset}).status_code == 200


@pytest.mark.parametrize(("part", "words"), [("health", "unhealthy"), ("proxy", "127.0.0.1:1")])
def test_health_and_proxy_are_whole_pages_without_scripts(
    admin_client: Client, shop: Service, part: str, words: str
) -> None:
    address = reverse(f"admin:scenarios_service_{part}", args=[shop.pk])
    page = reverse("admin:scenarios_service_change", args=[shop.pk])
    assert f'<a href="{address}">Check</a>' in admin_client.get(page).content.decode()
    whole = admin_client.get(address).content.decode()
    assert "<h1>shop now</h1>" in whole
    assert words in whole
    alone = admin_client.get(address, headers={"HX-Request": "true"}).content.decode()
    assert words in alone
    assert "<h1>" not in alone


def test_scenarios_that_act_on_it_are_told_apart_from_those_that_only_look(
    admin_client: Client, shop: Service
) -> None:
    acting = DOCUMENT.replace("break-exchange", "breaks").replace("exchange", "shop")
    looking = LOOKING.replace("NAME", "looks")
    posting = LOOKING.replace("NAME", "posts").replace("path: /", "method: POST, path: /")
    needy = acting.replace("breaks", "needy").replace("default: 5, ", "")
    for document in (acting, looking, posting, needy):
        stored(document)
    page = admin_client.get(reverse("admin:scenarios_service_change", args=[shop.pk])).content.decode()
    touching, probing = (read_links(page, term) for term in ("Touched by scenarios", "Only probed by"))
    assert (touching, probing) == (["breaks", "needy", "posts"], ["looks"])
    listed = admin_client.get(reverse("admin:scenarios_service_changelist")).content.decode()
    cells = [
        re.findall(">([^<]+)</a>", cell)
        for cell in re.findall('<td class="field-(?:touched|probed)_by.*?</td>', listed)
    ]
    assert cells == [touching, probing]
    told = program(User.objects.create_superuser("ci")).get("services/shop").json()
    assert (told["touched_by"], told["probed_by"]) == (touching, probing)
    # A scenario that is rewritten changes sides.
    stored(posting.replace("posts", "looks"))
    told = program(User.objects.get(username="ci")).get("services/shop").json()
    assert (told["touched_by"], told["probed_by"]) == (["breaks", "looks", "needy", "posts"], [])


def read_links(page: str, term: str) -> list[str]:
    cell = page.partition(f"<dt>{term}</dt>")[2].partition("</dd>")[0]
    return re.findall(">([^<]+)</a>", cell)


def test_the_api_is_described_without_scripts(client: Client) -> None:
    content = client.get("/api/v1/docs").content.decode()
    described = content.partition("<noscript>")[2].partition("</noscript>")[0]
    schema = client.get("/api/v1/openapi.json").json()
    for path, operations in schema["paths"].items():
        for method in operations:
            assert f"<h2>{method.upper()} {path}</h2>" in described
    assert len(gzip.compress(content.encode())) < 60 * 1024
