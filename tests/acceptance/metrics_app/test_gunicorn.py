"""What a real gunicorn counts is what its clients were answered, however its workers come and go."""

import http.client
from pathlib import Path

import pytest

from tests.gunicorn_server import CLIENTS, Load, gunicorn, scraped_meanwhile
from tests.other_process import OtherProcess

pytestmark = pytest.mark.slow

WORKERS = 3
FILES_PER_SLOT = 4
WORKER_CLASSES = {
    "sync": ("--worker-class", "sync", "--threads", "1"),
    "gthread": ("--worker-class", "gthread"),
    "asgi": ("--worker-class", "asgi", "--threads", "1", "coordinator_site.asgi:application"),
}


# Each class of workers, and both ways of loading the application: by the master, or by every worker.
@pytest.mark.parametrize(
    ("worker_class", "preload"),
    [("sync", ("--preload",)), ("gthread", ()), ("gthread", ("--preload",)), ("asgi", ())],
    ids=["sync-preload", "gthread", "gthread-preload", "asgi"],
)
def test_counts_match_responses_across_worker_crashes(
    tmp_path: Path, worker_class: str, preload: tuple[str, ...]
) -> None:
    recycled = {"WEB_CONCURRENCY": str(WORKERS), "WEB_MAX_REQUESTS": "30", "WEB_MAX_REQUESTS_JITTER": "10"}
    with gunicorn(tmp_path, (*preload, *WORKER_CLASSES[worker_class]), **recycled) as server:
        load = Load(server, 250)  # 20,000 of them are in benchmarks/metrics_peers.py
        kills = dict.fromkeys((30, 60, 140, 200), server.kill_a_worker)
        with scraped_meanwhile(server) as totals:
            load.run({**kills, 100: server.reload, 170: server.upgrade})
        # What was in flight in a killed worker may have been counted before it was answered.
        assert load.answered <= server.counted() <= load.answered + load.failed
        assert load.failed <= len(kills) * 2 * CLIENTS
        assert len(totals) >= 3  # a busy machine scrapes seldom
        files = list((tmp_path / "metrics").glob("*.db"))
        # Each of two masters has its workers, and each of those a successor already when it ends.
        assert len(files) <= 4 * WORKERS * FILES_PER_SLOT


def test_nothing_is_in_progress_after_a_worker_died_in_the_midst_of_requests(tmp_path: Path) -> None:
    with gunicorn(tmp_path, WEB_CONCURRENCY="2") as server:
        Load(server, 200).run(dict.fromkeys((50, 100, 150), server.kill_a_worker))
        assert set(server.scrape()["http_requests_in_progress"].values()) == {0}


def test_a_server_that_is_started_again_begins_at_zero(tmp_path: Path) -> None:
    for _ in range(2):
        with gunicorn(tmp_path, WEB_CONCURRENCY="1") as server:
            Load(server, 5).run()
            assert server.counted() == 5


def test_a_server_with_one_worker_keeps_its_counts_when_that_is_replaced(tmp_path: Path) -> None:
    with gunicorn(tmp_path, WEB_CONCURRENCY="1", WEB_MAX_REQUESTS="10") as server:
        load = Load(server, 100)
        load.run()
        assert server.counted() == load.answered


@pytest.mark.parametrize("preload", [(), ("--preload",)], ids=["", "preload"])
def test_every_worker_is_shown_although_some_have_answered_nothing(
    tmp_path: Path, preload: tuple[str, ...]
) -> None:
    with gunicorn(tmp_path, preload, WEB_CONCURRENCY="4") as server:
        while (shown := len(server.scrape().get("process_threads", {}))) < 4:
            continue  # they are still starting
        assert shown == 4


def test_commands_that_record_after_a_reload_take_no_counts_away(tmp_path: Path) -> None:
    with gunicorn(tmp_path, WEB_CONCURRENCY="2") as server:
        Load(server, 21).run()
        server.reload()
        server.log.wait_for("Booting worker", 4)
        for _ in range(2):
            with OtherProcess(tmp_path / "metrics", own_server=True):
                pass
        assert server.counted() == 21
        Load(server, 1).run()
        assert server.counted() == 22


def test_no_server_warns_of_answers_to_head(tmp_path: Path) -> None:
    with gunicorn(tmp_path, WEB_CONCURRENCY="1") as server:
        for path in ("/metrics", "/admin/login/", "/nothing/here", "/static/admin/css/base.css"):
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=300)
            connection.request("HEAD", path, headers={"Connection": "close"})
            assert connection.getresponse().read() == b""
            connection.close()
        assert not [line for line in server.log.lines() if "HEAD" in line or "body" in line.lower()]
