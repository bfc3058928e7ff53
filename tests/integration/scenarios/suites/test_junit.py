"""The run of a suite as JUnit: a case for each cell, whatever its text contains."""

from typing import Any
from xml.etree import ElementTree as ET

import pytest

from scenarios.domain.suite_states import SuiteOutcome, SuiteRunState, TriedState
from scenarios.models import SuiteRun, TriedCell
from scenarios.suites.badge import draw_badge
from scenarios.suites.junit import render_junit
from scenarios.suites.matrix import read_matrix
from tests.integration.scenarios.suites.suite_rows import TEXT, register_services, store_suite

pytestmark = pytest.mark.django_db
NASTY = "\"quoted\" <b>'&amp;'</b>\x00\x1b ]]>"
RESULTS: dict[TriedState, str] = {
    TriedState.SURVIVED: "",
    TriedState.DEGRADED: "users noticed",
    TriedState.FAILED: NASTY,
    TriedState.ERRORED: "its worker died",
    TriedState.SKIPPED: "no fault proxy",
}


def make_run(outcome: SuiteOutcome) -> SuiteRun:
    fields: dict[str, Any] = {"state": SuiteRunState.FINISHED, "outcome": outcome, "started_from": "cli"}
    suite_run = SuiteRun.objects.create(suite_name="shop", document="", **fields)
    for order, (state, reason) in enumerate(RESULTS.items()):
        clean = reason.replace("\x00", "")  # a database refuses it
        TriedCell.objects.create(
            suite_run=suite_run, order=order, dependency="db", fault="slow", state=state, reason=clean
        )
    return suite_run


def test_each_cell_is_a_case_and_text_with_markup_stays_text() -> None:
    root = ET.fromstring(render_junit(make_run(SuiteOutcome.FAILED)))  # noqa: S314 - our own
    (suite,) = root
    counts = {word: suite.attrib[word] for word in ("tests", "failures", "errors", "skipped")}
    assert counts == {"tests": "6", "failures": "1", "errors": "1", "skipped": "1"}
    assert {case.attrib["classname"] for case in suite[:-1]} == {"shop.db"}
    (failure,) = suite.iter("failure")
    assert failure.attrib["message"] == NASTY.replace("\x00", "").replace("\x1b", "\ufffd")


def test_a_suite_that_proved_nothing_is_an_error_of_its_own() -> None:
    root = ET.fromstring(render_junit(make_run(SuiteOutcome.ERRORED)))  # noqa: S314 - our own
    assert root[0].attrib["errors"] == "2"


def test_a_badge_with_markup_in_its_words_is_still_a_picture() -> None:
    register_services()
    suite = store_suite(TEXT)
    suite.name = NASTY
    root = ET.fromstring(draw_badge(read_matrix(suite)))  # noqa: S314 - our own
    assert [child.tag.rpartition("}")[2] for child in root] == ["title", "rect", "rect", "g"]
