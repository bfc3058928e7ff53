"""The id of a request is in its answer and in what was logged of it."""

import logging

import pytest
from django.test import AsyncClient, Client

from scenarios.domain import log_context


def test_an_answer_has_the_id_that_was_sent_or_a_new_one(client: Client) -> None:
    assert client.get("/api/v1/health", headers={"X-Request-ID": "abc-1"})["X-Request-ID"] == "abc-1"
    new = client.get("/api/v1/health", headers={"X-Request-ID": "no id"})["X-Request-ID"]
    assert len(new) == 32
    assert client.get("/api/v1/health")["X-Request-ID"] != new


async def test_an_answer_of_the_asynchronous_server_has_it_too(async_client: AsyncClient) -> None:
    answer = await async_client.get("/api/v1/health", headers={"X-Request-ID": "abc-2"})
    assert answer["X-Request-ID"] == "abc-2"


def test_log_lines_after_the_response_have_the_request_id(client: Client) -> None:
    found: list[str | None] = []

    class Noting(logging.Handler):
        def emit(self, _record: logging.LogRecord) -> None:
            found.append(log_context.bound().get("request_id"))

    handler = Noting()
    logging.getLogger("django.request").addHandler(handler)
    try:
        client.get("/nowhere", headers={"X-Request-ID": "abc-3"})
    finally:
        logging.getLogger("django.request").removeHandler(handler)
    assert found == ["abc-3"]


@pytest.mark.django_db
def test_the_metrics_still_count_the_request(client: Client) -> None:
    client.get("/api/v1/health")
    assert b'route="api:health"' in client.get("/metrics").content
