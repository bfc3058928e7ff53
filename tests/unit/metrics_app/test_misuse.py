"""What cannot be recorded fails nothing in production: it is counted, and logged once a minute."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from metrics_app import current, misuse
from metrics_app import metrics as declared
from metrics_app.adapters.prometheus import PrometheusMetricsAdapter
from metrics_app.ports import MetricsAdapter
from tests.exposition import samples, value


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("broken on purpose")


@pytest.fixture(autouse=True)
def _production(own: MetricsAdapter, monkeypatch: pytest.MonkeyPatch) -> None:
    setup = current.Setup(lambda: own, lambda: False, lambda: None)
    monkeypatch.setattr(current, "_setup", setup)
    monkeypatch.setattr(misuse, "_next_log", {})


TEXT: Any = "3"
MISTAKES: list[tuple[str, Callable[[], Any]]] = [
    ("labels", lambda: jobs().labels(colour="red").inc()),
    ("labels", lambda: jobs().labels("a", "b").inc(-1)),
    ("labels", lambda: jobs().inc()),
    ("labels", lambda: jobs().remove()),
    ("value", lambda: jobs().labels("a").inc(-1)),
    ("value", lambda: jobs().labels("a").inc(math.nan)),
    ("value", lambda: jobs().labels("a").inc(TEXT)),
    ("type", lambda: declared.gauge("jobs_level", "Level.").inc()),
    ("other", lambda: jobs().labels(Unprintable()).inc()),
]


def jobs() -> declared.Counter:
    return declared.counter("jobs_total", "Jobs.", labels=("kind",))


@pytest.mark.parametrize(("kind", "mistake"), MISTAKES)
def test_a_mistake_is_counted_each_time_and_logged_once(
    own: MetricsAdapter, kind: str, mistake: Callable[[], Any], caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        mistake()
    text = own.get_http_handler()()
    assert value(text, "metrics_misused_total", kind=kind) == value(text, "metrics_misused_total") == 3
    assert "jobs_total" not in samples(text)
    [record] = caplog.records
    assert "test_misuse.py" in record.message
    assert "was not recorded" in record.message


def test_the_measured_code_runs_whatever_is_wrong(own: MetricsAdapter) -> None:
    took = declared.histogram("took_seconds", "Time.", labels=("job",))

    @took.time()  # without its label
    @jobs().count_exceptions(ValueError, by="colour")
    def work() -> str:
        return "done"

    assert work() == "done"
    with pytest.raises(ValueError, match="the job's own"), jobs().count_exceptions(by="colour"):
        raise ValueError("the job's own")
    assert value(own.get_http_handler()(), "metrics_misused_total", kind="labels") == 2


def test_a_directory_that_cannot_be_written_fails_nothing(
    declarations: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics = PrometheusMetricsAdapter(directory=tmp_path / "metrics")
    monkeypatch.setattr(current, "adapter", metrics)
    orders = declared.counter("shop_orders_total", "Orders.", labels=("channel",))
    (tmp_path / "metrics").rmdir()
    (tmp_path / "metrics").write_text("no directory any more")
    orders.labels("web").inc()
    orders.remove("web")
    orders.clear()
    with orders.count_exceptions(channel="web"):
        pass
    metrics.close()
