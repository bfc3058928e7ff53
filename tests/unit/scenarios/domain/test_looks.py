"""Looks are kept within bounds: evenly thinned, and exact where the answer changes."""

from itertools import pairwise

import pytest

from scenarios.domain.expectations import Expectations
from scenarios.domain.looks import MAX_LOOKS, MAX_LOOKS_OF_RUN, Look, LookSeries, choose_limit


def look(at: int, *, holds: bool = True) -> Look:
    return Look(float(at), holds, 0.01)


def keep(*looks: Look, limit: int = 100) -> list[Look]:
    series = LookSeries(limit)
    for added in looks:
        series.add(added)
        assert len(series.looks) <= limit
    return series.looks


def test_few_looks_are_all_kept() -> None:
    looks = [look(at) for at in range(100)]
    assert keep(*looks) == looks


def test_many_looks_are_thinned_evenly() -> None:
    kept = [kept_look.at for kept_look in keep(*(look(at) for at in range(10_000)))]
    assert len(kept) >= 50
    assert {later - earlier for earlier, later in pairwise(kept)} == {128.0}
    assert kept[0] == 0.0


def test_each_change_is_kept_with_the_look_before_it() -> None:
    broken = range(5_003, 5_005)
    kept = keep(*(look(at, holds=at not in broken) for at in range(10_000)))
    assert {5_002.0, 5_003.0, 5_004.0, 5_005.0} <= {kept_look.at for kept_look in kept}
    assert [kept_look.at for kept_look in kept if not kept_look.holds] == [5_003.0, 5_004.0]


def test_looks_that_always_change_stay_within_the_limit_with_both_answers() -> None:
    kept = keep(*(look(at, holds=at % 2 == 0) for at in range(10_000)))
    assert 30 <= sum(kept_look.holds for kept_look in kept) <= 70
    assert kept == sorted(kept, key=lambda kept_look: kept_look.at)


@pytest.mark.parametrize(("validations", "limit"), [(0, MAX_LOOKS), (10, MAX_LOOKS), (1_000, 100)])
def test_all_validations_together_have_a_limit(validations: int, limit: int) -> None:
    assert choose_limit(validations) == limit
    assert choose_limit(validations) * validations <= MAX_LOOKS_OF_RUN


@pytest.mark.parametrize(
    ("expect", "fields", "compared", "number"),
    [
        ({"value": {"below": 5}}, {"value": 3}, "value", 3.0),
        ({"status": 200, "json": {"$.lag": {"at_most": 9}}}, {"json": {"lag": 2.5}}, "$.lag", 2.5),
        ({"json": {"$.lag": {"at_most": 9}}}, {"json": {"lag": "much"}}, "$.lag", None),
        ({"json": {"$.lag": {"at_most": 9}}}, {}, "$.lag", None),
        ({"value": {"between": [0, 1]}}, {"value": float("nan")}, "value", None),
        ({"value": {"above": 0}}, {"value": True}, "value", None),
        ({"elapsed": {"below": 0.2}}, {"elapsed": 0.1}, "", None),
        ({"status": 200}, {"status": 200}, "", None),
    ],
)
def test_the_number_that_an_expectation_compares_is_read(
    expect: dict[str, object], fields: dict[str, object], compared: str, number: float | None
) -> None:
    expectations = Expectations(expect)
    assert expectations.compared == compared
    assert expectations.read_number(fields) == number
