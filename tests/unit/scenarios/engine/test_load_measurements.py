"""What is known of a load while it is sent."""

from typing import Any

from scenarios.domain.load_tally import Tally
from scenarios.domain.plan import Load
from scenarios.engine.load_measurements import MAX_POINTS_SO_FAR, Measurements
from tests.unit.scenarios.engine.engine_runs import say

QUICK = 0.05


def answer(answered: int, *, sent: int = 10) -> dict[str, Any]:
    tally = Tally(sent=sent, answered=answered)
    tally.latency.add(QUICK, answered)
    return tally.to_json()


def measure(*reports: tuple[float, list[list[Any]]]) -> Measurements:
    measured = Measurements(Load("shoppers", 10.0, say("buy"), timeout=2.0))
    for now, tallies in reports:
        measured.apply({"now": now, "phase": 0, "tallies": tallies})
    return measured


def test_a_request_without_an_answer_has_taken_the_time_that_it_has_waited() -> None:
    measured = measure(
        (3.5, [[0, 0, answer(10)], [1, 0, answer(4)], [2, 0, answer(1)], [3, 0, answer(5, sent=5)]])
    )
    whole, half, last = measured.list_points_so_far()  # the second that goes on is left out
    assert (whole[:3], half[:3], last[:3]) == ([0, 10, 0], [1, 4, 0], [2, 1, 0])
    assert abs(whole[3] - QUICK) < 0.001
    assert abs(half[3] - 1.5) < 0.01
    assert abs(last[3] - 0.5) < 0.01


def test_the_curve_of_an_hour_stays_short_and_reaches_the_present() -> None:
    measured = measure(*((second + 1.0, [[second, 0, answer(10)]]) for second in range(3600)))
    points = measured.list_points_so_far()
    assert len(points) <= MAX_POINTS_SO_FAR + 10
    assert sum(requests for _second, requests, _errors, _p95 in points) == 36_000
    assert points[-1][0] >= 3_600 - 32
    assert len(measured.curve.points) > len(points)
