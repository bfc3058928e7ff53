"""Charts as they are stored with a run. Times are Unix seconds.

A value is a number, None if there was no sample, or one of the texts `NaN`, `+Inf` and `-Inf`, because JSON
has no such numbers.
"""

from bisect import bisect_left
from collections.abc import Iterator

from pydantic import BaseModel, Field

from scenarios.domain.units import Unit

Value = float | str | None


class Series(BaseModel):
    """One line of a chart, with a value for each moment; `name` is "" if it is the only one."""

    name: str = ""
    values: list[Value]


class Chart(BaseModel):
    """The result of one query. `problem` says why there is none, or no newer one."""

    title: str
    about: str = Field(description="The service, or which steps of the run ask the query.")
    query: str
    unit: Unit = Unit.NUMBER
    server: str = ""
    problem: str = ""
    moments: list[float] = Field([], description="Of every series: close together around the run.")
    series: list[Series] = []
    left_out: list[str] = Field([], description="Names of series that are not kept; the first few.")
    left_out_count: int = 0

    def numbers(self, series: Series, begin: float, end: float) -> Iterator[float]:
        """The finite values from `begin` up to, but not including, `end`."""
        for value in series.values[bisect_left(self.moments, begin) : bisect_left(self.moments, end)]:
            if isinstance(value, float):
                yield value

    @property
    def has_samples(self) -> bool:
        return any(value is not None for series in self.series for value in series.values)


class Charts(BaseModel):
    """All charts of a run; `left_out` names queries beyond the limit."""

    charts: list[Chart] = []
    left_out: list[str] = []


def with_earlier(new: Charts, earlier: Charts) -> Charts:
    """The new charts; for those that could not be read, the earlier ones with the problem."""
    known = {(chart.about, chart.title, chart.query): chart for chart in earlier.charts if chart.series}
    charts = []
    for chart in new.charts:
        before = known.get((chart.about, chart.title, chart.query))
        lost = chart.problem and not chart.series and before is not None
        charts.append(before.model_copy(update={"problem": chart.problem}) if lost and before else chart)
    return Charts(charts=charts, left_out=new.left_out)
