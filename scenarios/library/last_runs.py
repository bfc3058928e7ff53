"""The newest run of each of many scenarios, in two queries."""

from collections.abc import Iterable

from django.db.models import OuterRef, Subquery

from scenarios.models import NEWEST_FIRST, Run, Scenario


def find_last_runs(scenarios: Iterable[Scenario]) -> dict[int, Run]:
    """By the key of the scenario; those that have never run are missing.

    By key, not by name: the runs of a deleted scenario that has not come back are not those of its successor.
    """
    newest = Run.objects.filter(scenario=OuterRef("pk")).order_by(*NEWEST_FIRST).values("pk")[:1]
    rows = Scenario.objects.filter(pk__in=[row.pk for row in scenarios]).annotate(newest=Subquery(newest))
    keys = dict(rows.values_list("pk", "newest"))
    runs = Run.objects.for_a_list().in_bulk([key for key in keys.values() if key])
    return {scenario: runs[run] for scenario, run in keys.items() if run in runs}
