"""`throughout` with a share: how many looks of a validation must hold."""

from typing import Any

from scenarios.domain.outcomes import Outcome
from tests.unit.scenarios.engine.document_runs import BAD, GOOD, LOOK, carry_out_document


def throughout(share: str) -> str:
    return f"{{name: v, throughout: {{success: {share}}}, {LOOK}}}"


def carry_out_share(share: str, answers: list[Any], hold: str = "10s") -> Any:
    checks = f"validations: [{throughout(share)}]"
    return carry_out_document(f"phases: [{{name: p, hold: {hold}, {checks}}}]", {"look": answers})


def test_throughout_with_a_share_looks_until_the_end_and_allows_the_rest_to_fail() -> None:
    verdict, journal, said = carry_out_share("80%", [BAD, GOOD, GOOD, BAD, GOOD])
    assert verdict.outcome is Outcome.PASSED
    assert len(said) in {10, 11}
    assert journal.moment("validation_passed", "v") == 10
    (judged,) = [event for event in journal.events if event.kind == "validation_passed"]
    assert judged.detail["reason"].startswith(f"{len(said) - 2} of {len(said)} looks held (8")


def test_throughout_with_a_share_fails_at_the_end_if_fewer_held() -> None:
    held = [GOOD] * 8 + [BAD]
    verdict, journal, _said = carry_out_share("95%", held, hold="9500ms")
    assert verdict.outcome is Outcome.FAILED
    assert "looks held" in verdict.reason
    assert "status" in verdict.reason
    assert journal.moment("validation_failed", "v") <= 9.5


def test_throughout_with_a_share_ends_once_it_cannot_be_reached() -> None:
    verdict, journal, said = carry_out_share("0.9", [GOOD, BAD], hold="1000s")
    assert verdict.outcome is Outcome.FAILED
    assert "90% can no longer be reached" in verdict.reason
    # At most 1,002 looks, a tenth of which may fail.
    assert 100 <= len(said) <= 103
    assert journal.moment("validation_failed", "v") == len(said) - 1


def test_a_share_may_still_be_reached_as_long_as_another_validation_may_prolong_the_phase() -> None:
    waiting = f", {{name: w, within: 30s, {LOOK.replace('look', 'other')}}}"
    spec = f"phases: [{{name: p, validations: [{throughout('60%')}{waiting}]}}]"
    answers = {"look": [BAD] * 5 + [GOOD], "other": [BAD] * 20 + [GOOD]}
    verdict, journal, _said = carry_out_document(spec, answers)
    assert verdict.outcome is Outcome.PASSED
    assert journal.moment("validation_passed", "v") == 20


def test_a_share_that_the_looks_meet_exactly_is_met() -> None:
    verdict, _journal, said = carry_out_share("90%", [BAD, *[GOOD] * 9], hold="9500ms")
    assert (verdict.outcome, len(said)) == (Outcome.PASSED, 10)
