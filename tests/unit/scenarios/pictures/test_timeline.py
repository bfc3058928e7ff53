"""A timeline gives its labels the room they need, and no more."""

import re

from scenarios.domain.expectations import Expectations
from scenarios.domain.plan import Phase, Plan, Step, Validation
from scenarios.pictures.plan_timeline import plan_timeline
from scenarios.pictures.timeline import LABEL_CHARACTERS, LEFT, Band, Row, draw_timeline

BANDS = [Band("chaos", "3s", LEFT, 900.0)]


def left_edge(*labels: str) -> float:
    picture = draw_timeline("a timeline", BANDS, [Row(label) for label in labels])
    found = re.search(r'viewBox="([\d.]+) 0 ', picture)
    assert found is not None, picture[:200]
    return float(found[1])


def test_what_no_label_needs_is_not_shown() -> None:
    assert left_edge("short") > left_edge("short", "a label of some length") > 0


def test_a_label_of_the_most_characters_has_the_whole_column() -> None:
    assert left_edge("x" * LABEL_CHARACTERS) == 0
    assert left_edge("x" * 10 * LABEL_CHARACTERS) == 0


def test_a_long_label_is_shortened_and_has_its_whole_text_as_title() -> None:
    label = "y" * (LABEL_CHARACTERS + 1)
    picture = draw_timeline("a timeline", BANDS, [Row(label)])
    assert f"<title>{label}</title>{label[: LABEL_CHARACTERS - 1]}…" in picture


def test_a_plan_says_which_share_of_looks_must_hold() -> None:
    look, expect = Step("wait", {"duration": "0s"}), Expectations({"elapsed": 0})
    most = Validation("most orders", look, expect, throughout=True, success=0.995)
    every = Validation("all orders", look, expect, throughout=True)
    picture = plan_timeline(Plan("test", (Phase("chaos", hold=5.0, validations=(most, every)),)))
    assert "most orders: as long as the phase lasts, at least 99.5% of the looks<" in picture
    assert "all orders: as long as the phase lasts<" in picture


def test_a_plan_says_what_is_compared_with_earlier_runs() -> None:
    picture = plan_timeline(Plan("test", (Phase("chaos"),), regression={"time_to_recover": 1.5}))
    assert "time to recover: at most 1.5x of the usual" in picture
