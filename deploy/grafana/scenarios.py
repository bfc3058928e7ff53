"""What was broken, what held, and how quickly it was noticed and recovered."""

from grafana_foundation_sdk.builders.dashboard import Dashboard

from deploy.grafana.expressions import COORDINATOR, RANGE
from deploy.grafana.panels import Chart, Number, chart, dashboard, query, stat

RUNS, TO_PASS = "scenario_runs_total", "scenario_time_to_pass_seconds"
OUTSTANDING = COORDINATOR.shown_by_all("scenario_outstanding_faults")
OPEN = 'sum{by}(scenario:faults_open:sum{{service=~"$service"}})'


def scenarios() -> Dashboard:
    return dashboard(
        "Scenarios",
        __doc__ or "",
        counted_by="scenario_outstanding_faults",
        numbers=numbers(),
        rows={"Runs": runs(), "Time to detect and to recover": times_to_pass(), "Faults": faults()},
    )


def numbers() -> list[Number]:
    return [
        stat("Outstanding faults", OUTSTANDING, red_from=1),
        stat("Running", COORDINATOR.shown_by_all("scenario_runs", matching='state="running"')),
        stat("Queued", COORDINATOR.shown_by_all("scenario_runs", matching='state="queued"')),
        stat("Runs ended", COORDINATOR.times(RUNS, window=RANGE)),
        stat("Passed", COORDINATOR.share(RUNS, 'outcome="passed"', window=RANGE), "percentunit"),
        stat("Faults open now", OPEN.format(by="")),
    ]


def runs() -> list[Chart]:
    verdicts = query(COORDINATOR.times(RUNS, "outcome"), "{{outcome}}")
    by_scenario = query(COORDINATOR.times(RUNS, "scenario, outcome"), "{{scenario}} {{outcome}}")
    seconds = COORDINATOR.quantile(0.95, "scenario_run_duration_seconds", "scenario", window=RANGE)
    validations = query(COORDINATOR.times("scenario_validations_total", "outcome"), "{{outcome}}")
    return [
        chart("Verdicts", verdicts, counted=True),
        chart("Verdicts by scenario", by_scenario, counted=True),
        chart("Duration of runs, 95 %", query(seconds, "{{scenario}}"), unit="s"),
        chart("Validations", validations, counted=True),
    ]


def times_to_pass() -> list[Chart]:
    about = (
        "From the start of a validation to the moment it held: in a phase with a fault this is the time to "
        "detect it, in a phase after it the time to recover."
    )
    labels, legend = "scenario, phase", "{{scenario}}: {{phase}}"
    most = COORDINATOR.quantile(0.95, TO_PASS, labels, window=RANGE)
    return [
        chart(
            "Mean by phase",
            query(COORDINATOR.mean(TO_PASS, labels, window=RANGE), legend),
            unit="s",
            about=about,
        ),
        chart("95 % by phase", query(most, legend), unit="s", about=about),
    ]


def faults() -> list[Chart]:
    events = query(COORDINATOR.times("scenario_chaos_events_total", "driver, event"), "{{driver}} {{event}}")
    return [
        chart("Chaos events", events, counted=True),
        chart(
            "Open and outstanding faults",
            query(OPEN.format(by=" by (scenario) "), "open: {{scenario}}"),
            query(OUTSTANDING, "outstanding"),
            about="Outstanding: the run has ended, and no undo has succeeded.",
        ),
    ]
