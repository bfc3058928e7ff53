"""A report tells what happened, in four shapes, with the same bytes wherever it is asked for."""

import json
from io import StringIO
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from scenarios.domain.outcomes import Rollback
from scenarios.models import Fault, Run
from scenarios.reports import FORMATS, render_report
from scenarios.runs import faults
from tests.integration.scenarios.story_rows import DOCUMENT, NOTICED, SLOWED, Telling

pytestmark = pytest.mark.django_db


@pytest.fixture
def run() -> Run:
    telling = Telling()
    telling.begin()
    return telling.finish()


def asked_for_on_the_page(client: Client, run: Run, name: str) -> bytes:
    answer = client.get(reverse("admin:scenarios_run_report", args=[run.pk]), {"format": name})
    assert answer["Content-Type"].startswith(FORMATS[name].media_type)
    return bytes(answer.content)


@pytest.mark.parametrize("name", FORMATS)
def test_page_and_command_line_give_the_same_bytes(
    admin_client: Client, run: Run, tmp_path: Path, name: str
) -> None:
    file = tmp_path / "report"
    call_command("scenario", "report", str(run.pk), "--format", name, "--output", str(file))
    printed = StringIO()
    call_command("scenario", "report", str(run.pk)[:8], "--format", name, stdout=printed)
    assert file.read_bytes() == printed.getvalue().encode() == asked_for_on_the_page(admin_client, run, name)


def test_format_is_that_of_the_file_or_for_people(run: Run, tmp_path: Path) -> None:
    def write(*words: str) -> str:
        printed = StringIO()
        call_command("scenario", "report", "latest", *words, stdout=printed)
        return printed.getvalue()

    assert write() == render_report(run, "md").decode()
    assert write("--json") == render_report(run, "json").decode()
    for file, name in (
        ("a.html", "html"),
        ("a.xml", "junit"),
        ("a.JSON", "json"),
        ("a.md", "md"),
        ("a", "md"),
    ):
        write("-o", str(tmp_path / file))
        assert (tmp_path / file).read_bytes() == render_report(run, name)


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_contains_verdict_fault_and_validation(run: Run, name: str) -> None:
    written = render_report(run, name).decode()
    told = [NOTICED, run.scenario_name] + ([SLOWED, "every validation held"] if name != "junit" else [])
    for words in told:
        assert words in written


def test_json_contains_times_and_document(run: Run) -> None:
    content = json.loads(render_report(run, "json"))
    assert (content["status"], content["rollback"], content["version"]) == ("passed", "clean", 1)
    assert content["time_to_detect"] == 0.8
    assert content["document"] == DOCUMENT
    assert content["steps"][1]["seen"] == {"status": 200}
    assert content["faults"][0]["state"] == "undone"


def test_junit_counts_failed_validations_and_a_dirty_rollback() -> None:
    telling = Telling()
    telling.begin()
    telling.tell("validation_started", "orders are still accepted")
    telling.tell("validation_failed", "orders are still accepted", reason="status \x1b was 500")
    suite = ET.fromstring(render_report(telling.finish(Rollback.DIRTY), "junit")).find("testsuite")  # noqa: S314 - our own
    assert suite is not None
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("4", "2", "0")
    messages = [failure.get("message", "") for failure in suite.iter("failure")]
    assert any("was 500" in message for message in messages)
    assert any("503" in message for message in messages)
    assert faults.acknowledge_fault(Fault.objects.get(), by="ada", reason="the host is gone")
    run = Run.objects.get()
    assert run.rollback == Rollback.CLEAN
    suite = ET.fromstring(render_report(run, "junit")).find("testsuite")  # noqa: S314 - our own
    assert suite is not None
    assert suite.get("failures") == "1"
    words = suite.findtext("testcase[@name='nothing is left injected']/system-out") or ""
    assert words.startswith("acknowledged without an undo: ")
    assert words.endswith(", by ada: the host is gone")


def test_html_report_is_one_file_without_scripts_or_resources(admin_client: Client, run: Run) -> None:
    answer = admin_client.get(reverse("admin:scenarios_run_report", args=[run.pk]))
    content = answer.content.decode()
    for forbidden in ("<script", "src=", "<link", " style=", "url(", "@import"):
        assert forbidden not in content
    assert answer["Content-Security-Policy"].startswith("default-src 'none'; style-src 'sha256-")
    assert content.count("<svg") >= 2


def test_answers_of_services_do_not_become_markup() -> None:
    telling = Telling()
    sly = "<script>alert(1)</script> | `x` [a](b)"
    telling.tell("validation_started", NOTICED)
    telling.tell("validation_failed", NOTICED, reason=sly, seen={"body": sly})
    run = telling.finish()
    assert "<script" not in render_report(run, "html").decode()
    assert "<script" not in render_report(run, "junit").decode()
    assert r"\<script\>alert(1)\</script\> \| \`x\` \[a\](b)" in render_report(run, "md").decode()


def test_unknown_format_is_refused(admin_client: Client, run: Run) -> None:
    answer = admin_client.get(reverse("admin:scenarios_run_report", args=[run.pk]), {"format": "pdf"})
    assert answer.status_code == 404
    with pytest.raises(ValueError, match="unknown report format 'pdf'; choose one of html, json, junit, md"):
        render_report(run, "pdf")


def test_nan_and_infinity_become_text_in_json(run: Run) -> None:
    run.variables = {"limit": float("nan"), "limits": [float("inf")]}
    written = json.loads(
        render_report(run, "json"), parse_constant=lambda name: pytest.fail(f"{name} is not JSON")
    )
    assert written["variables"] == {"limit": "nan", "limits": ["inf"]}
