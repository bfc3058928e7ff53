"""Health and readiness."""

from datetime import datetime
from http import HTTPStatus
from typing import Any, Literal

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone
from ninja import Router, Schema, Status

from scenarios.supervision import readiness

router = Router(tags=["health"])


class Health(Schema):
    status: Literal["ok"]
    service: str
    instance: str
    version: str
    environment: str
    timestamp: datetime


class Part(Schema):
    ready: bool
    problem: str = ""


class Readiness(Schema):
    ready: bool
    parts: dict[str, Part]


@router.get("/health", response=Health, auth=None, url_name="health")
def health(request: HttpRequest) -> dict[str, Any]:
    """Answer that this process lives. It checks nothing else: see `ready`."""
    return {
        "status": "ok",
        "service": settings.SERVICE_NAME,
        "instance": settings.SERVICE_INSTANCE_NAME,
        "version": settings.SERVICE_VERSION,
        "environment": settings.ENVIRONMENT,
        "timestamp": timezone.now(),
    }


@router.get("/ready", response={200: Readiness, 503: Readiness}, auth=None, url_name="ready")
def ready(request: HttpRequest) -> Status[dict[str, Any]]:
    """Check everything that a run needs. If a part fails: 503, with the problem of each part."""
    problems = readiness.check_all()
    parts = {name: {"ready": not problem, "problem": problem} for name, problem in problems.items()}
    everything = not any(problems.values())
    status = HTTPStatus.OK if everything else HTTPStatus.SERVICE_UNAVAILABLE
    return Status(status, {"ready": everything, "parts": parts})
