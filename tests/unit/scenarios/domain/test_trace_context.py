"""The place of a step in the trace of its run, as it is told to the step's target."""

import asyncio
from uuid import UUID

from scenarios.domain.trace_context import (
    build_span_id,
    build_traceparent,
    in_attempt,
    in_fault,
    in_look,
    tracing_run,
)

RUN = UUID("0af76519-16cd-43dd-8448-eb211c80319c")


def test_nothing_is_sent_outside_a_run() -> None:
    with in_attempt("action", "chaos", "slow"), in_look(1.0), in_fault(1):
        assert build_traceparent() is None


def test_id_of_the_trace_is_that_of_the_run() -> None:
    with tracing_run(RUN, 1):
        assert build_traceparent() == f"00-0af7651916cd43dd8448eb211c80319c-{build_span_id(RUN, 'run')}-01"
    assert build_traceparent() is None


def test_a_look_is_within_its_validation_and_a_fault_within_no_attempt() -> None:
    with tracing_run(RUN, 2):
        with in_attempt("validation", "chaos", "holds"), in_look(12.3456):
            look = build_traceparent()
        with in_fault(3):
            fault = build_traceparent()
    looked = build_span_id(RUN, "2", "validation", "chaos", "holds", "look", "12346")
    assert (look or "").split("-")[2] == looked
    assert (fault or "").split("-")[2] == build_span_id(RUN, "fault", "3")


def test_tasks_that_run_side_by_side_have_their_own_place() -> None:
    async def look(name: str) -> str | None:
        with in_attempt("validation", "chaos", name):
            await asyncio.sleep(0)
            return build_traceparent()

    async def look_at_all() -> list[str | None]:
        with tracing_run(RUN, 1):
            return await asyncio.gather(*(look(name) for name in ("a", "b")))

    told = asyncio.run(look_at_all())
    expected = [build_span_id(RUN, "1", "validation", "chaos", name) for name in ("a", "b")]
    assert [(text or "").split("-")[2] for text in told] == expected


def test_names_that_join_to_the_same_text_have_ids_of_their_own() -> None:
    assert build_span_id(RUN, "a", "bc") != build_span_id(RUN, "ab", "c")
    assert len(build_span_id(RUN, "\udc80")) == 16
