"""The metrics of scenarios and of what they send. Dashboards and alert rules rely on names and labels."""

from metrics_app import metrics

RUN_BUCKETS = (0.1, 0.5, 1, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400, 43200, 86400)
TIME_TO_PASS_BUCKETS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600)

# Read from the database at the scrape. That of the waiting runs stands before the counter of the same name.
WAITING_RUNS = metrics.gauge(
    "scenario_runs", "Scenario runs that are waiting or running, from the database.", labels=("state",)
)
OUTSTANDING_FAULTS = metrics.gauge(
    "scenario_outstanding_faults", "Faults that are not known to be undone, from the database."
)
UNVERIFIED_FAULTS = metrics.gauge(
    "scenario_unverified_faults",
    "Of the outstanding faults, those that were undone and whose injection may still arrive.",
)
OLDEST_QUEUED = metrics.gauge(
    "scenario_oldest_queued_seconds", "Time the oldest queued run has waited, from the database."
)
WATCHDOG_LAST_SEEN = metrics.gauge(
    "scenario_watchdog_last_seen_timestamp_seconds",
    "When the watchdog last reported, in Unix time, from the database.",
)
SUITE_CELLS = metrics.gauge(
    "scenario_suite_cells",
    "Cells of suites by what the last proof of each has shown, from the database.",
    labels=("suite", "state"),
)
OLDEST_UNDELIVERED = metrics.gauge(
    "oldest_undelivered_message_seconds",
    "Time the oldest message to a webhook or to Grafana has waited to arrive, from the database.",
)

FINISHED_RUNS = metrics.counter(
    "scenario_runs_total", "Scenario runs that ended.", labels=("scenario", "outcome")
)
RUN_DURATION = metrics.histogram(
    "scenario_run_duration_seconds",
    "Duration of scenario runs.",
    labels=("scenario", "outcome"),
    buckets=RUN_BUCKETS,
)
CHAOS_EVENTS = metrics.counter(
    "scenario_chaos_events_total",
    "Faults by what happened: injected, not injected, undone, or not undone.",
    labels=("scenario", "driver", "event"),
)
EXPIRED_FAULTS = metrics.counter(
    "scenario_faults_expired_total",
    "Faults that had ended by themselves before they were undone.",
    labels=("scenario", "driver"),
)
LOST_FAULTS = metrics.counter(
    "scenario_faults_lost_total",
    "Faults that ended too early, so that their run ended errored.",
    labels=("scenario", "driver"),
)
TAKEOVERS = metrics.counter(
    "scenario_takeovers_total",
    "Runs taken over because their worker died or lost its lease.",
    labels=("scenario",),
)
VALIDATIONS = metrics.counter(
    "scenario_validations_total", "Validations carried out.", labels=("scenario", "outcome")
)
TIME_TO_PASS = metrics.histogram(
    "scenario_time_to_pass_seconds",
    "Time from the start of a validation to the moment it held.",
    labels=("scenario", "phase"),
    buckets=TIME_TO_PASS_BUCKETS,
)
SCHEDULED_TIMES = metrics.counter(
    "scenario_scheduled_times_total",
    "Times at which a schedule was due, by what happened: started or skipped.",
    labels=("schedule", "outcome"),
)
WEBHOOK_DELIVERIES = metrics.counter(
    "webhook_deliveries_total",
    "Messages sent to webhooks: delivered, failed and tried again, or given up.",
    labels=("result",),
)
GRAFANA_ANNOTATIONS = metrics.counter(
    "grafana_annotations_total",
    "Fault windows sent to Grafana: delivered, failed and tried again, or given up.",
    labels=("result",),
)
RUN_TRACES = metrics.counter(
    "scenario_run_traces_total",
    "Traces of runs sent to the collector: delivered, failed and tried again, or given up.",
    labels=("result",),
)
