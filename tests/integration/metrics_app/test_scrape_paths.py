"""A scrape is not counted, wherever the exposition is mounted."""

from collections.abc import Iterator
from types import ModuleType

import pytest
from django.conf.urls.i18n import i18n_patterns
from django.http import HttpRequest, HttpResponse
from django.test import Client, override_settings
from django.urls import include, path
from django.utils import translation

from metrics_app.ports import MetricsPort
from tests.exposition import samples, value
from tests.metrics_settings import override_metrics


def home(_request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok")


def urls(*patterns: object) -> ModuleType:
    module = ModuleType("urls_of_a_test")
    module.urlpatterns = list(patterns)  # type: ignore[attr-defined]
    return module


EXPOSITION = path("metrics", include("metrics_app.urls"))
with override_settings(USE_I18N=True):
    EVERYWHERE = urls(*i18n_patterns(EXPOSITION, path("", home)))
    ABROAD = urls(*i18n_patterns(EXPOSITION, path("", home), prefix_default_language=False))
TWICE = urls(path("internal/", include("metrics_app.urls", namespace="internal")), EXPOSITION)
MIDDLEWARE = [
    "metrics_app.middleware.RequestMetricsMiddleware",
    "django.middleware.locale.LocaleMiddleware",
]


@pytest.fixture(autouse=True)
def translations() -> Iterator[None]:
    """Django decides once, at its first use, whether it translates; the settings of the tests say no."""
    translation._trans.__dict__.clear()  # type: ignore[attr-defined]
    yield
    translation._trans.__dict__.clear()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("urlconf", "paths"),
    [
        (EVERYWHERE, ["/de/metrics", "/en/metrics", "/pt-br/metrics"]),
        (ABROAD, ["/metrics", "/de/metrics", "/pt-br/metrics"]),
        (TWICE, ["/metrics"]),
    ],
    ids=["everywhere", "abroad", "twice"],
)
def test_a_scrape_is_not_counted_nor_in_progress(
    metrics: MetricsPort, urlconf: ModuleType, paths: list[str]
) -> None:
    with override_settings(ROOT_URLCONF=urlconf, MIDDLEWARE=MIDDLEWARE, USE_I18N=True):
        for scraped in paths:
            response = Client().get(scraped)
            assert response.status_code == 200
            assert "http_requests_in_progress" not in samples(response.content)
    text = metrics.get_http_handler()()
    assert not {"http_requests_total", "http_requests_in_progress"} & samples(text).keys()


def test_a_second_address_of_the_exposition_is_not_counted(metrics: MetricsPort) -> None:
    with override_settings(ROOT_URLCONF=TWICE, MIDDLEWARE=MIDDLEWARE, USE_I18N=True):
        assert Client().get("/internal/").status_code == 200
        text = metrics.get_http_handler()()
        assert value(text, "http_requests_total") == value(text, "http_requests_in_progress") == 0
        with override_metrics(COUNT_SCRAPES=True):
            Client().get("/internal/")
    assert value(metrics.get_http_handler()(), "http_requests_total", route="internal:exposition") == 1


def test_a_scrape_below_a_path_that_captures_something_is_answered() -> None:
    of_tenants = urls(path("<slug:tenant>/metrics", include("metrics_app.urls")), path("", home))
    with override_settings(ROOT_URLCONF=of_tenants, MIDDLEWARE=MIDDLEWARE):
        assert Client().get("/acme/metrics").status_code == 200
        Client().get("/")
        found = Client().get("/acme/metrics").content
    assert value(found, "http_requests_total") == 1


@pytest.mark.parametrize("missing", ["/xx/metrics", "/de/metrics/more", "/de/other", "/metrics/de/"])
def test_requests_other_than_scrapes_are_counted(metrics: MetricsPort, missing: str) -> None:
    with override_settings(ROOT_URLCONF=EVERYWHERE, MIDDLEWARE=MIDDLEWARE, USE_I18N=True):
        assert Client().get(missing).status_code == 404
    assert value(metrics.get_http_handler()(), "http_requests_total", code="404") == 1
