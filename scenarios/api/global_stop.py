"""The global stop."""

from datetime import datetime
from http import HTTPStatus
from typing import Any

from django.http import HttpRequest
from ninja import Field, Router, Schema, Status
from ninja.decorators import decorate_view

from scenarios.api.access import caller_of, needs
from scenarios.api.bodies import Body
from scenarios.api.description import OF_A_BODY, REFUSALS, WRITES_ONCE
from scenarios.api.idempotency import carried_out_once
from scenarios.domain.outputs import make_storable
from scenarios.models import GlobalStop
from scenarios.runs import global_stop

router = Router(tags=["the global stop"])


class WhyStop(Body):
    reason: str = Field(min_length=1, max_length=300)


class Stopped(Schema):
    stopped_runs: int


class Standing(Schema):
    """By whom, why and since when: null and empty while it is not pulled."""

    pulled: bool
    pulled_at: datetime | None
    pulled_by: str
    reason: str


@router.get("/stop", response={200: Standing, **REFUSALS})
@needs("scenarios.view_run")
def get_global_stop(request: HttpRequest) -> dict[str, Any]:
    """Whether the global stop is pulled, so that no run begins."""
    stop = GlobalStop.objects.filter(pk=GlobalStop.ONLY).first() or GlobalStop()
    standing = {"pulled_at": stop.pulled_at, "pulled_by": stop.pulled_by, "reason": stop.reason}
    return {"pulled": stop.pulled_at is not None, **standing}


@router.post(
    "/stop", response={200: Stopped, **REFUSALS, **OF_A_BODY}, url_name="stop", openapi_extra=WRITES_ONCE
)
@needs("scenarios.pull_globalstop")
@decorate_view(carried_out_once)
def pull_global_stop(request: HttpRequest, why: WhyStop) -> dict[str, int]:
    """Stop everything: running runs end `aborted` with their faults undone, and none begins."""
    caller = caller_of(request)
    stopped = global_stop.pull_global_stop(by=caller.user.get_username(), reason=make_storable(why.reason))
    return {"stopped_runs": stopped}


@router.delete("/stop", response={204: None, **REFUSALS}, openapi_extra=WRITES_ONCE)
@needs("scenarios.pull_globalstop")
@decorate_view(carried_out_once)
def release_global_stop(request: HttpRequest) -> Status[None]:
    """Let runs begin again."""
    global_stop.release_global_stop()
    return Status(HTTPStatus.NO_CONTENT, None)
