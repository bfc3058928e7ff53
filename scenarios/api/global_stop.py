"""The global stop."""

from http import HTTPStatus

from django.http import HttpRequest
from ninja import Field, Router, Schema, Status
from ninja.decorators import decorate_view

from scenarios import services
from scenarios.api.access import permit
from scenarios.api.bodies import Body
from scenarios.api.description import OF_A_BODY, REFUSALS, WRITES_ONCE
from scenarios.api.idempotency import carried_out_once
from scenarios.domain.outputs import storable

router = Router(tags=["the global stop"])


class WhyStop(Body):
    reason: str = Field(min_length=1, max_length=300)


class Stopped(Schema):
    stopped_runs: int


@router.post(
    "/stop", response={200: Stopped, **REFUSALS, **OF_A_BODY}, url_name="stop", openapi_extra=WRITES_ONCE
)
@decorate_view(carried_out_once)
def pull_global_stop(request: HttpRequest, why: WhyStop) -> dict[str, int]:
    """Stop everything: running runs end `aborted` with their faults undone, and none begins."""
    caller = permit(request, "scenarios.pull_globalstop")
    stopped = services.pull_global_stop(by=caller.user.get_username(), reason=storable(why.reason))
    return {"stopped_runs": stopped}


@router.delete("/stop", response={204: None, **REFUSALS}, openapi_extra=WRITES_ONCE)
@decorate_view(carried_out_once)
def release_global_stop(request: HttpRequest) -> Status[None]:
    """Let runs begin again."""
    permit(request, "scenarios.pull_globalstop")
    services.release_global_stop()
    return Status(HTTPStatus.NO_CONTENT, None)
