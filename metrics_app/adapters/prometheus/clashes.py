"""Names that independent processes have given to different metrics.

A process refuses a name that another of its metrics has. Two processes can still disagree, and so can
recordings of one and gauges that another reads at the scrape. The text must then still be parseable.
"""

import logging
from collections.abc import Iterable

from metrics_app.adapters.prometheus.snapshot import Family, Snapshot
from metrics_app.catalogue import CATALOGUE, CLASHING_METRICS

logger = logging.getLogger(__name__)

SAMPLES = {
    "counter": ("_total", "_created"),
    "histogram": ("_bucket", "_sum", "_count", "_created"),
    "summary": ("", "_sum", "_count", "_created"),
    "gauge": ("",),
}
COUNT = Family(CLASHING_METRICS, CATALOGUE[CLASHING_METRICS].help, "gauge", [(CLASHING_METRICS, ())])


class Clashes:
    """Leaves out metrics whose name another metric has; reports each once."""

    def __init__(self) -> None:
        self._reported: set[str] = set()

    def resolve(self, snapshots: Iterable[Snapshot]) -> list[Snapshot]:
        """The snapshots that one text can contain, the first of each name, and how many were left out."""
        taken: set[str] = set()
        kept: list[Snapshot] = []
        left_out = 0
        for snapshot in snapshots:
            fitting = _without_other_types(snapshot)
            clashes = not taken.isdisjoint(fitting.family.names)
            if clashes or fitting is not snapshot or fitting.family.is_mixed:
                left_out += 1
                self._report(snapshot.family)
            if not clashes:
                taken |= fitting.family.names
                kept.append(fitting)
        return [*kept, Snapshot(COUNT, [float(left_out)])]

    def _report(self, family: Family) -> None:
        name = f"{family.name!r}, which a library made with prometheus_client," * family.is_library
        name = name or repr(family.name)
        if name not in self._reported:
            self._reported.add(name)
            logger.warning(
                "%s is left out of scrapes, in part or whole: its names are another metric's", name
            )


def _without_other_types(snapshot: Snapshot) -> Snapshot:
    """The samples that a family of this type may have: one process may have a gauge of a counter's name."""
    family, values = snapshot
    if family.collected is not None:
        return snapshot
    suffixes = SAMPLES.get(family.type)
    if suffixes is None:
        return snapshot
    allowed = {family.name + suffix for suffix in suffixes}
    if family.type == "counter" and family.name.endswith("_total"):
        allowed.add(family.name)
    if family.sample_names <= allowed:
        return snapshot
    places = [place for place, (name, _) in enumerate(family.series) if name in allowed]
    series = [family.series[place] for place in places]
    fitting = Family(family.name, family.help, family.type, series, is_library=family.is_library)
    return Snapshot(fitting, [values[place] for place in places])
