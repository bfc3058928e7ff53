"""What people type who know other command lines: help, versions, words and options in unusual places."""

import json
import re
import socket
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from coordinator_client.command_line import exit_codes, patience, program
from coordinator_client.command_line.moments import parse_moment
from coordinator_client.exchanges import Response
from coordinator_client.records import EVENT_KINDS, WEBHOOK_EVENTS, WEBHOOK_KINDS
from coordinator_client.synchronous.transport import Transport
from scenarios.domain.event_kinds import EventKind
from scenarios.domain.webhooks import SUBSCRIBABLE, WebhookKind
from tests.servers.loopback import free_port
from tests.servers.scripted_api import Answer, problem, scripted_api
from tests.servers.scripted_runs import RUN, fault_row, run_row

PROJECT = Path(__file__).resolve().parents[3]
EMPTY = Answer({"items": [], "next_cursor": None})
HEALTH = Answer({"status": "ok", "version": "9.8.7"})


@pytest.fixture(autouse=True)
def no_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SERVER", "TOKEN", "TOKEN_FILE", "PROFILE", "REQUEST_TIMEOUT"):
        monkeypatch.delenv(f"TEST_COORDINATOR_{name}", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))


def call(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    try:
        code = program.main(words)
    except SystemExit as exited:
        code = int(exited.code or 0)
    said = capsys.readouterr()
    return code, said.out, said.err


@pytest.mark.parametrize("words", [(), ("service",), ("suite",)])
def test_without_a_verb_all_verbs_are_shown(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = call(capsys, *words)
    assert (code, out) == (2, "")
    assert "list" in err
    assert "show this help message" in err


@pytest.mark.parametrize("words", [("run",), ("service", "add")])
def test_help_of_a_verb_is_shown_as_by_its_option(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    asked = call(capsys, "help", *words)
    assert asked == call(capsys, *words, "--help")
    assert (asked[0], f"usage: test-coordinator {' '.join(words)} " in asked[1]) == (0, True)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("lst",), "unknown verb 'lst'; did you mean 'list'?"),
        (("services",), "unknown verb 'services'; did you mean 'service'?"),
        (("apply", "x.yaml"), "unknown verb 'apply'; did you mean 'import'?"),
        (("service", "describe", "x"), "unknown verb 'describe'; did you mean 'show'?"),
        (("events", "--kind", "run_finish"), "unknown kind 'run_finish'; did you mean 'run_finished'?"),
        (
            ("webhook", "add", "w", "--url", "http://w.example", "--event", "bogus"),
            "unknown event 'bogus'; choose one of run.awaiting_approval, ",
        ),
        (("host", "xyz"), "unknown verb 'xyz'; choose one of add, list, show, test, remove"),
        (("runs", "--status", "passd"), "unknown status 'passd'; did you mean 'passed'?"),
        (("runs", "--since", "yesterday"), "invalid time 'yesterday'; write it as 2026-01-01T12:00:00Z"),
        (("runs", "--limit", "x"), "invalid number 'x'; write it in digits"),
        (("acknowledge", "x", "--reason", "y"), "invalid number 'x'; write it in digits"),
        (("auth", "status"), "unknown verb 'auth'; did you mean 'login'?"),
        (("runs", "--lim", "3"), "unrecognized arguments: --lim 3; did you mean '--limit'?"),
        (
            ("runs", "-L", "3"),
            "test-coordinator runs: error: unrecognized arguments: -L 3; did you mean '--limit'?",
        ),
        (("runs", "--json", "id,status"), "id,status; '--json' takes no value, it writes every field"),
        (("list", "--json", "--jq", ".items"), "'test-coordinator list … --json | jq .items'"),
        (("api", "runs", "-F", "limit"), "write it as NAME=VALUE, NAME[PART]=VALUE or NAME[]=VALUE"),
        (("service", "list", "zzz"), "test-coordinator service list: error: unrecognized arguments: zzz\n"),
        (("runs", "--by", "ada", "--by", "bob"), "argument --by: given twice, with different values"),
        (("runs", "--limit", "1", "--json", "--limit=2"), "argument --limit: given twice, with different"),
        (("--server", "http://a", "--server", "http://b", "runs"), "argument --server: given twice"),
        (("api", "x", "-X", "GET", "--method", "PUT"), "argument -X/--method: given twice, with different"),
        (
            ("host", "add", "h", "--protected", "--no-protected"),
            "--no-protected: given twice, with different",
        ),
        (
            ("schedule", "set", "n", "--cron", "* * * * *", "--suite", "s", "--window", "2"),
            "invalid window '2'",
        ),
    ],
)
def test_mistakes_are_answered_with_what_was_meant(
    words: tuple[str, ...], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = call(capsys, *words)
    assert (code, out) == (2, "")
    assert sentence in err


def test_help_shows_verbs_by_subject_exit_codes_and_the_environment(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out, _ = call(capsys, "--help")
    verbs = program.build_parser()[1]
    assert [verb for verb in verbs if f"\n  {verb} " not in out] == []
    assert "\nruns:\n  run " in out
    assert (code, "\nothers:" in out) == (0, False)  # a verb that is in no subject
    for variable in ("SERVER", "PROFILE", "TOKEN", "TOKEN_FILE", "REQUEST_TIMEOUT"):
        assert f"TEST_COORDINATOR_{variable}" in out
    for number in {*exit_codes.REFUSAL_CODES, *exit_codes.OUTCOME_CODES.values(), exit_codes.DETACHED}:
        assert re.search(rf"  {number} +\S", out[out.index("exit codes:") :]), number


def test_silent_server_is_given_up_and_a_person_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_COORDINATOR_REQUEST_TIMEOUT", "x")
    assert call(capsys, "runs", "--server", "http://127.0.0.1:1")[2].startswith(
        "TEST_COORDINATOR_REQUEST_TIMEOUT: invalid duration 'x'"
    )
    monkeypatch.setenv("TEST_COORDINATOR_REQUEST_TIMEOUT", "600")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        words = ("runs", "--request-timeout", "1s", "--server", f"http://127.0.0.1:{silent.getsockname()[1]}")
        code, _, err = call(capsys, *words)
        assert (code, "did not answer in time" in err) == (9, True), err
        connections = [silent.accept()[0]]
        silent.setblocking(False)
        with pytest.raises(BlockingIOError):  # it is not asked again
            silent.accept()
        connections[0].close()


def test_person_is_told_while_a_response_takes_long(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def wait(_self: object, _call: object) -> Response:
        assert has_spoken.wait(600)
        return Response(200, {"content-type": "application/json"}, b'{"items": [], "next_cursor": null}')

    def write(text: str) -> int:
        said.append(text)
        has_spoken.set()
        return len(text)

    has_spoken = threading.Event()
    said: list[str] = []
    monkeypatch.setattr(patience, "QUIET_SECONDS", 0.01)
    monkeypatch.setattr(Transport, "_send", wait)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(sys.stderr, "write", write)
    assert call(capsys, "runs", "--server", "http://127.0.0.1:1")[0] == 0
    limit = "waiting for up to 30s ('--request-timeout')"
    assert said[0] == f"No response from http://127.0.0.1:1 yet; {limit}.\n"


def test_option_after_the_verb_overrules_the_one_before_it(capsys: pytest.CaptureFixture[str]) -> None:
    """An alias such as `test-coordinator --server URL` can be overruled."""
    with scripted_api(EMPTY) as server:
        before = ("--server", "http://127.0.0.1:1", "runs")
        assert call(capsys, *before, "--server", server.url, "--server", server.url) == (
            0,
            "",
            "No runs match.\n",
        )


def test_variable_is_given_one_value(capsys: pytest.CaptureFixture[str]) -> None:
    with scripted_api(EMPTY) as server:
        words = ("run", "slow", "--var", "a=1", "--var", "b=1", "--var", "a=2", "--server", server.url)
        code, _, err = call(capsys, *words)
    assert (code, err) == (2, "'a' is given two values with '--var'; give it one\n")


def test_token_that_is_not_accepted_is_named_by_its_place(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with scripted_api(problem(401, "The token is unknown.")) as server:
        code, _, err = call(capsys, "runs", "--server", server.url)
        assert (code, "The token came from" in err) == (8, False)
        monkeypatch.setenv("TEST_COORDINATOR_TOKEN", "tc_old")
        code, _, err = call(capsys, "runs", "--server", server.url)
    assert (code, err.endswith(" The token came from TEST_COORDINATOR_TOKEN.\n")) == (8, True), err


def test_error_is_a_document_with_json(capsys: pytest.CaptureFixture[str]) -> None:
    """So that a script can read its code; the sentence is on standard error as ever."""
    wrong = {"path": "body.url", "message": "is not an address"}
    refused = problem(422, "Values are not valid.", wrong)
    with scripted_api(refused) as server:
        words = ("service", "add", "till", "--url", "tcp://a:1", "--json", "--server", server.url)
        code, out, err = call(capsys, *words)
    error = json.loads(out)["error"]
    assert (code, error["status"], error["errors"]) == (2, 422, [wrong])
    assert err == f"{error['detail']}\n"
    code, out, _ = call(capsys, "runs", "--json", "--server", f"http://127.0.0.1:{free_port()}")
    assert (code, json.loads(out)["error"]["code"]) == (9, "unavailable")
    with scripted_api(EMPTY) as server:
        code, out, _ = call(capsys, "status", "0000", "--json", "--server", server.url)
    assert (code, json.loads(out)["error"]["code"]) == (7, "not_found")


def test_folder_cannot_be_run_and_a_document_in_it_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "slow.yaml").touch()
    monkeypatch.chdir(tmp_path)
    example = "give one file, for example 'documents/slow.yaml'."
    with scripted_api(problem(404, "There is no scenario."), EMPTY) as server:
        for folder in ("documents", "./documents", "documents/"):
            code, out, err = call(capsys, "run", folder, "--server", server.url)
            assert (code, out, err) == (2, "", f"'documents' is a folder with 1 document; {example}\n")
    (tmp_path / "slow").touch()
    with scripted_api(problem(404, "There is no scenario."), EMPTY) as server:
        code, _, err = call(capsys, "run", "slow", "--server", server.url)
        assert (code, err) == (7, "There is no scenario 'slow'; to run the file, write './slow'.\n")
    assert "There is no file or folder 'x.y'." in call(capsys, "run", "x.y", "--server", server.url)[2]


def test_interrupted_suite_continues_and_says_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("coordinator_client.command_line.suite_verbs.time.sleep", interrupt)
    row: dict[str, Any] = {
        "id": RUN,
        "suite": "shop",
        "status": "running",
        "reason": "",
        "created_at": "2026-11-27T03:00:00Z",
    }
    row |= {"finished_at": None, "created_by": None, "origin": "api", "stopping": False, "cells": []}
    with scripted_api(Answer(row)) as server:
        code, _, err = call(capsys, "suite", "run", "shop", "--server", server.url)
    command = f"'test-coordinator suite stop shop --server {server.url}'"
    assert (code, err) == (130, f"The suite continues; stop it with {command}.\n")


def test_key_that_no_header_may_have_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for key in ("", "a b", "é", "x" * 256):
        code, _, err = call(capsys, "run", "short", "--idempotency-key", key)
        assert (code, "use 1 to 255 visible ASCII characters" in err) == (2, True), err
    with scripted_api(problem(404, "There is no scenario."), EMPTY) as server:
        call(capsys, "run", "short", "--idempotency-key", "job-5", "--server", server.url)
    assert server.asked[0].headers["Idempotency-Key"] == "job-5"


@pytest.mark.parametrize("words", [("--json", "webhook", "list"), ("webhook", "--json", "list")])
def test_json_is_asked_for_at_any_place(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with scripted_api(EMPTY) as server:
        code, out, _ = call(capsys, "--server", server.url, *words)
    assert (code, json.loads(out)) == (0, {"items": []})


def test_versions_of_both_are_shown_and_the_own_one_without_a_coordinator(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with scripted_api(HEALTH) as server:
        code, out, _ = call(capsys, "version", "--json", "--server", server.url)
    assert (code, json.loads(out)["coordinator"], json.loads(out)["server"]) == (0, "9.8.7", server.url)
    code, out, err = call(capsys, "version")
    assert (code, out.startswith("Client: "), "No coordinator is named" in err) == (0, True, True)
    code, out, err = call(capsys, "version", "--server", f"http://127.0.0.1:{free_port()}")
    assert (code, out.startswith("Client: "), "cannot be reached" in err) == (9, True, True)


@pytest.mark.parametrize("address", ["coordinator.example:8080", "localhost:8080/tc"])
def test_address_without_a_scheme_is_answered_with_one(
    address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = call(capsys, "list", "--server", address)
    assert (code, f"did you mean 'http://{address}'?" in err) == (2, True), err


def test_token_of_a_file_of_windows_loses_its_line_end(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_COORDINATOR_TOKEN", "tc_one\r\n")
    with scripted_api(EMPTY) as server:
        assert call(capsys, "runs", "--server", f"{server.url}\r")[0] == 0
    assert server.asked[0].headers["Authorization"] == "Bearer tc_one"


def test_filters_of_runs_are_those_of_the_api(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--rollback", "dirty", "--by", "ada", "--since", "2026-01-01", "--until", "2026-01-02T03:04:05Z")
    with scripted_api(EMPTY) as server:
        assert call(capsys, "runs", "--server", server.url, *words)[0] == 0
    assert server.asked[0].path.startswith(
        "/api/v1/runs?rollback=dirty&since=2026-01-01T00%3A00%3A00%2B00%3A00"
        "&until=2026-01-02T03%3A04%3A05%2B00%3A00&by=ada&"
    )


def test_times_that_are_over_are_given_as_moments_or_as_durations() -> None:
    assert parse_moment("2026-01-01") == datetime(2026, 1, 1, tzinfo=UTC)
    assert parse_moment("2026-01-01T02:00:00+02:00") == datetime(2026, 1, 1, tzinfo=UTC)
    for text, past in (("90m", timedelta(minutes=90)), ("7d", timedelta(days=7)), ("2w", timedelta(weeks=2))):
        before = datetime.now(UTC)
        assert before <= parse_moment(text) + past <= datetime.now(UTC)


def test_status_of_a_run_names_what_is_still_injected(capsys: pytest.CaptureFixture[str]) -> None:
    run = run_row("failed", rollback="dirty", reason="the price is wrong", url="https://tc.example/runs/1")
    left = fault_row(reason="status is 500")
    pages = [Answer({"items": [row], "next_cursor": None}) for row in (run, left)]
    with scripted_api(pages[0], Answer(run), pages[1]) as server:
        code, out, _ = call(capsys, "status", RUN[:8], "--server", server.url)
    assert code == 0
    assert out.splitlines()[0] == f"short, run {RUN}: failed, rollback dirty"
    assert "Reason: the price is wrong" in out
    assert "Began (UTC): 2026-11-27 03:00:00" in out
    assert "Page: https://tc.example/runs/1" in out
    assert out.splitlines()[-1] == "Fault 7, break it, outstanding: status is 500"
    assert server.asked[2].path.startswith(f"/api/v1/faults?run={RUN}&outstanding=true")


def test_new_service_needs_an_address_and_a_changed_one_keeps_its_own(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, _, err = call(capsys, "service", "add", "shop", "--protected", "--server", "http://127.0.0.1:1")
    assert (code, "give it with '--url'" in err) == (2, True)
    row = {"name": "shop", "base_url": "http://shop.example", "description": "", "protected": False}
    with scripted_api(Answer(row)) as server:
        words = ("service", "add", "shop", "--protected", "--replace", "--server", server.url)
        assert call(capsys, *words)[0] == 0
    assert json.loads(server.asked[1].body) == {"base_url": "http://shop.example", "protected": True}


def test_words_are_those_of_the_coordinator() -> None:
    assert list(EVENT_KINDS) == [str(kind) for kind in EventKind]
    assert list(WEBHOOK_EVENTS) == [str(message) for message in SUBSCRIBABLE]
    assert list(WEBHOOK_KINDS) == [str(kind) for kind in WebhookKind]


def test_kind_that_an_older_coordinator_refuses_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    wrong = {"path": "query.kind.0", "message": "unknown kind 'run_finished'"}
    with scripted_api(problem(422, "Parameters are invalid.", wrong)) as server:
        code, _, err = call(
            capsys, "events", "--kind", "run_finished", "--after", "5", "--server", server.url
        )
    assert (code, "Invalid kind.0: unknown kind 'run_finished'" in err) == (2, True), err
    assert server.asked[0].path == "/api/v1/events?kind=run_finished&wait=20"
    assert server.asked[0].headers["Last-Event-ID"] == "5"


def test_output_without_a_place_is_one_sentence() -> None:
    """A full disk, and a closed standard output."""
    command = f"{sys.executable} -m coordinator_client.command_line.program"
    with scripted_api(EMPTY) as server:
        for redirection, said in (
            (">/dev/full", "No space left on device"),
            (">&-", "Bad file descriptor"),
        ):
            line = f"exec {command} runs --json --server {server.url} {redirection}"
            done = subprocess.run(
                ["bash", "-c", line], cwd=PROJECT, capture_output=True, text=True, check=False, timeout=600
            )
            assert (done.returncode, said in done.stderr) == (2, True), done.stderr
            assert "Traceback" not in done.stderr


def test_server_without_tls_is_no_question_of_certificates(capsys: pytest.CaptureFixture[str]) -> None:
    with scripted_api(EMPTY) as server:
        address = server.url.replace("http://", "https://")
        code, _, err = call(capsys, "runs", "--server", address)
    assert (code, "does not speak TLS" in err, "certificate" in err) == (2, True, False), err


def test_each_invalid_field_is_named_with_its_hint(capsys: pytest.CaptureFixture[str]) -> None:
    errors = [
        {"path": f"body.{name}", "message": "invalid value", "hint": "write it as 'HH:MM'"}
        for name in ("window_from", "window_to")
    ]
    words = ("schedule", "set", "n", "--scenario", "s", "--cron", "0 3 * * *", "--window", "1-2")
    with scripted_api(problem(404, "Missing."), problem(422, "Invalid.", *errors)) as server:
        code, _, err = call(capsys, *words, "--server", server.url)
    assert code == 2
    assert "Invalid window_from: invalid value (write it as 'HH:MM')" in err
    assert "Invalid window_to: invalid value (write it as 'HH:MM')" in err


@pytest.mark.parametrize(
    "words",
    [
        *(("import", ""), ("validate", "a.yaml", ""), ("run", ""), ("show", ""), ("service", "remove", "")),
        *(("export", "--all", ""), ("export", "one", "-o", ""), ("run", "one", "--junit", "")),
    ],
)
def test_an_empty_name_is_no_folder_and_no_file(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """As from a variable of the shell that is not set; 'import "" --prune' would have deleted scenarios."""
    code, out, err = call(capsys, *words)
    assert (code, out) == (2, "")
    assert "'' is empty; perhaps a variable of the shell is not set" in err
