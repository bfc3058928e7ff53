"""Parses an exposition like Prometheus, without any code of the adapters."""

from prometheus_client.parser import text_string_to_metric_families

Samples = dict[str, dict[frozenset[tuple[str, str]], float]]


def samples(exposition: bytes | str) -> Samples:
    """Values by sample name and labels."""
    text = exposition.decode() if isinstance(exposition, bytes) else exposition
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            series = found.setdefault(sample.name, {})
            labels = frozenset(sample.labels.items())
            assert labels not in series, f"{sample.name} {sample.labels} stands there twice"
            series[labels] = sample.value
    return found


def value(exposition: bytes | str, name: str, **labels: str) -> float:
    """The sum of the samples of this name that have at least these labels; 0 when there is none."""
    wanted = labels.items()
    series = samples(exposition).get(name, {})
    return sum(number for found, number in series.items() if wanted <= dict(found).items())
