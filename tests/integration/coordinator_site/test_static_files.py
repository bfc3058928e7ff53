"""Static files come compressed where a current copy of them was collected."""

import os
from pathlib import Path

import pytest
from django.core.management import call_command
from django.http import HttpRequest, HttpResponse
from django.templatetags.static import static
from django.test import RequestFactory
from pytest_django.fixtures import Settings

from coordinator_site.static_files import StaticFilesMiddleware

pytestmark = pytest.mark.django_db  # a response that is closed looks after the connections

SCRIPT = "scenarios/page.js"
OTHERS = ["admin*", "django_htmx*", "ninja*", "simple_history*", "rest_framework*", "import_export*"]


def find_encoding(validator: str = "") -> tuple[int, str, str]:
    """Status, encoding and validator of the script, as a process answers that starts now."""

    def answer_rest(_request: HttpRequest) -> HttpResponse:
        return HttpResponse(status=404)

    headers = {"Accept-Encoding": "gzip", **({"If-None-Match": validator} if validator else {})}
    request = RequestFactory().get(f"/static/{SCRIPT}", headers=headers)
    response = StaticFilesMiddleware(answer_rest)(request)
    response.close()
    return response.status_code, response.get("Content-Encoding", ""), response.get("ETag", "")


def test_a_file_is_compressed_once_it_is_collected_until_its_source_is_newer(
    settings: Settings, tmp_path: Path
) -> None:
    settings.STATIC_ROOT = tmp_path
    assert find_encoding()[:2] == (200, "")
    call_command("collectstatic", interactive=False, verbosity=0, ignore_patterns=OTHERS)
    status, encoding, validator = find_encoding()
    assert (status, encoding) == (200, "gzip")
    assert find_encoding(validator)[0] == 304
    os.utime(tmp_path / SCRIPT, (1, 1))
    assert find_encoding()[:2] == (200, "")


def test_browsers_keep_the_version_of_a_file_that_a_page_names(settings: Settings, tmp_path: Path) -> None:
    settings.STATIC_ROOT = tmp_path
    serve = StaticFilesMiddleware(lambda _request: HttpResponse(status=404))

    def read_lifetime(address: str) -> str:
        answer = serve(RequestFactory().get(address))
        answer.close()
        assert answer.status_code == 200
        return str(answer["Cache-Control"])

    address = static(SCRIPT)
    assert address.startswith(f"/static/{SCRIPT}?v=")
    assert "immutable" in read_lifetime(address)
    for other in (f"/static/{SCRIPT}", f"/static/{SCRIPT}?v=other", address.replace("page.js", "times.js")):
        assert read_lifetime(other) == "max-age=60, public"
    assert "?" not in static("nothing/there.js")


@pytest.mark.parametrize("path", ["scenarios/times.js", "scenarios/editor.js"])
def test_files_are_served_without_being_collected(settings: Settings, tmp_path: Path, path: str) -> None:
    settings.STATIC_ROOT = tmp_path
    answer = StaticFilesMiddleware(lambda _request: HttpResponse(status=404))(
        RequestFactory().get(f"/static/{path}")
    )
    answer.close()
    assert answer.status_code == 200
