"""Charts as they are kept with a run. Times are Unix seconds.

A value is a number, None where there was no sample, or one of the texts `NaN`, `+Inf` and `-Inf`, which
JSON has no numbers for.
"""

from bisect import bisect_left
from collections.abc import Iterator

from pydantic import BaseModel, Field

from scenarios.domain.units import Unit

Value = float | str | None


class Series(BaseModel):
    """`name` tells it from the others of its chart; "" where it is the only one. A value for each moment."""

    name: str = ""
    values: list[Value]


class Chart(BaseModel):
    """One query's answer. `problem` says why there is none, or none newer than what is here."""

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
        """The finite values from one moment up to another, the latter left out."""
        for value in series.values[bisect_left(self.moments, begin) : bisect_left(self.moments, end)]:
            if isinstance(value, float):
                yield value

    @property
    def has_samples(self) -> bool:
        return any(value is not None for one in self.series for value in one.values)


class Charts(BaseModel):
    """All of a run; `left_out` names queries that were too many to be asked."""

    charts: list[Chart] = []
    left_out: list[str] = []


def with_earlier(new: Charts, earlier: Charts) -> Charts:
    """The new ones; where nothing could be read, what was read before, with the reason."""
    known = {(chart.about, chart.title, chart.query): chart for chart in earlier.charts if chart.series}
    charts = []
    for chart in new.charts:
        before = known.get((chart.about, chart.title, chart.query))
        lost = chart.problem and not chart.series and before is not None
        charts.append(before.model_copy(update={"problem": chart.problem}) if lost and before else chart)
    return Charts(charts=charts, left_out=new.left_out)
