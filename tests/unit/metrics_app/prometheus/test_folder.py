"""Which processes share the folder's counters, and what happens when they or their files are gone."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from metrics_app.adapters.prometheus import (
    PrometheusMetricsAdapter,
    adapter,
    folder,
    runtime,
    slot_files,
    slots,
)
from tests.exposition import samples, value
from tests.other_process import OtherProcess


def scrape(metrics: PrometheusMetricsAdapter) -> str:
    return metrics.get_http_handler()().decode()


def orders(metrics: PrometheusMetricsAdapter) -> float:
    return value(scrape(metrics), "orders_total")


def test_server_whose_workers_have_not_responded_yet_keeps_its_counters(directory: Path) -> None:
    # After a reload the workers have an adapter each, and no slot; two commands record meanwhile.
    with OtherProcess(directory, own_server=True) as old:
        old.run("metrics.inc_counter('orders_total', {})")
        with started_worker(directory) as new:
            old.kill()
            for _ in range(2):
                with OtherProcess(directory, own_server=True):
                    pass
            output, _ = new.communicate("\n", timeout=600)
            assert output == "orders_total 5.0\n"


def started_worker(directory: Path) -> subprocess.Popen[str]:
    program = (
        "import sys; from pathlib import Path\n"
        "from metrics_app.adapters.prometheus import PrometheusMetricsAdapter\n"
        f"metrics = PrometheusMetricsAdapter(directory=Path({str(directory)!r}))\n"
        "print('ready', flush=True); sys.stdin.readline(); metrics.inc_counter('orders_total', {})\n"
        "lines = metrics.get_http_handler()().decode().splitlines()\n"
        "print(*[line for line in lines if line.startswith('orders_total')], flush=True)"
    )
    worker = subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert worker.stdout is not None
    assert worker.stdout.readline() == "ready\n"
    return worker


def test_server_between_two_workers_keeps_its_counters_while_others_record(directory: Path) -> None:
    # Both workers belong to the process group of the tests; the commands between them do not.
    with OtherProcess(directory):
        pass
    for _ in range(3):
        with OtherProcess(directory, own_server=True):
            pass
    with OtherProcess(directory) as next_worker:
        next_worker.run("assert b'orders_total 5.0' in metrics.get_http_handler()()")


@pytest.mark.parametrize("change", ["boot", "namespace", "start"])
def test_same_process_id_on_another_boot_namespace_or_start_is_another_server(
    directory: Path, change: str
) -> None:
    with OtherProcess(directory):
        pass
    lock = directory / "slot-0.lock"
    group, start, namespace, boot = lock.read_text().split()
    changed = {"boot": (start, namespace, "x"), "namespace": (start, "pid:[1]", boot)}
    lock.write_text(" ".join((group, *changed.get(change, ("17", namespace, boot)))))
    with OtherProcess(directory) as next_server:
        next_server.run("assert b'orders_total 1.0' in metrics.get_http_handler()()")


@pytest.mark.parametrize("also_locks", [True, False], ids=["everything", "values alone"])
def test_unscraped_process_notices_that_its_files_are_gone(
    directory: Path, metrics: PrometheusMetricsAdapter, also_locks: bool, caplog: pytest.LogCaptureFixture
) -> None:
    bound = metrics.bind_counter("bound_total", {})
    recorder = metrics.request_recorder()
    recorder.begin("GET")
    bound.inc()
    metrics.inc_counter("named_total", {})
    for path in directory.iterdir():
        if also_locks or path.suffix == ".db":
            path.unlink()
    with OtherProcess(directory) as other:
        for _ in range(3):
            time.sleep(1.1)  # longer than between two looks
            bound.inc()
            metrics.inc_counter("named_total", {})
            recorder.begin("GET")
            recorder.finish(("GET", "home", 200), 0.1)
        other.run("text = metrics.get_http_handler()().decode()")
        for name in (
            "bound_total",
            "named_total",
            'http_requests_total{code="200",method="GET",route="home"}',
        ):
            other.run(f"assert {name + ' 3.0'!r} in text or {name + ' 2.0'!r} in text, text")
        other.run("assert 'http_requests_in_progress{method=\"GET\"} 1.0' in text, text")
    assert caplog.text.count("was emptied") == 1


@pytest.mark.parametrize("name", ["directory.lock", "slot-0.lock", "counter_slot-0.db", "slot-0.runtime"])
def test_file_unreadable_for_another_user_fails_no_scrape(name: str) -> None:
    with tempfile.TemporaryDirectory() as text:
        directory = Path(text)
        directory.chmod(0o777)
        with OtherProcess(directory) as first:
            first.run("metrics.request_recorder().begin('GET')")
            (directory / name).chmod(0o600)
            with tempfile.TemporaryDirectory() as unused, OtherProcess(Path(unused)) as other:
                # Root may open everything, so it becomes somebody else.
                other.run("import os; os.geteuid() or os.setuid(65534)")
                other.run(f"metrics = PrometheusMetricsAdapter(directory=Path({text!r}))")
                other.run("metrics.inc_counter('sold_total', {})")
                other.run("assert b'sold_total 1.0' in metrics.get_http_handler()()")


def test_files_are_as_readable_as_their_directory_whatever_the_umask(directory: Path) -> None:
    directory.chmod(0o755)
    with OtherProcess(directory) as other:
        shutil.rmtree(directory)
        directory.mkdir(mode=0o755)
        other.run(
            "import os, time; os.umask(0o077); time.sleep(1.1); metrics.inc_counter('orders_total', {})"
        )
        modes = {path.name: path.stat().st_mode & 0o777 for path in directory.iterdir()}
        assert set(modes.values()) == {0o644}


def test_last_gauge_is_chosen_by_a_monotonic_clock(
    directory: Path, metrics: PrometheusMetricsAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    with OtherProcess(directory) as other:
        other.run("metrics.set_gauge('depth', 1, {})")
        monkeypatch.setattr(time, "time", lambda: 1.0)
        metrics.set_gauge("depth", 2, {})
        assert value(scrape(metrics), "depth") == 2
        other.run("import time; time.time = lambda: 0.5; metrics.set_gauge('depth', 3, {})")
        assert value(scrape(metrics), "depth") == 3


def test_process_stopped_during_a_claim_does_not_block_others_forever(
    directory: Path, metrics: PrometheusMetricsAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "SECONDS_TO_WAIT", 0.2)
    for module in (adapter, runtime):
        monkeypatch.setattr(module, "SECONDS_A_SCRAPE_WAITS", 0.2)
    monkeypatch.setattr(slot_files, "SECONDS_BETWEEN_TRIES", 0)
    with OtherProcess(directory) as other:
        other.run("from metrics_app.adapters.prometheus import folder; inside = folder.directory_locked")
        other.run(f"inside = inside(Path({str(directory)!r})); inside.__enter__()")
        metrics.inc_counter("orders_total", {})
        assert orders(metrics) == 1, "what it recorded itself is there"
        other.kill()
    metrics.inc_counter("orders_total", {})
    assert orders(metrics) == 2


def test_child_forked_during_a_claim_does_not_keep_the_directory_locked(
    directory: Path, tmp_path: Path
) -> None:
    with OtherProcess(directory) as other, OtherProcess(directory) as survivor:
        other.run("import os; from metrics_app.adapters.prometheus import folder")
        other.run(f"inside = folder.directory_locked(Path({str(directory)!r})); inside.__enter__()")
        other.run("child = os.fork(); child or __import__('signal').pause()")
        other.run(f"Path({str(tmp_path / 'child')!r}).write_text(str(child))")
        try:
            other.kill()
            with folder.directory_locked(directory, 120):
                pass
            survivor.run("metrics.inc_counter('orders_total', {})")
        finally:
            os.kill(int((tmp_path / "child").read_text()), signal.SIGKILL)


def test_workers_without_responses_are_shown(directory: Path, metrics: PrometheusMetricsAdapter) -> None:
    with OtherProcess(directory) as other:
        other.run("from metrics_app.adapters.prometheus import slots")
        other.run(f"idle = PrometheusMetricsAdapter(directory=Path({str(directory)!r})); idle.announce()")
        text = scrape(metrics)
    assert len(samples(text)["process_threads"]) == 3


def test_process_that_forks_before_recording_gives_its_slot_to_its_workers(directory: Path) -> None:
    with OtherProcess(directory) as other:
        other.run(f"master = PrometheusMetricsAdapter(directory=Path({str(directory)!r})); master.announce()")
        assert len(slots.holders(directory)) == 2
        other.run(
            "import os; child = os.fork(); "
            "child or (master.announce(), os._exit(len(__import__('metrics_app.adapters.prometheus.slots', "
            f"fromlist=['x']).holders(Path({str(directory)!r})))))"
        )
        other.run("assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 2")


def test_process_that_changes_directory_keeps_recording(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    metrics = PrometheusMetricsAdapter(directory=Path("metrics"))
    metrics.inc_counter("orders_total", {})
    monkeypatch.chdir(tmp_path / "elsewhere")
    metrics.inc_counter("orders_total", {})
    metrics.observe_histogram("order_seconds", 1.0, {})  # in a file that is made now
    assert orders(metrics) == 2
    assert value(scrape(metrics), "order_seconds_count") == 1
    assert not list((tmp_path / "elsewhere").iterdir())
    metrics.close()
