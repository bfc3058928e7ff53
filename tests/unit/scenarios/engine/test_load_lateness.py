"""By which lateness a machine is said to be too slow for its load."""

import pytest

from scenarios.domain.load_tally import Tally
from scenarios.engine.load_measurements import find_lateness


def build_tally(*lateness: float) -> Tally:
    tally = Tally(sent=len(lateness))
    for seconds in lateness:
        tally.lateness.add(seconds)
    return tally


@pytest.mark.parametrize(
    ("lateness", "figure", "seconds"),
    [
        ([0.001] * 49 + [0.3], "the second highest lateness", 0.001),
        ([0.001] * 48 + [0.2, 0.3], "the second highest lateness", 0.2),
        ([0.001] * 99 + [0.3], "p99 of the lateness", 0.001),
        ([0.001] * 98 + [0.2, 0.3], "p99 of the lateness", 0.2),
        ([0.3], "the second highest lateness", 0.0),
        ([], "the second highest lateness", 0.0),
    ],
)
def test_one_late_request_says_nothing_about_a_machine(
    lateness: list[float], figure: str, seconds: float
) -> None:
    found, late = find_lateness(build_tally(*lateness))
    assert found == figure
    assert late == pytest.approx(seconds, rel=0.02)
