"""A body without a length is read as one with it, and no more of it than is allowed."""

from collections.abc import Iterable
from io import BytesIO
from typing import Any

import pytest
from django.core.exceptions import RequestDataTooBig
from django.core.handlers.wsgi import WSGIRequest

from coordinator_site.chunked_bodies import read_chunked_bodies

MAX_BYTES = 2_621_440
CHUNKED = {"HTTP_TRANSFER_ENCODING": "chunked"}


def ask(content: bytes, **more: Any) -> WSGIRequest:
    found = []

    def application(environ: dict[str, Any], _start_response: Any) -> Iterable[bytes]:
        found.append(WSGIRequest(environ))
        return []

    environ = {"REQUEST_METHOD": "POST", "wsgi.input": BytesIO(content), "wsgi.input_terminated": True}
    read_chunked_bodies(application, MAX_BYTES)({**environ, **more}, lambda *_: None)
    return found[0]


def test_a_body_without_a_length_is_read() -> None:
    assert ask(b'{"variables": {}}', **CHUNKED).body == b'{"variables": {}}'
    assert ask(b"", **CHUNKED).body == b""


def test_a_body_that_is_too_large_is_refused_as_with_a_length() -> None:
    request = ask(b"x" * (MAX_BYTES + 10_000), **CHUNKED)
    assert request.META["CONTENT_LENGTH"] == str(MAX_BYTES + 1)
    with pytest.raises(RequestDataTooBig):
        request.body  # noqa: B018 - reads it


def test_other_requests_are_left_alone() -> None:
    assert ask(b"abcdef", CONTENT_LENGTH="3").body == b"abc"
    # Such a server would wait for more than the body.
    assert ask(b"abc", **CHUNKED, **{"wsgi.input_terminated": False}).body == b""
