"""Secrets: known to a step while it runs, and to nothing that is kept of it."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_django.fixtures import Settings

from scenarios.domain.errors import InvalidDocument, StepFailed, StepImpossible
from scenarios.domain.expectations import Expectations
from scenarios.domain.outcomes import FaultState, Outcome, Rollback, Verdict
from scenarios.domain.plan import Action, Guard, Phase, Plan, Step, Validation
from scenarios.domain.redaction import Redactor
from scenarios.domain.templates import insert_secrets, substitute
from scenarios.drivers.http_arguments import HttpArguments
from scenarios.drivers.platform import ConfiguredSecrets
from scenarios.drivers.tcp import TcpArguments
from scenarios.engine.engine import Engine
from scenarios.language.document import build_plan, parse_document
from scenarios.ports import Platform
from tests.fakes import (
    FakeClock,
    InMemoryJournal,
    NoServices,
    ScriptedDriver,
    TargetCall,
    run_in_virtual_time,
)

SECRET = "correct horse battery"  # what NoServices says of TOKEN
HEAD = "apiVersion: coordinator/v1\nkind: Scenario\nmetadata: {name: sample}\nspec:\n"


class EchoingDriver(ScriptedDriver):
    """Answers what it was told, or fails with it, in a form of the test's choice."""

    def __init__(self, write: Callable[[str], Any]) -> None:
        super().__init__()
        self._write = write

    async def probe(self, arguments: TargetCall, platform: Any) -> dict[str, Any]:
        self.said.append(arguments.say)
        said = self._write(arguments.say)
        if isinstance(said, Exception):
            raise said
        return {"body": said, "status": 200}


def carried_out(
    plan: Plan, driver: ScriptedDriver, platform: Platform | None = None
) -> tuple[InMemoryJournal, Any]:
    journal = InMemoryJournal()
    engine = Engine(
        plan,
        drivers={"target": driver},
        platform=platform or NoServices(),
        clock=FakeClock(),
        journal=journal,
        ledger=journal,
    )
    verdict = run_in_virtual_time(engine.carry_out())
    return journal, verdict


TELLS = Step("target", {"say": "token=${secret:TOKEN};"})
EVERYWHERE = Plan(
    "test",
    (
        Phase(
            "chaos",
            hold=1,
            actions=(Action("act", do=TELLS, undo=TELLS),),
            validations=(
                Validation("once", TELLS, Expectations({"body": {"contains": "x"}, "status": 200})),
            ),
            on_failure="continue",
        ),
    ),
    guards=(Guard("watch", TELLS, Expectations({"body": 3}), tolerate=1),),
)
WRITINGS: dict[str, Callable[[str], Any]] = {
    "as it is": str,
    "nested": lambda said: {said: [said, {"a": said}]},
    "URL-encoded": quote,
    "base64": lambda said: base64.b64encode(said.encode()).decode(),
    "base64 behind one byte": lambda said: base64.b64encode(b"x" + said.encode()).decode(),
    "base64 behind two bytes": lambda said: base64.b64encode(b"xy" + said.encode()).decode(),
    "JSON in JSON": lambda said: json.dumps(json.dumps(said)),
    "cut off": lambda said: said[:20],
    "far behind": lambda said: "." * 105 + said,
    "an error": StepFailed,
    "an impossibility": StepImpossible,
    "a broken driver": KeyError,
}


@pytest.mark.parametrize("write", WRITINGS.values(), ids=WRITINGS)
def test_no_secret_reaches_journal_ledger_or_verdict(write: Callable[[str], Any]) -> None:
    driver = EchoingDriver(write)
    journal, verdict = carried_out(EVERYWHERE, driver)
    assert f"token={SECRET};" in driver.said
    kept = repr((journal.events, journal.faults, verdict))
    for trace in ("horse", quote(SECRET), "29ycmVjdCBob3", "NvcnJlY3QgaG9y", "Y29ycmVjdCBob3JzZ"):
        assert trace not in kept
    assert "***" in kept


def test_the_ledger_keeps_a_reference_and_the_undo_gets_the_secret() -> None:
    action = Action("act", do=Step("target", {"say": "break"}), undo=TELLS)
    driver = EchoingDriver(str)
    journal, verdict = carried_out(Plan("test", (Phase("chaos", actions=(action,)),)), driver)
    assert journal.faults[1].undo.arguments == {"say": "token=${secret:TOKEN};"}
    assert journal.states[1] is FaultState.UNDONE
    assert driver.said == ["break", f"token={SECRET};"]
    assert verdict.outcome is Outcome.PASSED


def test_a_secret_returned_before_the_step_that_uses_it_is_redacted() -> None:
    early = Step("target", {"say": f"early: {SECRET}"})
    phases = (
        Phase("early", validations=(Validation("look", early, Expectations({"status": 200})),)),
        Phase("late", actions=(Action("act", do=TELLS),)),
    )
    driver = EchoingDriver(str)
    journal, verdict = carried_out(Plan("test", phases), driver)
    assert verdict.outcome is Outcome.PASSED
    assert driver.said == [f"early: {SECRET}", f"token={SECRET};"]
    assert "horse" not in repr(journal.events)
    assert "early: ***" in repr(journal.events)


def test_a_run_whose_secrets_are_missing_breaks_nothing_and_names_them_all() -> None:
    class NoSecrets(NoServices):
        def secret(self, name: str) -> str:
            raise StepImpossible(f"the secret {name!r} is missing")

    undo = Step("target", {"say": "${secret:FIRST} ${secret:SECOND}"})
    plan = Plan("test", (Phase("p", actions=(Action("a", do=Step("target", {"say": "break"}), undo=undo),)),))
    driver = EchoingDriver(str)
    journal, verdict = carried_out(plan, driver, NoSecrets())
    place = "(the undo of action 'a' of phase 'p')"
    reason = f"the secret 'FIRST' is missing {place}; the secret 'SECOND' is missing {place}"
    assert verdict == Verdict(Outcome.ERRORED, reason, Rollback.CLEAN)
    assert driver.said == []
    assert journal.states == {}


def test_probe_results_are_compared_before_redaction() -> None:
    check = Validation("once", TELLS, Expectations({"body": {"matches": "^token=corr"}}))
    _journal, verdict = carried_out(Plan("test", (Phase("p", validations=(check,)),)), EchoingDriver(str))
    assert verdict.outcome is Outcome.PASSED


def test_a_secret_that_does_not_fit_its_argument_is_refused_without_being_shown() -> None:
    class Number(ScriptedDriver):
        Arguments = TcpArguments

    driver = Number()
    step = Step("target", {"host": "h", "port": "${secret:TOKEN}"})
    journal, verdict = carried_out(Plan("test", (Phase("p", actions=(Action("a", do=step),)),)), driver)
    assert verdict.outcome is Outcome.ERRORED
    assert "the arguments of 'target' are refused: port:" in verdict.reason
    assert "horse" not in repr((journal.events, verdict))


# Documents


def build_steps(spec: str, variables: dict[str, Any] | None = None) -> Any:
    document = parse_document(HEAD + spec, {"http": HttpArguments, "tcp": TcpArguments})
    return build_plan(document, variables or {}).phases[0].actions[0].do.arguments


def test_a_plan_keeps_references_to_secrets_also_where_they_must_fit_a_rule() -> None:
    spec = (
        "  phases: [{name: p, actions: [{name: a, do: {http: {url: '${secret:URL}',"
        " headers: {Authorization: 'Bearer ${secret:TOKEN}'}}}}]}]"
    )
    assert build_steps(spec) == {
        "url": "${secret:URL}",
        "headers": {"Authorization": "Bearer ${secret:TOKEN}"},
    }


@pytest.mark.parametrize("value", ["${secret:TOKEN}", "$${secret:TOKEN}", "$$${secret:TOKEN}", "${secret:"])
def test_no_value_of_a_variable_becomes_a_reference_to_a_secret(value: str) -> None:
    spec = (
        "  variables: {v: {type: string, default: x}}\n"
        "  phases: [{name: p, actions: [{name: a, do: {http: {service: s, body: 'a${v}b',"
        " query: {q: '${v}'}}}}]}]"
    )
    arguments = insert_secrets(build_steps(spec, {"v": value}), lambda name: f"<{name}>")
    assert (arguments["body"], arguments["query"]["q"]) == (f"a{value}b", value)


PIECES = st.text("${}secrt:AB", max_size=8) | st.sampled_from(["${secret:A}", "$", "{secret:A}", "${sec"])


@settings(deadline=None)
@given(st.lists(PIECES | st.none(), max_size=5))
def test_only_what_the_document_itself_refers_to_is_filled_in(pieces: list[str | None]) -> None:
    document = "".join("${secret:N}" if piece is None else f"${{v{at}}}" for at, piece in enumerate(pieces))
    variables = {f"v{at}": piece for at, piece in enumerate(pieces) if piece is not None}
    plan = substitute(document, variables)
    filled = insert_secrets(plan, lambda name: f"<{name}>")
    assert filled == "".join("<N>" if piece is None else piece for piece in pieces)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("  phases: [{name: '${secret:A}'}]", "is outside a step"),
        ("  timeout: '${secret:A}'\n  phases: [{name: p}]", "is outside a step"),
        (
            "  phases: [{name: p, validations: [{name: v, probe: {tcp: {}}, expect: {do: '${secret:A}'}}]}]",
            "is outside a step",
        ),
        (
            "  phases: [{name: p, actions: [{name: a, do: {http: {service: s, body: '${secret:}'}}}]}]",
            "does not name a secret",
        ),
        (
            "  phases: [{name: p, actions: [{name: a, do: {http: {query: {'${secret:A}': 1}}}}]}]",
            "is a key with a variable",
        ),
    ],
)
def test_secrets_are_allowed_only_in_the_arguments_of_steps(spec: str, words: str) -> None:
    with pytest.raises(InvalidDocument, match=words):
        build_steps(spec)


def test_reading_and_planning_resolve_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ConfiguredSecrets, "secret", lambda *_: pytest.fail("a secret was resolved"))
    spec = "  phases: [{name: p, actions: [{name: a, do: {http: {service: s, body: '${secret:A}'}}}]}]"
    assert build_steps(spec)["body"] == "${secret:A}"


# Sources


@pytest.fixture
def folder(settings: Settings, tmp_path: Path) -> Path:
    settings.SCENARIO_SECRET_PREFIX = "TEST_SECRET_"
    settings.SCENARIO_SECRET_DIR = tmp_path
    return tmp_path


def test_a_secret_is_an_environment_variable_with_the_prefix_or_else_a_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "TOKEN").write_text("of the file\n")
    assert ConfiguredSecrets().secret("TOKEN") == "of the file"
    monkeypatch.setenv("TEST_SECRET_TOKEN", "of the variable")
    assert ConfiguredSecrets().secret("TOKEN") == "of the variable"


def test_a_missing_or_empty_secret_makes_the_step_impossible_and_says_what_to_set(folder: Path) -> None:
    with pytest.raises(
        StepImpossible, match="'TOKEN' is missing: set the environment variable 'TEST_SECRET_TOKEN'"
    ):
        ConfiguredSecrets().secret("TOKEN")
    (folder / "TOKEN").write_text("\n")
    with pytest.raises(StepImpossible, match="'TOKEN' is empty"):
        ConfiguredSecrets().secret("TOKEN")
    (folder / "KEY").write_bytes(b"\xff\xfe")
    with pytest.raises(StepImpossible, match="'KEY' cannot be read"):
        ConfiguredSecrets().secret("KEY")


def test_no_other_environment_variable_can_be_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "for the coordinator alone")
    with pytest.raises(StepImpossible, match="is missing"):
        ConfiguredSecrets().secret("SECRET_KEY")


def test_a_secret_decoded_as_latin_1_is_redacted() -> None:
    redactor = Redactor()
    redactor.learn("pässword of nobody")
    assert redactor.redact("you said pÃ¤ssword of nobody!") == "you said ***!"


def test_secrets_with_a_common_beginning_are_redacted_whole() -> None:
    redactor, secrets = Redactor(), ('the-key"of the first, a longer one', 'the-key"of the second')
    for secret in secrets:
        redactor.learn(secret)
    assert redactor.redact(" and ".join(secrets)) == "*** and ***"
