"""Nothing is removed but the adapter's own files, and those only where nobody lives any more."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from prometheus_client.mmap_dict import MmapedDict, mmap_key

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

STOCK_KEY = mmap_key("library", "library_total", [], [], "A library's.")


def scrape(metrics: PrometheusMetricsAdapter) -> str:
    return metrics.get_http_handler()().decode()


def orders(metrics: PrometheusMetricsAdapter) -> float:
    return value(scrape(metrics), "orders_total")


def database(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE kept (number)")
    connection.close()


FOREIGN = [
    "app.db",
    "model.bin",
    "counter_slot-0.db",
    "gauge_livesum_slot-0.db",
    "gauge_livesum_0.db",
    "gauge_livesum_slot-9.db",
    "histogram_7.db",
    "summary_slot-0.db",
    "gauge_all_slot-0.db",
    "slot-0.runtime",
    "slot-0.exemplars",
    "slot-1.lock",
    "runtime-0.bin",
    "exemplars-0.bin",
]


@pytest.mark.parametrize("name", FOREIGN)
def test_a_file_of_somebody_elses_is_never_changed(directory: Path, name: str) -> None:
    database(directory / name)
    before = (directory / name).read_bytes()
    for _ in range(2):
        # Each is a server of its own that begins at zero.
        with OtherProcess(directory, own_server=True) as other:
            other.run("metrics.request_recorder().begin('GET')")
            other.run("metrics.request_recorder().finish(('GET', 'home', 200), 0.1, '1' * 32)")
            other.run("metrics.observe_histogram('waited', 1, {}); metrics.set_gauge('depth', 1, {})")
            other.run("assert b'orders_total 1.0' in metrics.get_http_handler()()")
    assert (directory / name).read_bytes() == before


@pytest.mark.parametrize("name", [name for name in FOREIGN if "slot-0" in name or name == "slot-1.lock"])
def test_a_symlink_with_a_name_of_the_adapters_is_not_followed(
    directory: Path, tmp_path: Path, name: str
) -> None:
    target = tmp_path / "app.db"
    database(target)
    before = target.read_bytes()
    (directory / name).symlink_to(target)
    (directory / "slot-0.lock").symlink_to(target)
    for _ in range(2):
        with OtherProcess(directory, own_server=True) as other:
            other.run("assert b'orders_total 1.0' in metrics.get_http_handler()()")
    assert target.read_bytes() == before
    assert (directory / name).is_symlink()


@pytest.mark.parametrize("name", ["counter_slot-0.db", "slot-0.lock", "slot-0.runtime", "app.db"])
def test_a_folder_or_pipe_with_a_name_of_the_adapters_is_left_alone(directory: Path, name: str) -> None:
    (directory / name).mkdir()
    (directory / name / "kept").touch()
    os.mkfifo(directory / "slot-1.lock")
    with OtherProcess(directory, own_server=True) as other:
        other.run("assert b'orders_total 1.0' in metrics.get_http_handler()()")
    assert (directory / name / "kept").exists()


def test_a_file_that_somebody_puts_there_after_the_slot_was_claimed_is_never_changed(
    directory: Path, metrics: PrometheusMetricsAdapter, caplog: pytest.LogCaptureFixture
) -> None:
    metrics.inc_counter("orders_total", {})
    database(directory / "histogram_slot-0.db")
    before = (directory / "histogram_slot-0.db").read_bytes()
    metrics.observe_histogram("waited", 1, {})
    assert (directory / "histogram_slot-0.db").read_bytes() == before
    assert orders(metrics) == 1
    assert "not a file of the metrics adapter" in caplog.text


def test_a_large_file_that_begins_with_zeros_is_somebody_elses(directory: Path) -> None:
    content = bytes(folder.INITIAL_SIZE) + b"a picture of a disk"
    (directory / "counter_slot-0.db").write_bytes(content)
    with OtherProcess(directory, own_server=True) as other:
        other.run("assert b'orders_total 1.0' in metrics.get_http_handler()()")
    assert (directory / "counter_slot-0.db").read_bytes() == content


def test_what_prometheus_client_keeps_by_process_ids_is_read_and_kept(directory: Path) -> None:
    for process in (0, 1, 4242):
        file = MmapedDict(str(directory / f"counter_{process}.db"))
        file.write_value(STOCK_KEY, 2.0, 0.0)
        file.close()
    for _ in range(2):
        with OtherProcess(directory, own_server=True) as other:
            other.run("assert b'library_total 6.0' in metrics.get_http_handler()()")


def test_a_server_removes_what_the_one_before_left_of_the_first_version(directory: Path) -> None:
    for name in ("counter_0.db", "gauge_livesum_0.db"):
        file = MmapedDict(str(directory / name))
        file.write_value(STOCK_KEY, 2.0, 0.0)
        file.close()
    (directory / "runtime-0.bin").write_bytes(bytes(96))
    (directory / "slot-0.lock").write_text("4194304 12 00000000-0000-0000-0000-000000000000")
    with OtherProcess(directory, own_server=True):
        assert not {"counter_0.db", "gauge_livesum_0.db", "runtime-0.bin"} & {
            path.name for path in directory.iterdir()
        }


def test_names_of_the_first_version_are_prometheus_clients_once_that_version_is_gone(directory: Path) -> None:
    (directory / "slot-1.lock").write_text("4194304 12 00000000-0000-0000-0000-000000000000")
    with OtherProcess(directory, own_server=True) as other:
        # Process 1, as in a container, with prometheus_client's own mode of many processes.
        file = MmapedDict(str(directory / "gauge_livesum_1.db"))
        file.write_value(mmap_key("depth", "depth", [], [], "Help."), 2.0, 0.0)
        file.close()
        other.run("assert b'depth 2.0' in metrics.get_http_handler()()")
    with OtherProcess(directory, own_server=True):
        assert (directory / "gauge_livesum_1.db").exists()


def test_a_server_whose_workers_have_not_answered_yet_keeps_its_counters(directory: Path) -> None:
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
def test_a_server_with_the_same_id_elsewhere_or_earlier_is_another_one(directory: Path, change: str) -> None:
    with OtherProcess(directory):
        pass
    lock = directory / "slot-0.lock"
    group, start, namespace, boot = lock.read_text().split()
    changed = {"boot": (start, namespace, "x"), "namespace": (start, "pid:[1]", boot)}
    lock.write_text(" ".join((group, *changed.get(change, ("17", namespace, boot)))))
    with OtherProcess(directory) as next_server:
        next_server.run("assert b'orders_total 1.0' in metrics.get_http_handler()()")


@pytest.mark.parametrize("also_locks", [True, False], ids=["everything", "values alone"])
def test_a_process_that_nobody_scrapes_notices_that_its_files_are_gone(
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
def test_a_file_that_another_user_closed_fails_no_scrape(name: str) -> None:
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


def test_the_last_gauge_is_found_by_a_clock_that_nobody_sets(
    directory: Path, metrics: PrometheusMetricsAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    with OtherProcess(directory) as other:
        other.run("metrics.set_gauge('depth', 1, {})")
        monkeypatch.setattr(time, "time", lambda: 1.0)
        metrics.set_gauge("depth", 2, {})
        assert value(scrape(metrics), "depth") == 2
        other.run("import time; time.time = lambda: 0.5; metrics.set_gauge('depth', 3, {})")
        assert value(scrape(metrics), "depth") == 3


def test_a_process_that_is_stopped_during_a_claim_blocks_nobody_for_ever(
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


def test_a_child_forked_in_the_midst_of_a_claim_does_not_keep_the_directory_locked(
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


def test_workers_that_have_answered_nothing_are_shown(
    directory: Path, metrics: PrometheusMetricsAdapter
) -> None:
    with OtherProcess(directory) as other:
        other.run("from metrics_app.adapters.prometheus import slots")
        other.run(f"idle = PrometheusMetricsAdapter(directory=Path({str(directory)!r})); idle.announce()")
        text = scrape(metrics)
    assert len(samples(text)["process_threads"]) == 3


def test_what_forks_before_it_records_gives_its_slot_to_its_workers(directory: Path) -> None:
    with OtherProcess(directory) as other:
        other.run(f"master = PrometheusMetricsAdapter(directory=Path({str(directory)!r})); master.announce()")
        assert len(slots.holders(directory)) == 2
        other.run(
            "import os; child = os.fork(); "
            "child or (master.announce(), os._exit(len(__import__('metrics_app.adapters.prometheus.slots', "
            f"fromlist=['x']).holders(Path({str(directory)!r})))))"
        )
        other.run("assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 2")


def test_a_process_that_goes_to_another_folder_records_on(
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
