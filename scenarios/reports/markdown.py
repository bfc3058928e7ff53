"""The report as Markdown, for a chat or a pull request."""

from collections.abc import Iterable, Iterator

from scenarios.domain.outcomes import Rollback, RunState
from scenarios.models import Fault
from scenarios.pictures.load_charts import HEADS, list_rows
from scenarios.pictures.run_charts import Views
from scenarios.pictures.words import duration, moment
from scenarios.reports.facts import Facts
from scenarios.reports.markdown_text import escape_paragraph, escape_text
from scenarios.runs.comparisons import Comparison
from scenarios.runs.history import StepHistory

SIGNS = {"passed": "✅", "failed": "❌", "errored": "⚠️", "running": "▶️", "not judged": "⏹️"}


def render(facts: Facts) -> str:
    return "\n".join(_render_lines(facts)) + "\n"


def _render_lines(facts: Facts) -> Iterator[str]:
    run, history = facts.run, facts.history
    sign = SIGNS.get(run.outcome, "❌" if run.state == RunState.FINISHED else "▶️")
    yield f"## {sign} {escape_text(facts.title)}: {escape_text(run.verdict)}"
    yield ""
    if run.reason:
        yield escape_paragraph(run.reason)
        yield ""
    if run.rollback == Rollback.DIRTY:
        names = ", ".join(f"**{escape_text(fault.action)}**" for fault in history.still_injected)
        yield f"⚠️ **Still injected:** {names or 'see the ledger'}"
        yield ""
    if run.rollback == Rollback.UNVERIFIED:
        names = ", ".join(f"**{escape_text(fault.action)}**" for fault in history.unverified)
        yield f"⚠️ **Not verified:** {names}. The undo has succeeded; the injection may still arrive."
        yield ""
    yield from _render_table(("Fact", "Value"), _list_facts(facts))
    yield ""
    if history.faults:
        yield from _render_table(
            ("Fault", "Where", "State", "Injected", "Closed", "Why"),
            (_list_fault_cells(fault) for fault in history.faults),
        )
        yield ""
    if history.steps:
        yield from _render_table(
            ("", "Step", "Phase", "After", "Reason"), (_list_step_cells(step) for step in history.steps)
        )
    for load in facts.loads:
        yield ""
        yield f"Load **{escape_text(load.name)}**:"
        yield ""
        yield from _render_table(HEADS, list_rows(load))
    yield from _render_charts(facts.charts)


def _render_charts(charts: Views) -> Iterator[str]:
    """The charts' numbers; the pictures are in the HTML report."""
    rows = [(view.chart, row) for view in charts.drawn for row in view.rows]
    if rows:
        yield ""
        yield from _render_table(
            ("Chart", f"Before {charts.turning}", "From then to the end", "After the run"),
            (
                (
                    f"{chart.title} ({chart.about}{f', {row.name}' if row.name else ''})",
                    *(cell.text for cell in (row.before, row.during, row.after)),
                )
                for chart, row in rows
            ),
        )
    for why, names in charts.without.items():
        yield ""
        yield f"No chart of {escape_text(', '.join(names))}: {escape_text(why)}."


def _list_facts(facts: Facts) -> Iterator[tuple[str, str]]:
    run, history = facts.run, facts.history
    yield "Scenario", f"{run.scenario_name}{f', version {facts.version}' if facts.version else ''}"
    yield "Run", str(run.pk)
    yield "Queued", f"{run.queued_at:%Y-%m-%d %H:%M:%S} UTC"
    yield "Started by", run.started_in_words
    if run.environment:
        yield "Environment", run.environment
    if facts.approval is not None:
        yield "Approval", facts.approval.in_words
    for name, length, compared in (
        ("Took", run.took, None),
        ("Time to detect", history.time_to_detect, facts.comparisons.time_to_detect),
        ("Time to recover", history.time_to_recover, facts.comparisons.time_to_recover),
    ):
        if length is not None:
            yield name, f"{duration(length)}{_describe_usual(compared)}"
    if facts.left_out:
        yield "Left out", ", ".join(map(str, facts.left_out))
    for name, value in run.variables.items():
        yield name, str(value)


def _describe_usual(compared: Comparison | None) -> str:
    if compared is None or compared.usual is None:
        return ""
    mark = " ⚠️ unusual" if compared.is_unusual else ""
    return f", usually {duration(compared.usual.middle)}{mark}"


def _list_fault_cells(fault: Fault) -> tuple[str, ...]:
    return (
        fault.action,
        fault.place,
        fault.status,
        moment(fault.injected_at),
        moment(fault.closed_at),
        fault.reason,
    )


def _list_step_cells(step: StepHistory) -> tuple[str, ...]:
    return SIGNS[step.verdict], step.name, step.phase, duration(step.time_to_pass), step.reason


def _render_table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(escape_text(head) for head in heads)} |"
    yield f"|{' --- |' * len(heads)}"
    for row in rows:
        yield f"| {' | '.join(escape_text(cell) for cell in row)} |"
