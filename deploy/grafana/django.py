"""Requests, database, cache, tasks, commands and processes of a Django project with django-exact-metrics."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from deploy.grafana.expressions import Chosen
from deploy.grafana.panels import Chart, Number, any_dashboard, chart, query, stat

REQUESTS, SECONDS = "http_requests_total", "http_request_duration_seconds"
STARTED, CPU = "process_start_time_seconds", "process_cpu_seconds_total"
PROCESS = "{{instance}} {{worker}}"

# Prometheus adds it to every series.
chosen = Chosen("job")


def django() -> Dashboard:
    return any_dashboard(
        "Django",
        __doc__ or "",
        uid="django-exact-metrics",
        tag="django",
        label="job",
        counted_by=REQUESTS,
        numbers=numbers(),
        rows={
            "Requests": requests(),
            "Database and cache": stores(),
            "Tasks and commands": background(),
            "Processes": processes(),
            "Metrics": metrics(),
        },
    )


def numbers() -> list[Number]:
    return [
        stat("Requests per second", chosen.rate(REQUESTS), "reqps"),
        stat("Failed with a 5xx", chosen.share(REQUESTS, 'code=~"5.."'), "percentunit", red_from=0.001),
        stat("Median", chosen.quantile(0.5, SECONDS), "s"),
        stat("95 % are faster than", chosen.quantile(0.95, SECONDS), "s", red_from=0.5),
        stat("In progress", f"sum({chosen.selector('http_requests_in_progress')})"),
        stat("Processes", f"count({chosen.selector(STARTED)})"),
    ]


def requests() -> list[Chart]:
    failed = chosen.rate("http_request_errors_total", "route, code")
    return [
        chart("Requests by route", query(chosen.rate(REQUESTS, "route"), "{{route}}"), unit="reqps"),
        chart("Requests by code", query(chosen.rate(REQUESTS, "code"), "{{code}}"), unit="reqps"),
        chart(
            "Errors by route and code",
            query(failed, "{{route}} {{code}}"),
            unit="reqps",
            about="Codes of 400 and above.",
        ),
        chart("95 % by route", query(chosen.quantile(0.95, SECONDS, "route"), "{{route}}"), unit="s"),
    ]


def stores() -> list[Chart]:
    queries = chosen.quantile(0.95, "database_query_duration_seconds", "alias")
    hits = chosen.share("cache_reads_total", 'outcome="hit"', "alias")
    failures = [
        query(chosen.rate("database_query_errors_total", "alias"), "{{alias}}: queries"),
        query(chosen.rate("database_connection_errors_total", "alias"), "{{alias}}: connections"),
    ]
    rows = chosen.rate("model_rows_total", "model, operation")
    return [
        chart("Queries", query(chosen.rate("database_queries_total", "alias"), "{{alias}}"), unit="ops"),
        chart("95 % of queries", query(queries, "{{alias}}"), unit="s"),
        chart("Failures of the database", *failures, unit="ops"),
        chart("Rows written", query(rows, "{{model}}: {{operation}}"), unit="ops"),
        chart("Keys found in the cache", query(hits, "{{alias}}"), unit="percentunit"),
        chart(
            "Pending migrations",
            query(chosen.shown_by_all("database_migrations_pending", "alias"), "{{alias}}"),
        ),
    ]


def background() -> list[Chart]:
    ended = chosen.rate("tasks_finished_total", "task, outcome")
    waited = chosen.quantile(0.95, "task_wait_seconds", "queue")
    oldest = chosen.shown_by_all("tasks_oldest_queued_seconds", "queue")
    success = "management_command_last_success_timestamp_seconds"
    return [
        chart("Tasks ended", query(ended, "{{task}}: {{outcome}}"), unit="ops"),
        chart(
            "95 % of tasks",
            query(chosen.quantile(0.95, "task_duration_seconds", "task"), "{{task}}"),
            unit="s",
        ),
        chart(
            "Waiting for a worker",
            query(waited, "{{queue}}: 95 % of those that began"),
            query(oldest, "{{queue}}: the oldest that has not"),
            unit="s",
        ),
        chart(
            "Commands: time since the last success",
            query(f"time() - max by (command) ({chosen.selector(success)})", "{{command}}"),
            unit="s",
        ),
    ]


def processes() -> list[Chart]:
    files = f"{chosen.selector('process_open_fds')} / {chosen.selector('process_max_fds')}"
    memory = chosen.selector("process_resident_memory_bytes")
    return [
        chart("CPU cores", query(chosen.rate(CPU, "instance, worker"), PROCESS)),
        chart("Memory", query(memory, PROCESS), unit="bytes"),
        chart("Open files, of those allowed", query(files, PROCESS), unit="percentunit"),
        chart("Running for", query(f"time() - {chosen.selector(STARTED)}", PROCESS), unit="s"),
    ]


def metrics() -> list[Chart]:
    scrape = query(chosen.selector("metrics_scrape_duration_seconds"), "{{instance}}")
    trouble = [
        query(chosen.selector("metrics_dropped_series_total"), "{{instance}}: too many series of {{metric}}"),
        query(chosen.selector("metrics_misused_total"), "{{instance}}: {{metric}} misused, {{kind}}"),
        query(
            chosen.selector("metrics_scrape_gauges_failures_total"), "{{instance}}: {{source}}, {{reason}}"
        ),
        query(chosen.selector("metrics_skipped_files"), "{{instance}}: files skipped, {{reason}}"),
    ]
    return [
        chart("Time a scrape takes", scrape, unit="s"),
        chart("Trouble", *trouble, about="Everything here should be zero or absent."),
    ]
