"""Due times: cron expressions in time zones, across clock changes, and within windows."""

from datetime import datetime, time, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest

from scenarios.domain.errors import InvalidSchedule
from scenarios.domain.timetable import Timetable, Window, build_timetable

BERLIN = "Europe/Berlin"
ANY = Window()
NIGHT = Window(frozenset({1, 5}), time(22), time(2))


def at(text: str, zone: str = "UTC") -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))


def due(found: Timetable, after: datetime, count: int) -> list[str]:
    """As the clock on the wall there shows them, with its distance from UTC."""
    local = (moment.astimezone(found.zone) for moment in islice(found.after(after), count))
    return [f"{moment:%a %d %H:%M %z}" for moment in local]


def test_due_times_use_the_clock_of_the_time_zone() -> None:
    found = build_timetable("30 2 * * MON-FRI", "America/New_York", ANY)
    assert due(found, at("2026-07-03T12:00"), 2) == ["Mon 06 02:30 -0400", "Tue 07 02:30 -0400"]


def test_skipped_time_is_due_once_when_the_gap_ends() -> None:
    found = build_timetable("30 2 * * *", BERLIN, ANY)
    expected = ["Sat 28 02:30 +0100", "Sun 29 03:00 +0200", "Mon 30 02:30 +0200"]
    assert due(found, at("2026-03-27T12:00"), 3) == expected


def test_repeated_time_is_due_only_the_first_time() -> None:
    found = build_timetable("30 2 * * *", BERLIN, ANY)
    assert due(found, at("2026-10-24T12:00"), 2) == ["Sun 25 02:30 +0200", "Mon 26 02:30 +0100"]


@pytest.mark.parametrize("fold", [0, 1])
def test_repeated_time_is_not_due_again_after_the_first(fold: int) -> None:
    found = build_timetable("30 2 * * *", BERLIN, ANY)
    asked = at("2026-10-25T02:30", BERLIN).replace(fold=fold)
    assert due(found, asked, 1) == ["Mon 26 02:30 +0100"]


def test_hourly_line_follows_real_time_across_clock_changes() -> None:
    found = build_timetable("0 * * * *", BERLIN, ANY)
    for midnight in ("2026-03-28T23:00", "2026-10-24T22:00"):
        times = list(islice(found.after(at(midnight)), 6))
        assert {later - earlier for earlier, later in pairwise(times)} == {timedelta(hours=1)}


def test_due_times_are_strictly_after_the_given_moment() -> None:
    found = build_timetable("0 3 * * *", "UTC", ANY)
    first = found.next_after(at("2026-01-01T00:00"))
    assert first == at("2026-01-01T03:00")
    assert found.next_after(first) == at("2026-01-02T03:00")
    assert found.next_after(first - timedelta(microseconds=1)) == first


def test_times_outside_the_window_are_not_due() -> None:
    found = build_timetable("0 * * * *", "UTC", Window(frozenset({6}), time(3), time(5)))
    assert due(found, at("2026-11-23T00:00"), 3) == [
        "Sat 28 03:00 +0000",
        "Sat 28 04:00 +0000",
        "Sat 05 03:00 +0000",
    ]


def test_window_over_midnight_belongs_to_the_day_it_begins() -> None:
    assert NIGHT.holds(at("2026-11-23T23:00"))  # a Monday
    assert NIGHT.holds(at("2026-11-24T01:59"))
    assert not NIGHT.holds(at("2026-11-24T02:00"))
    assert not NIGHT.holds(at("2026-11-24T23:00"))
    assert not NIGHT.holds(at("2026-11-23T01:00"))
    assert NIGHT.closes(at("2026-11-23T23:00")) == at("2026-11-24T02:00")
    assert NIGHT.closes(at("2026-11-24T01:00")) == at("2026-11-24T02:00")


def test_window_of_whole_days_closes_after_the_last_day() -> None:
    weekend = Window(frozenset({6, 7}))
    assert weekend.closes(at("2026-11-28T10:00")) == at("2026-11-30T00:00")
    assert ANY.closes(at("2026-11-28T10:00")) is None


def test_window_closes_by_the_clock_of_its_time_zone() -> None:
    found = build_timetable("0 3 * * *", BERLIN, Window(begins=time(2), ends=time(4)))
    assert found.closes(at("2026-07-01T01:00")) == at("2026-07-01T02:00")
    assert not found.may_start(at("2026-07-01T02:00"))


def test_due_times_are_counted_up_to_the_limit() -> None:
    found = build_timetable("* * * * *", "UTC", ANY)
    begun = at("2026-01-01T00:00")
    assert len(found.between(begun, begun + timedelta(minutes=5), 100)) == 5
    assert len(found.between(begun, begun + timedelta(days=30), 100)) == 100


@pytest.mark.parametrize("moment", ["2026-11-28T04:59", "2026-11-28T05:00"])
def test_line_for_every_minute_finds_the_next_window_quickly(moment: str) -> None:
    found = build_timetable("* * * * *", "UTC", Window(frozenset({6}), time(3), time(5)))
    assert found.next_after(at(moment)) == at("2026-12-05T03:00")


def test_timetable_is_described_in_words() -> None:
    window = Window(frozenset({1, 3}), time(2), time(4))
    words = build_timetable("30 2 * * MON-FRI", BERLIN, window).in_words()
    assert (
        words == "At 02:30 on Monday through Friday, Europe/Berlin; window: Monday, Wednesday, 02:00 to 04:00"
    )
    assert str(Window(frozenset({1, 2, 3}))) == "Monday to Wednesday"


@pytest.mark.parametrize(
    ("cron", "zone", "window", "field", "words"),
    [
        ("", BERLIN, ANY, "cron", "has 0 fields"),
        ("* * * * * *", BERLIN, ANY, "cron", "has 6 fields"),
        ("61 * * * *", BERLIN, ANY, "cron", "its minute is not valid"),
        ("@daily", BERLIN, ANY, "cron", "for example '30 2 * * MON-FRI'"),
        ("0 0 30 2 *", BERLIN, ANY, "cron", "its day-of-month is not valid"),
        ("0 12 * * *", BERLIN, Window(begins=time(2), ends=time(4)), "cron", "is never due within"),
        ("0 2 * * *", "Mars/Olympus", ANY, "time_zone", "unknown time zone 'Mars/Olympus'"),
        ("0 2 * * *", "../../etc/passwd", ANY, "time_zone", "unknown time zone"),
        ("0 2 * * *", BERLIN, Window(begins=time(2)), "window", "only one of its two times"),
    ],
)
def test_invalid_timetable_error_names_the_value_and_the_rule(
    cron: str, zone: str, window: Window, field: str, words: str
) -> None:
    with pytest.raises(InvalidSchedule) as refused:
        build_timetable(cron, zone, window)
    assert words in refused.value.errors[field]


@pytest.mark.parametrize(
    ("cron", "in_spring", "in_autumn"),
    [
        ("0 */2 * * *", ["00:00", "04:00"], ["00:00", "02:00", "02:00", "04:00"]),
        ("30 */2 * * *", ["00:30", "04:30"], ["00:30", "02:30", "02:30", "04:30"]),
        ("30 * * * *", ["01:30", "03:30"], ["01:30", "02:30", "02:30", "03:30"]),
        ("*/30 2 * * *", [], ["02:00", "02:30", "02:00", "02:30"]),
        ("30 2 * * *", ["03:00"], ["02:30"]),
        ("0 2,3 * * *", ["03:00"], ["02:00", "03:00"]),
    ],
)
def test_lines_with_a_star_follow_the_clock_and_others_are_due_once_when_clocks_change(
    cron: str, in_spring: list[str], in_autumn: list[str]
) -> None:
    """02:00 to 03:00 is skipped on one day and repeated on the other, as docs/operating.md says."""
    for day, expected in (("2026-03-29", in_spring), ("2026-10-25", in_autumn)):
        moments = build_timetable(cron, BERLIN, ANY).after(at(f"{day}T00:00", BERLIN) - timedelta(seconds=1))
        local = [moment.astimezone(ZoneInfo(BERLIN)) for moment in islice(moments, 8)]
        found = [f"{moment:%H:%M}" for moment in local if f"{moment:%Y-%m-%d}" == day]
        first, last = (expected[0], expected[-1]) if expected else ("00:00", "00:00")
        assert [clock_time for clock_time in found if first <= clock_time <= last] == expected
