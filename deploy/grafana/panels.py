"""What the dashboards are made of, in the words of grafana-foundation-sdk."""

import itertools
from collections.abc import Mapping, Sequence
from string import ascii_uppercase
from typing import TypeAlias

from grafana_foundation_sdk.builders import stat as stats
from grafana_foundation_sdk.builders import timeseries
from grafana_foundation_sdk.builders.common import ReduceDataOptions, StackingConfig, VizTooltipOptions
from grafana_foundation_sdk.builders.dashboard import (
    Dashboard,
    DashboardLink,
    DatasourceVariable,
    QueryVariable,
    Row,
    ThresholdsConfig,
)
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    GraphDrawStyle,
    SortOrder,
    StackingMode,
    TooltipDisplayMode,
)
from grafana_foundation_sdk.models.dashboard import (
    AnnotationQuery,
    DashboardCursorSync,
    DashboardLinkType,
    DataSourceRef,
    Threshold,
    ThresholdsMode,
    VariableRefresh,
    VariableSort,
)

Number: TypeAlias = stats.Panel
Chart: TypeAlias = timeseries.Panel
DATASOURCE = DataSourceRef("prometheus", "${datasource}")
TAG = "test-coordinator"
STAT_WIDTH, STAT_HEIGHT = 4, 4
CHART_WIDTH, CHART_HEIGHT = 12, 8

# A fault shorter than a scrape is never seen open, so an injection since the last point counts as well.
FAULT_WINDOWS = """\
scenario:faults_open:sum > 0
or
scenario:faults_injected:sum
- (scenario:faults_injected:sum offset $__interval or 0 * scenario:faults_injected:sum) > 0"""


class FaultWindows(AnnotationQuery):
    """Shades the time in which faults were injected: Grafana joins neighbouring points to one region."""

    def __init__(self) -> None:
        super().__init__(name="Faults", datasource=DATASOURCE, icon_color="red", expr=FAULT_WINDOWS)

    def to_json(self) -> dict[str, object]:
        # Fields of Prometheus annotations that the SDK has no names for.
        return super().to_json() | {
            "titleFormat": "{{scenario}}",
            "textFormat": "fault injected",
            "tagKeys": "scenario",
            "step": "5s",
        }


class Windows(Builder[AnnotationQuery]):
    def build(self) -> AnnotationQuery:
        return FaultWindows()


def dashboard(
    title: str,
    description: str,
    *,
    counted_by: str,
    numbers: Sequence[Number],
    rows: Mapping[str, Sequence[Chart]],
) -> Dashboard:
    """One of the coordinator's: with the windows of faults, and a way to the others."""
    uid = f"{TAG}-{title.partition(' ')[0].lower()}"
    made = any_dashboard(
        title,
        description,
        uid=uid,
        tag=TAG,
        label="service",
        counted_by=counted_by,
        numbers=numbers,
        rows=rows,
    )
    return made.link(to_the_others()).annotation(Windows())


def any_dashboard(
    title: str,
    description: str,
    *,
    uid: str,
    tag: str,
    label: str,
    counted_by: str,
    numbers: Sequence[Number],
    rows: Mapping[str, Sequence[Chart]],
) -> Dashboard:
    """Its variables list the values of `label`, and the instances, that have the metric `counted_by`."""
    of_chosen = f'{counted_by}{{{label}=~"${label}"}}'
    made = (
        Dashboard(title)
        .uid(uid)
        .description(description)
        .tags([tag])
        .time("now-1h", "now")
        .refresh("30s")
        .timezone("browser")
        .readonly()
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .with_variable(DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
        .with_variable(variable(label, f"label_values({counted_by}, {label})"))
        .with_variable(variable("instance", f"label_values({of_chosen}, instance)"))
    )
    ids = itertools.count(1)
    for number in numbers:
        made.with_panel(number.id(next(ids)))
    for name, charts in rows.items():
        made.with_row(Row(name).id(next(ids)))
        for one in charts:
            made.with_panel(one.id(next(ids)))
    return made


def to_the_others() -> DashboardLink:
    every = DashboardLink("Test Coordinator").type(DashboardLinkType.DASHBOARDS).tags([TAG])
    return every.as_dropdown(True).keep_time(True).include_vars(True)


def variable(name: str, query: str) -> QueryVariable:
    return (
        QueryVariable(name)
        .label(name.capitalize())
        .datasource(DATASOURCE)
        .query({"query": query, "refId": name})
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".*")
    )


def query(expression: str, legend: str = "", *, instant: bool = False) -> Dataquery:
    asked = Dataquery().expr(expression).legend_format(legend)
    return asked.instant() if instant else asked.range()


def stat(
    title: str, expression: str, unit: str = "short", *, red_from: float | None = None, about: str = ""
) -> Number:
    """One number as it is now; red from `red_from` on."""
    steps = [Threshold(None, "text" if red_from is None else "green")]
    if red_from is not None:
        steps.append(Threshold(red_from, "red"))
    return (
        Number()
        .title(title)
        .description(about)
        .datasource(DATASOURCE)
        .with_target(query(expression, instant=True).ref_id("A"))
        .unit(unit)
        .span(STAT_WIDTH)
        .height(STAT_HEIGHT)
        .graph_mode(BigValueGraphMode.NONE)
        .color_mode(BigValueColorMode.VALUE)
        .reduce_options(ReduceDataOptions().calcs(["lastNotNull"]))
        .thresholds(ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps))
    )


def chart(
    title: str, *queries: Dataquery, unit: str = "short", counted: bool = False, about: str = ""
) -> Chart:
    """Lines over time; `counted`: bars that add up."""
    panel = (
        Chart()
        .title(title)
        .description(about)
        .datasource(DATASOURCE)
        .unit(unit)
        .span(CHART_WIDTH)
        .height(CHART_HEIGHT)
        .min(0)
        .tooltip(VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING))
    )
    if counted:
        panel.draw_style(GraphDrawStyle.BARS).fill_opacity(60)
        panel.stacking(StackingConfig().mode(StackingMode.NORMAL))
    for letter, asked in zip(ascii_uppercase, queries, strict=False):
        panel.with_target(asked.ref_id(letter))
    return panel
