"""The curve of a query that is tried, without a run."""

from django.utils.safestring import SafeString

from scenarios.charts.kept import Chart
from scenarios.pictures.chart import Scene, draw_chart
from scenarios.pictures.quantities import quantity


def draw_trial_chart(chart: Chart) -> SafeString:
    """Up to now; the chart must have samples."""
    begin, end = chart.moments[0], chart.moments[-1]
    scene = Scene(end, end, False, begin, end, (begin, end), (), (), origin="now")
    return draw_chart(chart, scene, f"{chart.title}. {describe_range(chart)}")


def describe_range(chart: Chart) -> str:
    """For example '0.2/s to 1.5/s'; "" without numbers."""
    begin, end = chart.moments[0], chart.moments[-1] + 1
    values = [value for series in chart.series for value in chart.numbers(series, begin, end)]
    if not values:
        return ""
    lowest, highest = quantity(min(values), chart.unit), quantity(max(values), chart.unit)
    return lowest if lowest == highest else f"{lowest} to {highest}"
