"""Files, and what a scrape costs, are bounded by how many processes run at once."""

import fcntl
import os
import shutil
import struct
import tempfile
from pathlib import Path

import pytest

from metrics_app.adapters.prometheus import PrometheusMetricsAdapter, slots
from tests.exposition import value
from tests.other_process import OtherProcess


def scrape(metrics: PrometheusMetricsAdapter) -> str:
    return metrics.get_http_handler()().decode()


def orders(metrics: PrometheusMetricsAdapter) -> float:
    return value(scrape(metrics), "orders_total")


def test_making_an_adapter_takes_no_slot(directory: Path) -> None:
    # With preload_app the master makes one, too, but serves nothing.
    metrics = PrometheusMetricsAdapter(directory=directory)
    metrics.request_recorder()
    assert list(directory.iterdir()) == []


def test_processes_at_the_same_time_have_different_slots(
    directory: Path, metrics: PrometheusMetricsAdapter
) -> None:
    metrics.inc_counter("orders_total", {})
    with OtherProcess(directory) as second, OtherProcess(directory) as third:
        assert slots.holders(directory) == {0: os.getpid(), 1: second.pid, 2: third.pid}
        assert orders(metrics) == 3


def test_the_next_process_takes_the_slot_of_one_that_was_killed_and_carries_on_its_counters(
    directory: Path, metrics: PrometheusMetricsAdapter
) -> None:
    metrics.inc_counter("orders_total", {})
    for _ in range(5):
        with OtherProcess(directory) as other:
            assert slots.holders(directory)[1] == other.pid
    assert orders(metrics) == 6
    assert len(list(directory.glob("counter_*.db"))) == 2


def test_a_killed_process_has_nothing_in_progress(directory: Path, metrics: PrometheusMetricsAdapter) -> None:
    metrics.inc_counter("orders_total", {})
    with OtherProcess(directory) as other:
        other.run("metrics.request_recorder().begin('GET')")
        assert value(scrape(metrics), "http_requests_in_progress") == 1
    assert value(scrape(metrics), "http_requests_in_progress") == 0


def test_the_next_owner_of_a_killed_processs_slot_has_nothing_in_progress(
    directory: Path, metrics: PrometheusMetricsAdapter
) -> None:
    metrics.inc_counter("orders_total", {})
    with OtherProcess(directory) as other:
        other.run("metrics.request_recorder().begin('GET')")
    with OtherProcess(directory):
        assert value(scrape(metrics), "http_requests_in_progress") == 0


def test_scraping_drops_no_lock(directory: Path, metrics: PrometheusMetricsAdapter) -> None:
    metrics.inc_counter("orders_total", {})
    for _ in range(2):
        scrape(metrics)
    with OtherProcess(directory) as other:
        assert slots.holders(directory) == {0: os.getpid(), 1: other.pid}


def test_two_adapters_of_one_process_do_not_share_a_slot(
    directory: Path, metrics: PrometheusMetricsAdapter
) -> None:
    second = PrometheusMetricsAdapter(directory=directory)
    for adapter in (metrics, second, metrics, second):
        adapter.inc_counter("orders_total", {})
    assert orders(metrics) == orders(second) == 4
    second.close()
    with OtherProcess(directory) as other:
        assert slots.holders(directory) == {0: os.getpid(), 1: other.pid}


def test_a_forked_child_records_in_a_slot_of_its_own(
    directory: Path, metrics: PrometheusMetricsAdapter
) -> None:
    fork = (
        "import os; metrics.inc_counter('orders_total', {}); child = os.fork(); "
        "assert child or not [n for n in range(99) if 'slot-' in os.path.realpath(f'/proc/self/fd/{n}')]; "
        "metrics.inc_counter('orders_total', {}); child or os._exit(0); "
        "assert os.waitpid(child, 0)[1] == 0; metrics.inc_counter('orders_total', {})"
    )
    metrics.inc_counter("orders_total", {})
    with OtherProcess(directory) as other:
        other.run(fork)
        assert slots.holders(directory) == {0: os.getpid(), 1: other.pid}
        assert orders(metrics) == 1 + 1 + 4
        assert len(list(directory.glob("counter_*.db"))) == 3


def test_a_child_that_has_the_slot_of_its_dead_parent_keeps_it(
    directory: Path, metrics: PrometheusMetricsAdapter
) -> None:
    metrics.inc_counter("orders_total", {})
    reading, writing = os.pipe()
    with OtherProcess(directory) as other, os.fdopen(reading) as tells:
        orphan = (
            f"import os, gc, time; end = open('/proc/{os.getpid()}/fd/{writing}', 'w'); child = os.fork(); "
            "child or [time.sleep(0.001) for _ in iter(lambda: os.getppid() == "
            f"{other.pid}, False)]; "
            "child or (metrics.inc_counter('orders_total', {}), gc.collect(), "
            "print(os.getpid(), file=end, flush=True), __import__('signal').pause())"
        )
        other.run(orphan)
        other.kill()
        os.close(writing)
        child = int(tells.readline())
        assert slots.holders(directory)[1] == child
        os.kill(child, 9)
        assert tells.read() == ""


def test_a_server_that_starts_alone_begins_at_zero(directory: Path) -> None:
    for _ in range(2):
        with OtherProcess(directory, own_server=True) as server:
            server.run("assert b'orders_total 1.0' in metrics.get_http_handler()()")


def test_a_process_that_another_joins_keeps_what_it_counted(directory: Path) -> None:
    with OtherProcess(directory, own_server=True) as worker, OtherProcess(directory, own_server=True):
        worker.run("assert b'orders_total 2.0' in metrics.get_http_handler()()")


def test_a_server_that_replaces_its_only_worker_carries_on(directory: Path) -> None:
    # Both belong to the process group of the tests, whose leader is their server.
    with OtherProcess(directory):
        pass
    assert slots.holders(directory) == {}
    with OtherProcess(directory) as next_worker:
        next_worker.run("assert b'orders_total 2.0' in metrics.get_http_handler()()")


def test_a_server_whose_first_process_is_gone_carries_on(directory: Path) -> None:
    # As gunicorn after USR2: the new master belongs to the group that the old one led.
    reading, writing = os.pipe()
    with OtherProcess(directory, own_server=True) as leader, os.fdopen(reading) as tells:
        leader.run(
            f"import os, time; end = open('/proc/{os.getpid()}/fd/{writing}', 'w'); child = os.fork(); "
            f"child or [time.sleep(0.001) for _ in iter(lambda: os.getppid() == {leader.pid}, False)]; "
            "child or (metrics.inc_counter('orders_total', {}), "
            "print(b'orders_total 2.0' in metrics.get_http_handler()(), file=end, flush=True), os._exit(0))"
        )
        leader.kill()
        os.close(writing)
        assert tells.read() == "True\n"


def test_a_holder_in_another_pid_namespace_has_no_usable_id(
    directory: Path, metrics: PrometheusMetricsAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics.inc_counter("orders_total", {})
    with OtherProcess(directory):
        with monkeypatch.context() as patch:
            # The kernel answers pid 0 for a process that the asking one cannot see.
            answer = struct.pack("hhqqi", fcntl.F_WRLCK, 0, 0, 0, 0)
            patch.setattr(fcntl, "fcntl", lambda *_: answer)
            text = scrape(metrics)
            assert slots.holders(directory)[1] == 0
        assert value(text, "orders_total") == 2
        assert value(text, "process_threads", worker="0") >= 1
        assert value(text, "process_threads", worker="1") == 0


def test_unwritable_recordings_are_dropped_and_logged_once(
    directory: Path,
    metrics: PrometheusMetricsAdapter,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", full)
        for _ in range(3):
            metrics.inc_counter("orders_total", {})
            metrics.request_recorder().begin("GET")
    assert caplog.text.count("cannot be written") == 1
    metrics.inc_counter("orders_total", {})
    assert orders(metrics) == 1


def test_binary_lock_file_belongs_to_no_live_server(
    directory: Path, metrics: PrometheusMetricsAdapter
) -> None:
    (directory / "slot-0.lock").write_bytes(b"\xff\xfe" * 10)
    metrics.inc_counter("orders_total", {})
    assert orders(metrics) == 1


@pytest.mark.parametrize("whole", [False, True], ids=["emptied", "removed"])
def test_process_whose_directory_was_emptied_counts_again_from_the_next_scrape(
    directory: Path, metrics: PrometheusMetricsAdapter, caplog: pytest.LogCaptureFixture, whole: bool
) -> None:
    recorder = metrics.request_recorder()
    for _ in range(2):
        recorder.begin("GET")
    metrics.inc_counter("orders_total", {})
    shutil.rmtree(directory)
    if not whole:
        directory.mkdir()
    recorder.finish(("GET", "home", 200), 0.1)
    scrape(metrics)
    assert "was emptied" in caplog.text
    metrics.inc_counter("orders_total", {})
    assert orders(metrics) == 1
    recorder.finish(("GET", "home", 200), 0.1)
    assert value(scrape(metrics), "http_requests_in_progress") == 0
    assert value(scrape(metrics), "process_threads", worker="0") >= 1


@pytest.mark.parametrize("mode", [0o444, 0o000], ids=["readable", "closed"])
def test_a_slot_of_another_user_is_left_alone(mode: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o777)
        for file in ("slot-0.lock", "directory.lock"):
            (directory / file).touch(0o444)
        (directory / "slot-0.lock").chmod(mode)
        with tempfile.TemporaryDirectory() as unused, OtherProcess(Path(unused)) as other:
            # Root may open everything, so it becomes somebody else.
            other.run("import os; os.geteuid() or os.setuid(65534)")
            other.run(f"metrics = PrometheusMetricsAdapter(directory=Path({name!r}))")
            other.run("metrics.inc_counter('orders_total', {})")
            other.run("assert b'orders_total 1.0' in metrics.get_http_handler()()")
            assert slots.holders(directory)[1] == other.pid
