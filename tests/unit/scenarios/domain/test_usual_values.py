"""What is usual is the median; unusual is what is far from it, measured by how far values usually are."""

import pytest

from scenarios.domain.usual_values import Usual, find_usual


def test_one_outlier_changes_neither_the_median_nor_the_deviation_much() -> None:
    assert find_usual([1.0, 1.25, 1.5, 1.75, 30.0]) == Usual(1.5, 0.25, 5)


def test_nothing_is_usual_without_values() -> None:
    assert find_usual([]) is None


@pytest.mark.parametrize(
    ("value", "unusual"), [(1.9, False), (2.8, False), (2.95, True), (0.9, True), (1.0, False)]
)
def test_more_than_two_deviations_away_is_unusual(value: float, *, unusual: bool) -> None:
    assert Usual(1.9, 0.45, 20).is_unusual(value) is unusual


def test_no_value_is_unusual_among_few() -> None:
    assert not Usual(1.0, 0.1, 4).is_unusual(100.0)
    assert Usual(1.0, 0.1, 5).is_unusual(100.0)


def test_values_that_were_all_the_same_make_a_small_difference_nothing_unusual() -> None:
    same = find_usual([1.0] * 20)
    assert same is not None
    assert not same.is_unusual(1.09)
    assert same.is_unusual(1.11)
