"""The catalogue is the one that dashboards and rules rely on."""

import pytest

from metrics_app import metrics
from metrics_app.catalogue import CATALOGUE, Definition, Kind


@pytest.mark.parametrize("definition", CATALOGUE.values(), ids=lambda definition: definition.name)
def test_a_name_tells_the_type_and_the_unit(definition: Definition) -> None:
    assert definition.name.endswith("_total") == (definition.kind is Kind.COUNTER)
    units = ("_seconds", "_bytes", "_queries")
    assert definition.name.endswith(units) or definition.kind is not Kind.HISTOGRAM


@pytest.mark.parametrize(
    ("name", "lowest", "highest"),
    [("http_request_duration_seconds", 0.005, 10), ("database_query_duration_seconds", 0.0005, 10)],
)
def test_buckets_span_what_is_measured(name: str, lowest: float, highest: float) -> None:
    buckets = CATALOGUE[name].buckets
    assert (buckets[0], buckets[-1]) == (lowest, highest)
    assert list(buckets) == sorted(set(buckets))


def test_the_names_and_labels_are_those_documented() -> None:
    request = ("method", "route", "code")
    own = {name: definition for name, definition in CATALOGUE.items() if name not in metrics._places}
    assert {name: definition.label_names for name, definition in own.items()} == {
        "http_requests_total": request,
        "http_request_duration_seconds": request,
        "http_request_errors_total": request,
        "http_requests_in_progress": ("method",),
        "http_request_size_bytes": request,
        "http_response_size_bytes": request,
        "http_time_to_first_byte_seconds": request,
        "http_exceptions_total": ("method", "route", "type"),
        "http_request_database_queries": ("method", "route"),
        "http_request_database_seconds": ("method", "route"),
        "database_connections_opened_total": ("alias",),
        "database_connection_errors_total": ("alias",),
        "database_queries_total": ("alias",),
        "database_query_errors_total": ("alias",),
        "database_query_duration_seconds": ("alias",),
        "cache_reads_total": ("alias", "outcome"),
        "metrics_dropped_series_total": ("metric",),
        "metrics_scrape_duration_seconds": (),
        "metrics_scrape_series": (),
        "metrics_scrape_gauges_failures_total": ("source", "reason"),
        "metrics_misused_total": ("metric", "kind"),
        "metrics_skipped_files": ("reason",),
        "metrics_clashing_metrics": (),
    }
