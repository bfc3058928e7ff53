"""The global stop."""

from datetime import datetime
from http import HTTPStatus
from typing import Any

from django.http import HttpRequest
from ninja import Field, Router, Schema, Status
from ninja.decorators import decorate_view

from scenarios.api.access import get_caller, needs
from scenarios.api.bodies import Body
from scenarios.api.description import BODY_REFUSALS, IDEMPOTENT, REFUSALS
from scenarios.api.idempotency import run_once
from scenarios.domain.outputs import make_storable
from scenarios.models import GlobalStop
from scenarios.runs import global_stop

router = Router(tags=["global stop"])


class GlobalStopRequest(Body):
    reason: str = Field("No reason was given.", min_length=1, max_length=300)


NO_REASON = GlobalStopRequest()


class GlobalStopResult(Schema):
    stopped_runs: int


class GlobalStopState(Schema):
    """`pulled_at` is null, and `pulled_by` and `reason` are empty, while the stop is not pulled."""

    pulled: bool
    pulled_at: datetime | None
    pulled_by: str
    reason: str


@router.get("/stop", response={200: GlobalStopState, **REFUSALS})
@needs("scenarios.view_run")
def get_global_stop(request: HttpRequest) -> dict[str, Any]:
    """Show whether the global stop is pulled. While it is, no run begins."""
    stop = GlobalStop.objects.filter(pk=GlobalStop.ONLY).first() or GlobalStop()
    state = {"pulled_at": stop.pulled_at, "pulled_by": stop.pulled_by, "reason": stop.reason}
    return {"pulled": stop.pulled_at is not None, **state}


@router.post(
    "/stop",
    response={200: GlobalStopResult, **REFUSALS, **BODY_REFUSALS},
    url_name="stop",
    openapi_extra=IDEMPOTENT,
)
@needs("scenarios.pull_globalstop")
@decorate_view(run_once)
def pull_global_stop(request: HttpRequest, body: GlobalStopRequest = NO_REASON) -> dict[str, int]:
    """Stop everything: undo all faults, end all runs as `aborted`, and let none begin."""
    caller = get_caller(request)
    stopped = global_stop.pull_global_stop(by=caller.user.get_username(), reason=make_storable(body.reason))
    return {"stopped_runs": stopped}


@router.delete("/stop", response={204: None, **REFUSALS}, openapi_extra=IDEMPOTENT)
@needs("scenarios.pull_globalstop")
@decorate_view(run_once)
def release_global_stop(request: HttpRequest) -> Status[None]:
    """Release the global stop: runs may begin again."""
    global_stop.release_global_stop()
    return Status(HTTPStatus.NO_CONTENT, None)
