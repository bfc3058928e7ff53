"""A chart shows samples, gaps, faults and validations where they were."""

import re
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from scenarios.charts.kept import Chart, Series, Value
from scenarios.domain.units import Unit
from scenarios.pictures.chart import LEFT, RIGHT, Fault, Judged, Scene, draw_chart

BEGAN, ENDS = 1000.0, 1060.0
SVG = "{http://www.w3.org/2000/svg}"


def chart(*values: Value, unit: Unit = Unit.NUMBER) -> Chart:
    moments = [BEGAN + 10 * number for number in range(len(values))]
    return Chart(
        title="t", about="a", query="q", unit=unit, moments=moments, series=[Series(values=list(values))]
    )


def scene(*happened: Fault | Judged, goes_on: bool = False) -> Scene:
    faults = [event for event in happened if isinstance(event, Fault)]
    judged = [event for event in happened if isinstance(event, Judged)]
    around = (BEGAN - 600, ENDS + 600)
    return Scene(BEGAN, ENDS, goes_on, BEGAN, ENDS, around, faults, judged)


def elements(picture: str, name: str, kind: str) -> list[ET.Element]:
    root = ET.fromstring(picture)  # noqa: S314 - our own
    return [element for element in root.iter(SVG + name) if kind in element.get("class", "").split()]


def line(picture: str) -> str:
    return elements(picture, "path", "series-1")[0].get("d", "")


def test_a_missing_sample_is_a_gap_in_the_line() -> None:
    path = line(draw_chart(chart(1.0, 2.0, None, 2.0, 1.0), scene(), "words"))
    assert path.count("M") == 2
    assert path.count("L") == 2


@pytest.mark.parametrize("odd", ["NaN", "+Inf", "-Inf"])
def test_value_that_is_not_a_number_is_a_gap_and_does_not_stretch_the_axis(odd: str) -> None:
    picture = draw_chart(chart(1.0, odd, 1.0), scene(), "words")
    assert line(picture).count("M") == 2
    for word in ("nan", "inf"):
        assert word not in picture.lower()


def test_a_sample_by_itself_is_a_dot() -> None:
    assert line(draw_chart(chart(None, 3.0, None), scene(), "words")).endswith("h.01")


def test_the_fault_is_shaded_from_its_injection_to_its_end() -> None:
    picture = draw_chart(chart(1.0, 1.0), scene(Fault("slow", 1015.0, 1030.0)), "words")
    shade = elements(picture, "rect", "fault")[0]
    assert float(shade.get("x", "")) == pytest.approx(LEFT + (RIGHT - LEFT) / 4, abs=0.1)
    assert float(shade.get("width", "")) == pytest.approx((RIGHT - LEFT) / 4, abs=0.1)
    assert "fault: slow" in picture
    assert ">fault</text>" in picture


def test_a_fault_that_was_left_is_shaded_to_the_end_and_marked() -> None:
    shade = elements(draw_chart(chart(1.0), scene(Fault("slow", 1030.0, None)), "words"), "rect", "left")[0]
    assert float(shade.get("x", "")) + float(shade.get("width", "")) == pytest.approx(RIGHT, abs=0.1)


def test_a_fault_that_was_left_is_not_shaded_beyond_what_is_known() -> None:
    known = replace(scene(Fault("slow", 1030.0, None)), known_until=1045.0)
    shade = elements(draw_chart(chart(1.0), known, "words"), "rect", "left")[0]
    assert float(shade.get("width", 0)) == pytest.approx((RIGHT - LEFT) / 4, abs=0.1)


def test_windows_that_overlap_have_one_word() -> None:
    happened = (Fault("a", 1010.0, 1050.0), Fault("b", 1020.0, 1040.0))
    words = re.findall(r">([^<]*faults?)</text>", draw_chart(chart(1.0, 1.0), scene(*happened), "words"))
    assert words == ["2 faults"]


def test_validations_are_marked_by_shape_and_those_close_together_once() -> None:
    happened = (
        Judged("one", "passed", 1030.0),
        Judged("two", "passed", 1030.5),
        Judged("three", "failed", 1050.0),
    )
    picture = draw_chart(chart(1.0, 1.0), scene(*happened), "words")
    assert "passed: one, two" in picture
    assert len(elements(picture, "path", "passed")) == 1
    assert len(elements(picture, "path", "failed")) == 1


def test_the_ten_minutes_around_a_short_run_are_drawn_below_it_with_the_enlarged_part() -> None:
    picture = draw_chart(chart(1.0, 1.0), scene(), "words")
    assert len(elements(picture, "rect", "shown")) == 1
    assert len(elements(picture, "path", "series-1")) == 2
    assert "-10m" in picture
    assert "+11m" in picture


def test_axes_name_unit_and_time() -> None:
    picture = draw_chart(chart(0.1, 0.4, unit=Unit.SECONDS), scene(), "words")
    assert "ms</text>" in picture
    assert "+30s</text>" in picture
    assert "0 = 00:16:40 UTC" in picture


def test_picture_has_a_text_alternative_that_cannot_become_markup() -> None:
    picture = draw_chart(chart(1.0), scene(Fault("<script>", 1010.0, 1020.0)), 'a "b" <c>')
    assert ET.fromstring(picture).get("aria-label") == 'a "b" <c>'  # noqa: S314 - our own
    assert "<script" not in picture


@pytest.mark.parametrize("values", [(), (None,), ("NaN",), (1e308, -1e308), (5e-324,), (0.0,)])
def test_everything_measured_can_be_drawn(values: tuple[Value, ...]) -> None:
    picture = draw_chart(chart(*values), scene(goes_on=True), "words")
    ET.fromstring(picture)  # noqa: S314 - our own
    assert not re.search(r"\b(nan|inf)\b", picture)


def test_times_in_which_it_does_not_hold_are_bars_that_say_when() -> None:
    misses = ((1015.0, 1030.0), (1030.05, 1030.1), (1050.0, 1050.0))
    picture = draw_chart(chart(1.0, 1.0), replace(scene(), misses=misses), "words")
    first, second = elements(picture, "rect", "misses")
    assert [title.text for title in first] == ["does not hold: +15s to +30.1s"]
    quarter = (RIGHT - LEFT) / 4
    assert float(first.get("x", "")) == pytest.approx(LEFT + quarter, abs=0.1)
    assert float(first.get("width", "")) == pytest.approx(quarter, abs=3)
    assert float(second.get("width", "")) > 0
