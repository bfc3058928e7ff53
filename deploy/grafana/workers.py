"""The queue, the watchdog, and every living process of the coordinator."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from deploy.grafana.expressions import COORDINATOR
from deploy.grafana.panels import Chart, Number, chart, dashboard, query, stat

STARTED, CPU, MEMORY = (
    "process_start_time_seconds",
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
)
SILENCE = f"time() - {COORDINATOR.shown_by_all('scenario_watchdog_last_seen_timestamp_seconds')}"
WAITED = COORDINATOR.shown_by_all("scenario_oldest_queued_seconds")
PROCESS = "{{instance}} {{worker}}"


def workers() -> Dashboard:
    return dashboard(
        "Workers",
        __doc__ or "",
        counted_by=STARTED,
        numbers=numbers(),
        rows={"Queue": queue(), "Processes": processes(), "Metrics": metrics()},
    )


def numbers() -> list[Number]:
    return [
        stat("Watchdog was seen", SILENCE, "s", red_from=30, about="So long ago."),
        stat("Oldest queued run", WAITED, "s", red_from=60),
        stat("Processes", f"count({COORDINATOR.selector(STARTED)})"),
        stat("CPU cores in use", COORDINATOR.rate(CPU)),
        stat("Memory", f"sum({COORDINATOR.selector(MEMORY)})", "bytes"),
        stat("Instances scraped", 'sum(up{job="test-coordinator"})'),
    ]


def queue() -> list[Chart]:
    waiting = [query(WAITED, "oldest queued run"), query(SILENCE, "watchdog")]
    return [
        chart("Runs", query(COORDINATOR.shown_by_all("scenario_runs", "state"), "{{state}}")),
        chart("Waiting, and silence of the watchdog", *waiting, unit="s"),
    ]


def processes() -> list[Chart]:
    files = f"{COORDINATOR.selector('process_open_fds')} / {COORDINATOR.selector('process_max_fds')}"
    collections = COORDINATOR.rate("python_gc_collections_total", "instance, generation")
    return [
        chart("CPU cores", query(COORDINATOR.rate(CPU, "instance, worker"), PROCESS)),
        chart("Memory", query(COORDINATOR.selector(MEMORY), PROCESS), unit="bytes"),
        chart("Open files, of those allowed", query(files, PROCESS), unit="percentunit"),
        chart("Threads", query(COORDINATOR.selector("process_threads"), PROCESS)),
        chart("Garbage collections", query(collections, "{{instance}} {{generation}}"), unit="ops"),
        chart("Running for", query(f"time() - {COORDINATOR.selector(STARTED)}", PROCESS), unit="s"),
    ]


def metrics() -> list[Chart]:
    scrape = query(COORDINATOR.selector("metrics_scrape_duration_seconds"), "{{instance}}")
    unreadable = COORDINATOR.rate("metrics_scrape_gauges_failures_total", "instance, reason")
    trouble = [
        query(COORDINATOR.selector("metrics_dropped_series_total"), "{{instance}}: dropped of {{metric}}"),
        query(unreadable, "{{instance}}: gauges unreadable, {{reason}}"),
        query(COORDINATOR.selector("metrics_skipped_files"), "{{instance}}: files skipped, {{reason}}"),
    ]
    return [
        chart("Time a scrape takes", scrape, unit="s"),
        chart("Trouble", *trouble, about="Everything here should be zero or absent."),
    ]
