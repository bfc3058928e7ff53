"""The loads of a run for a page or a report: a table of figures, and curves of p95 and of the error rate."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.utils.safestring import SafeString

from scenarios.charts.kept import Chart, Series
from scenarios.domain.event_kinds import Topic
from scenarios.domain.units import Unit
from scenarios.models import Run
from scenarios.models.runs import build_trace_url
from scenarios.pictures.chart import Scene, draw_chart
from scenarios.pictures.quantities import quantity
from scenarios.pictures.run_charts import build_scene
from scenarios.runs.history import RunHistory
from scenarios.runs.load_results import LoadResult, find_middles, read_loads

SLOWEST = "Slowest"
HEADS = ("Phase", "Requests", "Errors", "Per second", "p50", "p95", "p99", SLOWEST)
# More points than a chart has pixels cannot be told apart.
MAX_POINTS = 320
# A single second is no curve.
MIN_POINTS = 2


@dataclass(frozen=True, slots=True)
class LoadView:
    """`rows` are the cells of each phase, each with its head and, if it is about one request, a page that
    shows its trace. `errors` are the kinds of errors with such a page. `trace_url` shows the load in the
    trace of the run.
    """

    name: str
    rows: Sequence[Sequence[tuple[str, str, str]]]
    errors: Sequence[tuple[str, str]]
    lateness: str
    charts: Sequence[tuple[str, SafeString]]
    trace_url: str


def build_load_views(history: RunHistory, loads: Sequence[LoadResult] | None = None) -> list[LoadView]:
    """Of the run's loads, which are read unless they are given."""
    loads = read_loads(history) if loads is None else loads
    if not loads:
        return []
    scene = build_scene(history, history.ends)
    scene = replace(scene, left=scene.began, right=scene.ends, around=(scene.began, scene.ends))
    return [_build_view(load, scene, history.run) for load in loads]


def _build_view(load: LoadResult, scene: Scene, run: Run) -> LoadView:
    late = load.lateness_p99
    return LoadView(
        load.name,
        [list(_link_cells(load, cells)) for cells in list_rows(load)],
        [
            (f"{count} × {kind}", _find_trace_url(load.error_traces.get(kind)))
            for kind, count in sorted(load.kinds.items())
        ],
        "" if late is None else quantity(late, Unit.SECONDS),
        list(_draw_charts(load, scene)),
        run.find_trace_url(Topic.LOAD, "", load.name),
    )


def _link_cells(load: LoadResult, cells: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    for head, cell in zip(HEADS, cells, strict=True):
        trace = load.slowest_traces.get(cells[0]) if head == SLOWEST else None
        yield head, cell, _find_trace_url(trace)


def _find_trace_url(trace_id: str | None) -> str:
    return build_trace_url(trace_id) if trace_id else ""


def list_rows(load: LoadResult) -> list[tuple[str, ...]]:
    """The figures of each phase, and of the baseline, as people read them."""
    rows = [_list_cells(phase, figures) for phase, figures in load.phases]
    if load.present is not None:
        phase, figures = load.present
        rows.append(_list_cells(f"{phase}, so far", figures))
    return [*rows, _list_cells("baseline", load.baseline)] if load.baseline else rows


def _list_cells(name: str, figures: Mapping[str, Any]) -> tuple[str, ...]:
    share = _describe(figures["error_rate"], Unit.SHARE)
    latencies = (_describe(figures[name], Unit.SECONDS) for name in ("p50", "p95", "p99", "max"))
    rate = _describe(figures["rate"], Unit.NUMBER)
    return name, str(figures["requests"]), f"{figures['errors']} ({share})", rate, *latencies


def _describe(value: float | None, unit: Unit) -> str:
    return "-" if value is None else quantity(value, unit)


def _draw_charts(load: LoadResult, scene: Scene) -> Iterator[tuple[str, SafeString]]:
    if load.began_at is None or len(load.curve) < MIN_POINTS:
        return
    begun = load.began_at.timestamp()
    points = _reduce(load.curve)
    moments = [begun + middle for middle in find_middles([second for second, *_ in points])]
    shares = [errors / requests if requests else None for _, requests, errors, _ in points]
    for title, unit, values in (
        ("p95", Unit.SECONDS, [None if p95 is None else float(p95) for *_, p95 in points]),
        ("error rate", Unit.SHARE, shares),
    ):
        series = [Series(values=values)]
        chart = Chart(title=title, about=load.name, query="", unit=unit, moments=moments, series=series)
        if chart.has_samples:
            highest = max(value for value in values if value is not None)
            words = f"{title} of load {load.name}, each second: at most {quantity(highest, unit)}."
            yield title, draw_chart(chart, scene, words)


def _reduce(curve: Sequence[Sequence[Any]]) -> list[tuple[int, int, int, float | None]]:
    """Groups of neighbours as one point, with the longest latency."""
    size = -(-len(curve) // MAX_POINTS)
    groups = [curve[begin : begin + size] for begin in range(0, len(curve), size)]
    return [
        (
            group[0][0],
            sum(point[1] for point in group),
            sum(point[2] for point in group),
            max((point[3] for point in group if point[3] is not None), default=None),
        )
        for group in groups
    ]
