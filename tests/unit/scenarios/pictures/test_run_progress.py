"""A run that goes on shows how far it is, and what is still to come."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from scenarios.domain.looks import Look
from scenarios.domain.outcomes import RunState
from scenarios.models import Run
from scenarios.pictures.run_progress import Outline, PlannedPhase, find_progress
from scenarios.pictures.run_timeline import Span, run_timeline
from scenarios.pictures.run_tracks import draw_tracks
from scenarios.pictures.timeline import LEFT, RIGHT
from scenarios.published.looks import ValidationLooks, Watched
from scenarios.runs.history import PhaseHistory, RunHistory

BEGAN = datetime(2026, 11, 27, 3, tzinfo=UTC)
OUTLINE = Outline(
    [PlannedPhase("baseline", 0, 60), PlannedPhase("fault", 30, 30), PlannedPhase("recovery", 0, 60)],
    ["a validation"],
)


def after(seconds: float) -> datetime:
    return BEGAN + timedelta(seconds=seconds)


def tell(*begun: tuple[str, float, float | None], now: float, state: str = RunState.RUNNING) -> RunHistory:
    """Phases by name, with the seconds when they began and ended."""
    phases = [
        PhaseHistory(name, after(begin), None if end is None else after(end)) for name, begin, end in begun
    ]
    return RunHistory(Run(state=state, scenario_name="shop"), BEGAN, after(now), phases, [], [])


def test_the_present_phase_and_those_to_come_have_their_times() -> None:
    history = tell(("baseline", 0, 1), ("fault", 1, None), now=10)
    progress = find_progress(history, OUTLINE)
    assert [(phase.name, phase.state, phase.length) for phase in progress.phases] == [
        ("baseline", "done", "1s"),
        ("fault", "present", "9s"),
        ("recovery", "upcoming", "up to 1m"),
    ]
    assert progress.present is not None
    assert progress.present.planned is not None
    assert progress.present.planned.length_in_words == "30s"
    assert progress.next_names == ["recovery"]
    assert progress.seconds == 1 + 30 + 5


def test_a_phase_that_takes_longer_than_expected_moves_the_expected_end() -> None:
    assert find_progress(tell(("baseline", 0, 1), ("fault", 1, None), now=51), OUTLINE).seconds == 51 + 5
    assert find_progress(tell(("recovery", 0, None), now=20), OUTLINE).seconds == 20


def test_phases_of_an_ended_run_that_never_began_are_left_out() -> None:
    progress = find_progress(tell(("baseline", 0, 1), now=1, state=RunState.FINISHED), OUTLINE)
    assert [phase.state for phase in progress.phases] == ["done", "left out", "left out"]
    assert progress.seconds == 1
    assert progress.present is None


def test_an_attempt_that_begins_again_has_all_later_phases_to_come() -> None:
    history = tell(("baseline", 0, 1), ("fault", 1, None), ("baseline", 5, None), now=6)
    progress = find_progress(history, OUTLINE)
    assert [phase.state for phase in progress.phases] == ["done", "done", "present", "upcoming", "upcoming"]


def test_the_timeline_has_room_for_what_is_to_come_and_now_is_where_it_is() -> None:
    picture = run_timeline(tell(("baseline", 0, 1), ("fault", 1, None), now=10), outline=OUTLINE)
    assert 'class="phase-even to-come"' in picture
    assert 'data-seconds="36.000"' in picture
    found = re.search(r'class="moves" data-x="([\d.]+)"', picture)
    assert found is not None
    assert float(found[1]) == pytest.approx(LEFT + (RIGHT - LEFT) * 10 / 36, abs=0.1)


def test_a_part_of_a_run_shows_only_what_lies_in_it() -> None:
    history = tell(
        ("baseline", 0, 1), ("fault", 1, 31), ("recovery", 31, 40), now=40, state=RunState.FINISHED
    )
    picture = run_timeline(history, Span(BEGAN, -2, 12), outline=OUTLINE)
    assert 'data-from="2.000"' in picture
    assert 'data-seconds="10.000"' in picture
    assert "<title>fault: 30s</title>" in picture
    assert "baseline" not in picture
    assert "recovery" not in picture


def test_curves_share_the_axis_of_the_timeline() -> None:
    history = tell(("baseline", 0, 1), ("fault", 1, None), now=10)
    looks = [Look(BEGAN.timestamp() + second, second != 5, 0.2) for second in range(10)]
    curves = draw_tracks(history, [ValidationLooks(Watched("fault", "a validation"), looks)], [], OUTLINE)
    timeline = run_timeline(history, outline=OUTLINE)
    assert curves is not None
    edges = [re.search(r'viewBox="([\d.]+) 0 ([\d.]+)', picture) for picture in (curves, timeline)]
    assert edges[0] is not None
    assert edges[1] is not None
    assert edges[0].groups() == edges[1].groups()
    path = re.search(r'class="series series-1" d="M([^"]+)"', curves)
    assert path is not None
    points = [float(point.split(" ")[0]) for point in path[1].split("L")]
    assert points[0] == pytest.approx(LEFT, abs=0.1)
    assert points[-1] == pytest.approx(LEFT + (RIGHT - LEFT) * 9 / 36, abs=0.1)
    assert curves.count('class="misses"') == 1
    # In two lines, because the names need less room.
    assert re.findall(r'class="small"[^>]*>([^<]+)', curves) == ["response time,", "up to 200 ms"]


def test_a_part_without_looks_has_no_curve() -> None:
    history = tell(("fault", 0, None), now=100)
    looks = [Look(BEGAN.timestamp() + second, True, 0.2) for second in range(10)]
    kept = [ValidationLooks(Watched("fault", "a validation"), looks)]
    assert draw_tracks(history, kept, [], OUTLINE, Span(BEGAN, -50, 60)) is None
