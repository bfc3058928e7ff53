"""Which responses count as done, for an action and for an undo by the http driver."""

import asyncio
from typing import Any

import pytest
from pydantic import ValidationError

from scenarios.domain.errors import StepFailed, StepNotDone, StepNotSent
from scenarios.drivers.http import Http
from scenarios.drivers.http_arguments import HttpArguments

from .conftest import Platform, Respond, Serve

REDIRECTS = (301, 302, 303, 304, 307, 308)


def asked(**words: Any) -> HttpArguments:
    return HttpArguments.model_validate({"service": "exchange", "timeout": "5s", **words})


def answering(status: int, location: str = "", end: int = 200, more: str = "") -> Respond:
    """`/end` answers `end`; every other path answers `status`, with the location where there is one.

    `more` is another header line.
    """

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        found = end if b" /end " in request else status
        place = f"Location: {location}\r\n" if location and found == status else ""
        length = "" if found == 304 else "Content-Length: 0\r\n"
        writer.write(f"HTTP/1.1 {found} X\r\n{place}{more}{length}Connection: close\r\n\r\n".encode())
        await writer.drain()

    return respond


@pytest.mark.parametrize("status", [200, 201, 202, 204, 206, 299])
async def test_2xx_is_done(serve: Serve, status: int) -> None:
    platform = Platform(await serve(answering(status)))
    assert (await Http().act(asked(method="POST"), platform))["status"] == status
    assert (await Http().undo(asked(method="POST"), platform))["status"] == status


@pytest.mark.parametrize("status", [101, *REDIRECTS, 300, 400, 404, 409, 410, 500, 503, 599, 700])
@pytest.mark.parametrize("verb", ["act", "undo"])
async def test_no_other_status_is_done(serve: Serve, status: int, verb: str) -> None:
    platform = Platform(await serve(answering(status, "/end")))
    with pytest.raises(StepNotDone, match=f"answered {status} to POST /") as failure:
        await getattr(Http(), verb)(asked(method="POST"), platform)
    assert not isinstance(failure.value, StepNotSent)


@pytest.mark.parametrize(("status", "seconds"), [(503, 7.0), (429, 7.0), (500, 0.0)])
async def test_a_busy_target_may_ask_to_be_left_alone(serve: Serve, status: int, seconds: float) -> None:
    platform = Platform(await serve(answering(status, more="Retry-After: 7\r\n")))
    with pytest.raises(StepNotDone) as failure:
        await Http().act(asked(method="POST"), platform)
    assert failure.value.retry_after == seconds


@pytest.mark.parametrize("status", [502, 504, 520, 524])
async def test_gateway_error_does_not_prove_that_nothing_was_done(serve: Serve, status: int) -> None:
    platform = Platform(await serve(answering(status)))
    with pytest.raises(StepFailed, match=f"answered {status}") as failure:
        await Http().act(asked(method="POST"), platform)
    assert not isinstance(failure.value, StepNotDone)


async def test_202_where_it_does_not_count_as_done_may_still_be_carried_out(serve: Serve) -> None:
    platform = Platform(await serve(answering(202)))
    with pytest.raises(StepFailed, match="answered 202") as failure:
        await Http().act(asked(method="POST", ok=[200]), platform)
    assert not isinstance(failure.value, StepNotDone)
    assert not Http().is_of_target({"status": 202})  # so that an `expect` that it does not meet says no more


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(("end", "done"), [(200, True), (204, True), (404, False), (500, False)])
async def test_followed_redirect_counts_by_its_final_status(
    serve: Serve, status: int, end: int, *, done: bool
) -> None:
    platform = Platform(await serve(answering(status, "/end", end)))
    arguments = asked(method="POST", follow_redirects=True)
    if done:
        assert (await Http().undo(arguments, platform))["status"] == end
    else:
        with pytest.raises(StepNotDone, match=f"answered {end}"):
            await Http().undo(arguments, platform)


@pytest.mark.parametrize("status", [302, 304])
async def test_redirect_without_location_is_not_done(serve: Serve, status: int) -> None:
    platform = Platform(await serve(answering(status)))
    with pytest.raises(StepNotDone, match=f"answered {status}"):
        await Http().undo(asked(method="DELETE", follow_redirects=True), platform)


async def test_error_for_a_redirect_names_its_target_and_the_fix(serve: Serve) -> None:
    platform = Platform(await serve(answering(307, "/end")))
    with pytest.raises(
        StepNotDone, match="a redirect to '/end' that was not followed; use 'follow_redirects"
    ):
        await Http().undo(asked(method="DELETE"), platform)


@pytest.mark.parametrize("status", [404, 410])
async def test_undo_by_delete_is_done_if_nothing_is_left(serve: Serve, status: int) -> None:
    platform = Platform(await serve(answering(status)))
    assert (await Http().undo(asked(method="delete"), platform))["gone"]
    for verb in ("act", "undo"):
        method = "DELETE" if verb == "act" else "POST"
        with pytest.raises(StepNotDone, match=str(status)):
            await getattr(Http(), verb)(asked(method=method), platform)


@pytest.mark.parametrize("status", [307, 308])
async def test_redirected_delete_counts_by_its_final_status(serve: Serve, status: int) -> None:
    platform = Platform(await serve(answering(status, "/end", 404)))
    answer = await Http().undo(asked(method="DELETE", follow_redirects=True), platform)
    assert answer["status"] == 404


@pytest.mark.parametrize("end", [404, 410])
async def test_404_to_a_get_after_a_redirected_delete_is_not_done(serve: Serve, end: int) -> None:
    platform = Platform(await serve(answering(303, "/end", end)))
    with pytest.raises(StepNotDone, match=f"answered {end}"):
        await Http().undo(asked(method="DELETE", follow_redirects=True), platform)


@pytest.mark.parametrize("verb", ["act", "undo"])
async def test_only_statuses_in_ok_count_as_done(serve: Serve, verb: str) -> None:
    step = getattr(Http(), verb)
    accepted = asked(method="DELETE", ok=[204, 302, 409.0])
    for status in (204, 302, 409):
        answer = await step(accepted, Platform(await serve(answering(status))))
        assert answer["status"] == status
    for status in (200, 404, 500):
        with pytest.raises(StepNotDone, match=str(status)):
            await step(accepted, Platform(await serve(answering(status))))


@pytest.mark.parametrize("ok", [[], [99], [600], ["200"], [True], 200, None])
def test_ok_must_be_a_list_of_statuses(ok: Any) -> None:
    with pytest.raises(ValidationError):
        asked(ok=ok)


def test_ok_refuses_the_status_of_a_followed_redirect() -> None:
    with pytest.raises(ValidationError, match="'follow_redirects' follows 302"):
        asked(ok=[200, 302], follow_redirects=True)
