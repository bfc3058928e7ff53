"""Sends a query that somebody writes to Prometheus, over the last half hour; nothing is stored."""

import asyncio
import math
import time

from scenarios.charts.kept import Chart
from scenarios.charts.questions import Question
from scenarios.charts.reading import read_charts
from scenarios.charts.window import Window
from scenarios.domain.promql import check_placeholders
from scenarios.domain.units import Unit

SECONDS, STEP = 1800, 15.0


def try_query(service: str, title: str, query: str, unit: Unit) -> Chart:
    """The chart; with a `problem` if the query is not valid or Prometheus refuses it."""
    try:
        check_placeholders(query)
    except ValueError as error:
        return Chart(title=title, about=service, query=query, unit=unit, problem=str(error))
    end = math.floor(time.time() / STEP) * STEP
    window = Window(end - SECONDS, end, STEP)
    question = Question(title, service, query, unit, service=service)
    return asyncio.run(read_charts([question], [window])).charts[0]
