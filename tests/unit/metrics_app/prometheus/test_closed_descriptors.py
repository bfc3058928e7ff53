"""A program that closes every descriptor, as one that becomes a daemon does, goes on counting."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from metrics_app.adapters.prometheus import PrometheusMetricsAdapter
from tests.exposition import value
from tests.other_process import OtherProcess

RECORD = (
    "recorder.begin('GET'); recorder.finish(('GET', 'home', 200), 0.1); "
    "metrics.inc_counter('orders_total', {})"
)


@pytest.fixture
def daemon(directory: Path) -> Iterator[OtherProcess]:
    """Has recorded, was scraped, and has then closed everything and opened other files."""
    with OtherProcess(directory) as process:
        process.run("recorder = metrics.request_recorder(); " + RECORD)
        process.run("handler = metrics.get_http_handler(); handler()")
        process.run("import os; os.closerange(3, 4096)")
        process.run("files = [open(os.devnull, 'rb') for _ in range(40)]")
        process.run("metrics._families.next_look = 0.0")  # due within a second anyway
        yield process


def test_nothing_is_lost_although_another_process_takes_the_slot(
    daemon: OtherProcess, metrics: PrometheusMetricsAdapter
) -> None:
    daemon.run(RECORD)
    metrics.inc_counter("orders_total", {})
    for _ in range(2):
        daemon.run(RECORD)
        text = metrics.get_http_handler()()
    assert value(text, "orders_total") == 6
    assert value(text, "http_requests_total") == 4


def test_its_own_scrapes_read_the_files_again(daemon: OtherProcess) -> None:
    daemon.run(RECORD)
    daemon.run("text = handler().decode(); assert 'orders_total 3.0' in text, text")
    daemon.run('assert \'http_requests_total{code="200",method="GET",route="home"} 2.0\' in text, text')


def test_no_file_that_it_opened_since_is_read_written_or_closed(daemon: OtherProcess) -> None:
    daemon.run(RECORD)
    daemon.run("handler(); metrics.close()")
    daemon.run("assert [file.read() for file in files] == [b''] * 40")
    daemon.run("assert {os.fstat(file.fileno()).st_ino for file in files} == {os.stat(os.devnull).st_ino}")
    daemon.run("[file.close() for file in files]")
