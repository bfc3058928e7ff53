"""Which queries of a plan are asked."""

import pytest

from scenarios.charts.questions import find_plan_questions
from scenarios.domain.expectations import Expectations
from scenarios.domain.plan import Action, Guard, Phase, Plan, Step, Validation
from scenarios.domain.promql import check_placeholders, fill_in

NOTHING = Expectations({})


def asking(query: str, **more: str) -> Step:
    return Step("prometheus", {"query": query, **more})


def test_every_query_of_guards_validations_and_actions_is_asked_once() -> None:
    phase = Phase(
        "chaos",
        actions=(Action("look", asking("c")), Action("other", Step("http", {"query": "no"}))),
        validations=(Validation("again", asking("a"), NOTHING), Validation("it falls", asking("b"), NOTHING)),
    )
    plan = Plan("x", (phase,), guards=(Guard("stays up", asking("a"), NOTHING),))
    asked = [(question.title, question.about, question.query) for question in find_plan_questions(plan)]
    assert asked == [
        ("stays up", "guard, and 1 more", "a"),
        ("look", "action in chaos", "c"),
        ("it falls", "validation in chaos", "b"),
    ]


def test_the_same_query_of_another_server_is_another() -> None:
    validations = (
        Validation("here", asking("a"), NOTHING),
        Validation("there", asking("a", server="http://other:9090"), NOTHING),
    )
    assert len(find_plan_questions(Plan("x", (Phase("chaos", validations=validations),)))) == 2


def test_the_name_of_a_service_and_a_window_are_filled_in() -> None:
    query = 'rate(x{service="$service", code=~"5..$"}[$window])'
    check_placeholders(query)
    assert fill_in(query, service="exchange", window=60) == ('rate(x{service="exchange", code=~"5..$"}[60s])')


@pytest.mark.parametrize("query", ["rate(x[$windows])", "x{token='${secret:X}'}", "${service}", "$1"])
def test_another_placeholder_is_refused(query: str) -> None:
    with pytest.raises(
        ValueError, match=r"unknown placeholder .* in the query of a service; use '\$service'"
    ):
        check_placeholders(query)
