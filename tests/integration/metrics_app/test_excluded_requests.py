"""Requests that a project does not want to be measured."""

from types import ModuleType

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client, override_settings
from django.urls import include, path
from django.utils.decorators import method_decorator
from django.views import View

from metrics_app.decorators import not_measured
from metrics_app.ports import MetricsPort
from tests.exposition import samples
from tests.metrics_settings import override_metrics


@not_measured
def probe(_request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok")


@method_decorator(not_measured, name="dispatch")
class Probe(View):
    def get(self, _request: HttpRequest) -> HttpResponse:
        return HttpResponse("ok")


def home(_request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok")


site = ModuleType("urls_of_excluded_requests")
site.urlpatterns = [  # type: ignore[attr-defined]
    path("", home, name="home"),
    path("probe", probe, name="probe"),
    path("class-probe", Probe.as_view(), name="class-probe"),
    path("internal/jobs", home, name="jobs"),
    path("shop/", include(([path("report", home, name="report")], "shop"))),
    path("metrics", include("metrics_app.urls")),
]


def measured_routes(metrics: MetricsPort) -> set[str]:
    counted = samples(metrics.get_http_handler()()).get("http_requests_total", {})
    return {dict(labels)["route"] for labels in counted}


def ask_for_everything() -> None:
    for address in ("/", "/probe", "/class-probe", "/internal/jobs", "/internal/none", "/shop/report"):
        Client().get(address)


@pytest.mark.parametrize(
    ("excluded", "measured"),
    [
        ([], {"home", "jobs", "unmatched", "shop:report"}),
        (["jobs", "shop:report"], {"home", "unmatched"}),
        (["/internal/"], {"home", "shop:report"}),
        (["home", "/internal/"], {"shop:report"}),
    ],
)
def test_excluded_requests_are_not_measured(
    metrics: MetricsPort, excluded: list[str], measured: set[str]
) -> None:
    with override_settings(ROOT_URLCONF=site), override_metrics(EXCLUDE=excluded):
        ask_for_everything()
    assert measured_routes(metrics) == measured
    in_progress = samples(metrics.get_http_handler()())["http_requests_in_progress"]
    assert set(in_progress.values()) == {0}


async def test_excluded_requests_are_not_measured_in_async_code_either(metrics: MetricsPort) -> None:
    with override_settings(ROOT_URLCONF=site), override_metrics(EXCLUDE=["jobs"]):
        for address in ("/", "/probe", "/internal/jobs"):
            await AsyncClient().get(address)
    assert measured_routes(metrics) == {"home"}


def test_scrapes_are_counted_where_a_setting_asks_although_their_view_is_marked(metrics: MetricsPort) -> None:
    with override_settings(ROOT_URLCONF=site), override_metrics(COUNT_SCRAPES=True, EXCLUDE=["jobs"]):
        Client().get("/metrics")
    assert measured_routes(metrics) == {"metrics:exposition"}
