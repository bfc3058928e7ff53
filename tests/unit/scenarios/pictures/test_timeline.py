"""A timeline gives its labels the room they need, and no more."""

import re
from collections.abc import Sequence

from scenarios.domain.expectations import Expectations
from scenarios.domain.plan import Phase, Plan, Step, Validation
from scenarios.pictures.plan_timeline import plan_timeline
from scenarios.pictures.timeline import (
    LABEL_CHARACTERS,
    LEFT,
    LINE,
    ROW,
    Band,
    Row,
    build_frame,
    draw_timeline,
)

BANDS = [Band("chaos", "3s", LEFT, 900.0)]


def draw(*labels: str, bands: Sequence[Band] = BANDS) -> str:
    return draw_timeline("a timeline", build_frame(bands, [Row(label) for label in labels]))


def left_edge(*labels: str) -> float:
    picture = draw(*labels)
    found = re.search(r'viewBox="([\d.]+) 0 ', picture)
    assert found is not None, picture[:200]
    return float(found[1])


def test_unused_label_width_is_not_shown() -> None:
    assert left_edge("short") > left_edge("short", "a label of some length") > 0


def test_a_label_of_the_most_characters_has_the_whole_column() -> None:
    assert left_edge("x" * LABEL_CHARACTERS) == 0
    assert left_edge("x" * 10 * LABEL_CHARACTERS) == 0


def test_a_long_label_is_written_whole_in_several_lines_and_has_a_higher_row() -> None:
    words = " ".join(f"word{number}" for number in range(20))
    picture = draw(words, "the next row")
    lines = re.findall(r"<tspan [^>]*>([^<]+)</tspan>", picture)
    assert " ".join(lines) == words
    assert len(lines) > 2
    (first, second) = (float(y) for y in re.findall(r'transform="translate\(0 ([\d.]+)\)"', picture))
    assert second - first == ROW + LINE * (len(lines) - 1)
    assert "…" not in picture


def test_the_name_of_a_phase_without_room_for_it_is_below_the_picture_with_its_number() -> None:
    narrow = [Band("a baseline with a long name", "300ms", LEFT, LEFT + 30), Band("chaos", "3s", 300, 900)]
    picture = draw("a step", bands=narrow)
    assert re.search(r">1</text>", picture)
    assert ">1 a baseline with a long name (300ms)</text>" in picture
    assert ">chaos</text>" in picture


def test_a_plan_says_which_share_of_looks_must_hold() -> None:
    look, expect = Step("wait", {"duration": "0s"}), Expectations({"elapsed": 0})
    most = Validation("most orders", look, expect, throughout=True, success=0.995)
    every = Validation("all orders", look, expect, throughout=True)
    picture = plan_timeline(Plan("test", (Phase("chaos", hold=5.0, validations=(most, every)),)))
    assert "most orders: as long as the phase lasts, at least 99.5% of the looks<" in picture
    assert "all orders: as long as the phase lasts<" in picture


def test_a_plan_says_what_is_compared_with_earlier_runs() -> None:
    picture = plan_timeline(Plan("test", (Phase("chaos"),), regression={"time_to_recover": 1.5}))
    assert "time to recover: at most 1.5x the usual" in picture
