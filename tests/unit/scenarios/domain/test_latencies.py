"""Latencies in buckets: percentiles within 0.4 % of the exact ones."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scenarios.domain.latencies import Histogram, find_bucket, read_bucket
from scenarios.domain.load_tally import Tally

LATENCIES = st.floats(min_value=0.0, max_value=4_000.0)


@settings(deadline=None)
@given(LATENCIES)
def test_a_bucket_is_near_every_latency_in_it(seconds: float) -> None:
    assert read_bucket(find_bucket(seconds)) == pytest.approx(seconds, rel=0.004, abs=0.6e-6)


@settings(deadline=None)
@given(LATENCIES, LATENCIES)
def test_buckets_are_in_the_order_of_latencies(first: float, other: float) -> None:
    low, high = sorted((first, other))
    assert find_bucket(low) <= find_bucket(high)


@settings(deadline=None)
@given(st.lists(LATENCIES, min_size=1, max_size=200), st.sampled_from([1.0, 50.0, 95.0, 99.0, 100.0]))
def test_percentiles_are_those_of_the_sorted_latencies(latencies: list[float], percent: float) -> None:
    histogram = Histogram()
    for seconds in latencies:
        histogram.add(seconds)
    exact = sorted(latencies)[math.ceil(len(latencies) * percent / 100) - 1]
    assert histogram.find_percentile(percent) == pytest.approx(exact, rel=0.004, abs=0.6e-6)
    assert (histogram.count, histogram.max) == (len(latencies), max(latencies))


@settings(deadline=None)
@given(st.lists(LATENCIES, max_size=50), st.lists(LATENCIES, max_size=50))
def test_merged_histograms_are_one_of_all_also_through_json(some: list[float], more: list[float]) -> None:
    together, first, other = Histogram(), Histogram(), Histogram()
    for seconds in some:
        first.add(seconds)
        together.add(seconds)
    for seconds in more:
        other.add(seconds)
        together.add(seconds)
    first.merge(Histogram.from_json(json.loads(json.dumps(other.to_json()))))
    assert sorted(first) == sorted(together)
    assert (first.count, first.max) == (together.count, together.max)


def test_an_empty_histogram_has_no_percentile() -> None:
    assert Histogram().find_percentile(50) is None


def test_figures_count_errors_and_answers_without_one() -> None:
    tally = Tally(sent=101, answered=100)
    for number in range(100):
        tally.latency.add(number / 1000)
    tally.errors["status 503"] = 4
    tally.errors["timeout"] = 1
    figures = tally.compute_figures(2.0)
    assert (figures["requests"], figures["errors"], figures["error_rate"], figures["rate"]) == (
        100,
        5,
        0.05,
        47.5,
    )
    assert figures["p50"] == pytest.approx(0.049, rel=0.004)
    assert figures["p95"] == pytest.approx(0.094, rel=0.004)
    assert figures["max"] == 0.099
    assert tally.describe_errors() == "5 of 100 requests: 4 × status 503, 1 × timeout"
    assert tally.pending == 1


def test_nothing_answered_has_no_figures_that_could_be_compared() -> None:
    figures = Tally(sent=3).compute_figures(1.0)
    assert (figures["error_rate"], figures["p95"], figures["max"], figures["rate"]) == (None, None, None, 0.0)
