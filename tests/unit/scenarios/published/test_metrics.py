"""The metrics of scenarios keep their names, labels, help texts and buckets."""

from pathlib import Path

import pytest

from metrics_app.adapters.prometheus import PrometheusMetricsAdapter
from metrics_app.catalogue import CATALOGUE, Kind
from scenarios.published import metrics

EXPOSED = Path(__file__).parent / "exposed_metrics"
DECLARED = [found.definition for found in vars(metrics).values() if hasattr(found, "definition")]


@pytest.mark.parametrize(
    ("accept", "file"),
    [("", "text.txt"), ("application/openmetrics-text;version=1.0.0", "openmetrics.txt")],
)
def test_exposed_metrics_are_unchanged_since_the_first_version(
    tmp_path: Path, accept: str, file: str
) -> None:
    adapter = PrometheusMetricsAdapter(directory=tmp_path / "metrics")
    for definition in DECLARED:
        labels = {label: f"a {label}" for label in definition.label_names}
        if definition.kind is Kind.COUNTER:
            adapter.inc_counter(definition.name, labels)
        elif definition.kind is Kind.GAUGE:
            adapter.set_gauge(definition.name, 7, labels)
        else:
            adapter.observe_histogram(definition.name, 3, labels)
    exposed = adapter.get_http_handler()(accept).decode().splitlines()
    adapter.close()
    expected = (EXPOSED / file).read_text().splitlines()
    prefixes = ("scenario_", "webhook_", "grafana_", "oldest_")
    found = [
        line for line in exposed if line.removeprefix("# HELP ").removeprefix("# TYPE ").startswith(prefixes)
    ]
    assert sorted(found) == expected


@pytest.mark.parametrize("definition", DECLARED, ids=lambda definition: definition.name)
def test_a_name_tells_the_type_and_the_unit(definition: object) -> None:
    found = CATALOGUE[definition.name]  # type: ignore[attr-defined]
    assert found.name.endswith("_total") == (found.kind is Kind.COUNTER)
    assert found.name.endswith("_seconds") or found.kind is not Kind.HISTOGRAM
