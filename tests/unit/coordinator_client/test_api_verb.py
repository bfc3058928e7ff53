"""`test-coordinator api` sends any request, as `gh api` does, and only to the server of the token."""

import io
import json
import os
import sys
from pathlib import Path

import pytest

from coordinator_client.command_line import program
from tests.servers.scripted_api import Answer, ScriptedApi, problem, scripted_api

TOKEN = "tc_secret-of-the-tests"


@pytest.fixture(autouse=True)
def no_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SERVER", "TOKEN_FILE", "PROFILE"):
        monkeypatch.delenv(f"TEST_COORDINATOR_{name}", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("TEST_COORDINATOR_TOKEN", TOKEN)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"{}")))
    for name in ("a.json", "a.yaml"):
        (tmp_path / name).write_text("{}")


def call(capsys: pytest.CaptureFixture[str], server: ScriptedApi, *words: str) -> tuple[int, str, str]:
    try:
        code = program.main(["api", *words, "--server", server.url])
    except SystemExit as exited:
        code = int(exited.code or 0)
    said = capsys.readouterr()
    return code, said.out, said.err


@pytest.mark.parametrize(
    "path", ["runs?by=ada b", "/runs?by=ada b", "/api/v1/runs?by=ada b", "URL/api/v1/runs?by=ada b"]
)
def test_address_may_be_given_as_the_api_writes_it(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    with scripted_api(Answer({"items": [{"name": "ä"}]})) as server:
        code, out, _ = call(capsys, server, path.replace("URL", server.url))
    assert (code, json.loads(out)) == (0, {"items": [{"name": "ä"}]})
    (asked,) = server.asked
    assert (asked.method, asked.path) == ("GET", "/api/v1/runs?by=ada%20b")
    assert asked.headers["Authorization"] == f"Bearer {TOKEN}"


def test_token_goes_to_no_other_server(capsys: pytest.CaptureFixture[str]) -> None:
    with scripted_api(Answer({})) as server:
        for path in ("https://other.example/api/v1/runs", f"{server.url}.other.example/api/v1/runs"):
            code, _, err = call(capsys, server, path)
            assert (code, f"is not an address of {server.url}" in err) == (2, True), err
    assert server.asked == []


@pytest.mark.parametrize(
    ("words", "method", "content_type"),
    [
        (("--input", "a.json"), "POST", "application/json"),
        (("--input", "a.yaml", "-X", "put"), "PUT", "application/yaml"),
        (("--input", "-", "-X", "PATCH"), "PATCH", "application/merge-patch+json"),
        (("--input", "a.json", "-H", "content-type: text/plain"), "POST", "text/plain"),
    ],
)
def test_body_comes_from_a_file(
    words: tuple[str, ...],
    method: str,
    content_type: str,
    files: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with scripted_api(Answer(b"", 204)) as server:
        code, out, _ = call(capsys, server, "services/x", *words, "-H", 'If-Match: "7"')
    assert (code, out) == (0, "")
    (asked,) = server.asked
    assert (asked.method, asked.body, asked.headers["Content-Type"]) == (method, b"{}", content_type)
    assert asked.headers["If-Match"] == '"7"'


def test_pages_are_read_to_the_last_one(capsys: pytest.CaptureFixture[str]) -> None:
    pages = (Answer({"items": [1, 2], "next_cursor": "a&b"}), Answer({"items": [3], "next_cursor": None}))
    with scripted_api(*pages) as server:
        code, out, _ = call(capsys, server, "runs?limit=2", "--paginate")
        paths = [asked.path for asked in server.asked]
        refused = call(capsys, server, "runs", "--paginate", "-X", "POST")
    assert (code, json.loads(out)) == (0, {"items": [1, 2, 3]})
    assert paths == ["/api/v1/runs?limit=2", "/api/v1/runs?limit=2&cursor=a%26b"]
    assert (refused[0], "it cannot be used with POST" in refused[2]) == (2, True)


def test_refusal_is_written_with_each_error_and_its_place(capsys: pytest.CaptureFixture[str]) -> None:
    """The body to standard output, where a program reads it, as by `gh api`."""
    wrong = {"path": "query", "message": "unknown filter 'x'", "hint": "choose one of y"}
    with scripted_api(problem(422, "The request is invalid.", wrong), problem(500, "It failed.")) as server:
        code, out, err = call(capsys, server, "runs?x=1")
        headed = call(capsys, server, "runs", "-i")
    assert (code, json.loads(out)["errors"]) == (2, [wrong])
    head, _, body = headed[1].partition("\n\n")
    assert (headed[0], head.splitlines()[0]) == (2, "HTTP/1.1 500 Internal Server Error")
    assert json.loads(body)["detail"] == "It failed."
    assert err == "The request is invalid. (422)\nquery: unknown filter 'x'; choose one of y\n"


def test_what_is_wrong_in_a_document_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    wrong = {"path": "spec", "message": "unknown field 'x'", "line": 3, "column": 5}
    with scripted_api(problem(422, "The document is invalid.", wrong)) as server:
        _, _, err = call(capsys, server, "plan", "-f", "document=x")
    assert err == "The document is invalid. (422)\nspec, line 3, column 5: unknown field 'x'\n"


def test_proxy_that_answers_with_a_page_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    page = Answer(b"<h1>Bad \xff</h1>", 404, {"Content-Type": "text/html"})
    with scripted_api(page) as server:
        code, out, err = call(capsys, server, "runs", "-i")
    assert (code, out.endswith("<h1>Bad \ufffd</h1>")) == (9, True)
    assert "check that this is a coordinator's address" in err


def test_report_is_written_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    report = Answer("<ä/>".encode(), 200, {"Content-Type": "text/xml"})
    with scripted_api(report) as server:
        assert call(capsys, server, "runs/1/report?format=junit")[:2] == (0, "<ä/>")


@pytest.mark.parametrize("header", ["If-Match", "a b: c", "A: b\r\nc: d", ": b"])
def test_invalid_header_is_refused(header: str, capsys: pytest.CaptureFixture[str]) -> None:
    with scripted_api(Answer({})) as server:
        code, _, err = call(capsys, server, "runs", "-H", header)
    assert (code, server.asked, "write it as NAME:VALUE" in err) == (2, [], True)


def test_body_is_read_from_a_pipe_of_the_shell(capsys: pytest.CaptureFixture[str]) -> None:
    """As `--input <(command)` gives it: a file that is no regular one."""
    read, write = os.pipe()
    os.write(write, b'{"a": 1}')
    os.close(write)
    with scripted_api(Answer(b"", 204)) as server:
        assert call(capsys, server, "services/x", "-X", "PUT", "--input", f"/dev/fd/{read}")[0] == 0
    os.close(read)
    assert server.asked[0].body == b'{"a": 1}'


def test_fields_are_the_body_or_the_parameters(files: None, capsys: pytest.CaptureFixture[str]) -> None:
    raw = ("reason=5", "tags[]=a")
    typed = ("variables[delay_ms]=5", "variables[rate]=-0.5", "wait=false", "environment=null", "tags[]=007")
    words = [word for field in raw for word in ("-f", field)]
    words += [word for field in (*typed, "document=@a.yaml") for word in ("-F", field)]
    with scripted_api(Answer({}, 201)) as server:
        assert call(capsys, server, "scenarios/x/runs", *words)[0] == 0
        assert call(capsys, server, "runs?limit=2", "-X", "GET", "-f", "text=a b", "-F", "limit=3")[0] == 0
        assert call(capsys, server, "x", "--input", "a.json", "-f", "check=yes")[0] == 0
        refused = call(capsys, server, "x", "-f", "a=1", "-f", "a[b]=1")
        twice = call(capsys, server, "x", "-f", "a=1", "-f", "a=2")
        missing = call(capsys, server, "x", "-F", "a=@missing.txt")
    body, listed, both = server.asked
    assert (body.method, body.headers["Content-Type"]) == ("POST", "application/json")
    values = {"delay_ms": 5, "rate": -0.5}
    expected = {"reason": "5", "variables": values, "wait": False, "environment": None}
    assert json.loads(body.body) == {**expected, "tags": ["a", "007"], "document": "{}"}
    assert (listed.method, listed.path) == ("GET", "/api/v1/runs?limit=2&text=a+b&limit=3")
    assert (both.path, both.body) == ("/api/v1/x?check=yes", b"{}")
    assert (refused[0], "'a[b]' is given in two forms" in refused[2]) == (2, True)
    assert (twice[0], "'a' is given twice" in twice[2]) == (2, True)
    assert (missing[0], "There is no file or folder 'missing.txt'" in missing[2]) == (2, True)


def test_status_and_headers_are_included(capsys: pytest.CaptureFixture[str]) -> None:
    with scripted_api(Answer({"a": 1}, 201, {"ETag": '"7"'})) as server:
        code, out, _ = call(capsys, server, "x", "-i", "-X", "POST")
        assert call(capsys, server, "x", "-i", "--paginate")[0] == 2
    head, _, body = out.partition("\n\n")
    assert (code, head.splitlines()[0], json.loads(body)) == (0, "HTTP/1.1 201 Created", {"a": 1})
    assert 'Etag: "7"' in head.splitlines()


def test_head_writes_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    with scripted_api(Answer({"a": 1}, 200, {"ETag": '"7"'})) as server:
        code, out, _ = call(capsys, server, "x", "-X", "head", "-f", "limit=1")
    assert (code, out.splitlines()[0], out.endswith("\n\n")) == (0, "HTTP/1.1 200 OK", True)
    assert 'Etag: "7"' in out.splitlines()
    assert (server.asked[0].method, server.asked[0].path) == ("HEAD", "/api/v1/x?limit=1")
