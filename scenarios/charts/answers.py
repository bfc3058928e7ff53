"""Sends a query to Prometheus over a window of time and builds a chart of bounded size."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.conf import settings

from scenarios.charts.kept import Chart, Series, Value
from scenarios.charts.questions import Question
from scenarios.charts.window import Window
from scenarios.domain.errors import StepFailed
from scenarios.domain.expectations import format_value
from scenarios.domain.outputs import truncate
from scenarios.domain.plan import origin
from scenarios.domain.templates import insert_secrets
from scenarios.drivers.prometheus import build_access, choose_server, find_configured, query_api

# For the labels of each series, its value at each moment.
Samples = dict[tuple[tuple[str, str], ...], dict[float, Value]]

SECONDS = 4.0
MAX_SERIES = 6
MAX_NAMES_LEFT_OUT = 10
MAX_NAME_LENGTH = 120
MAX_QUERY_LENGTH = 2000
MAX_PROBLEM_LENGTH = 500
NO_PROMETHEUS = "no Prometheus is configured: set PROMETHEUS_URL"
# More digits than a picture of a few hundred pixels can show.
DIGITS = 6


async def build_chart(question: Question, windows: Sequence[Window], secret: Callable[[str], str]) -> Chart:
    """The chart; with a `problem` if Prometheus does not answer or refuses the query.

    Later windows are finer and replace the samples of earlier ones.
    """
    blank = Chart(
        title=question.title,
        about=question.about,
        query=truncate(question.shown_query, MAX_QUERY_LENGTH),
        unit=question.unit,
    )
    try:
        server = choose_server(str(insert_secrets(question.server, secret)))
        blank = blank.model_copy(update={"server": origin(server)})
        query = str(insert_secrets(question.query, secret))
        access = build_access(insert_secrets({**find_configured(question.server), **question.web}, secret))
        samples: Samples = {}
        moments: list[float] = []
        for window in windows:
            outside = [moment for moment in moments if not window.start <= moment <= window.end]
            moments = outside + window.moments()
            _add(
                samples,
                await query_api(server, "query_range", _words(query, window), seconds=SECONDS, **access),
                window,
            )
        return _with_series(blank, sorted(moments), samples)
    except StepFailed as error:
        # Its readers have no step that could name a server.
        problem = str(error) if question.server or settings.PROMETHEUS_URL else NO_PROMETHEUS
        return blank.model_copy(update={"problem": truncate(problem, MAX_PROBLEM_LENGTH)})


def _words(query: str, window: Window) -> dict[str, str]:
    return {
        "query": query,
        "start": f"{window.start:.3f}",
        "end": f"{window.end:.3f}",
        "step": f"{window.step:g}",
        "timeout": f"{SECONDS:g}s",
    }


def _add(samples: Samples, data: Mapping[str, Any], window: Window) -> None:
    """Add the samples of the response to the known ones."""
    moments = window.moments()
    try:
        for result in data["result"]:
            labels = tuple(sorted((str(name), str(value)) for name, value in result["metric"].items()))
            known = samples.setdefault(labels, {})
            # A series of native histograms has no `values`; it counts as one without samples.
            for at, text in result.get("values", ()):
                place = window.find_place(float(at))
                if place is not None:
                    known[moments[place]] = _kept(float(text))
    except (KeyError, TypeError, ValueError, IndexError, OverflowError, AttributeError) as error:
        raise StepFailed(f"Prometheus did not answer with series of samples: {format_value(data)}") from error


def _kept(value: float) -> Value:
    if math.isfinite(value):
        return float(f"{value:.{DIGITS}g}")
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"


def _with_series(blank: Chart, moments: list[float], samples: Samples) -> Chart:
    """The highest series, sorted by name, because a chart with more lines is unreadable."""
    names = _names([dict(labels) for labels in samples])
    named = [
        Series(name=name, values=[known.get(moment) for moment in moments])
        for name, known in zip(names, samples.values(), strict=True)
    ]
    ranked = sorted(named, key=lambda series: (-_peak(series.values), series.name))
    return blank.model_copy(
        update={
            "moments": moments,
            "series": sorted(ranked[:MAX_SERIES], key=lambda series: series.name),
            "left_out": [series.name for series in ranked[MAX_SERIES : MAX_SERIES + MAX_NAMES_LEFT_OUT]],
            "left_out_count": max(0, len(ranked) - MAX_SERIES),
        }
    )


def _names(labels: Sequence[Mapping[str, str]]) -> list[str]:
    """Name each series by the labels in which they differ."""
    keys = sorted({key for label_set in labels for key in label_set})
    distinct = [key for key in keys if len({label_set.get(key) for label_set in labels}) > 1]
    return [
        truncate(
            ", ".join(f"{key}={label_set[key]}" for key in distinct if key in label_set), MAX_NAME_LENGTH
        )
        or "(no labels)"
        if len(labels) > 1
        else ""
        for label_set in labels
    ]


def _peak(values: Sequence[Value]) -> float:
    return max((abs(value) for value in values if isinstance(value, float)), default=-math.inf)
