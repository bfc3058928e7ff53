"""A scenario on a service, people who may do something, and schedules of it, for tests of what is planned."""

import os
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from django.contrib.auth.models import Permission, User
from django.utils import timezone

from scenarios.drivers import documents
from scenarios.library import scenarios as stored_scenarios
from scenarios.library import services as registered_services
from scenarios.models import Approval, Run, Scenario, Schedule, Service
from scenarios.planning import schedules
from scenarios.runs import commands as run_commands

DOCUMENT = """
apiVersion: coordinator/v1
kind: Scenario
metadata: {name: break-exchange}
spec:
  variables:
    delay: {type: integer, default: 5, max: 100}
  phases:
    - name: chaos
      actions:
        - name: break it
          do: {http: {service: exchange, method: POST, path: "/fault/${delay}"}}
          undo: {http: {service: exchange, method: DELETE, path: /fault}}
"""
ADDRESS = "http://127.0.0.1:9101"


def someone(name: str, *permissions: str, **fields: Any) -> User:
    user = User.objects.create_user(name, is_staff=True, **fields)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    return user


def stored(document: str = DOCUMENT, *, by: User | None = None) -> Scenario:
    return stored_scenarios.save_scenario(documents.read_document(document), by=by)


def exchange(*, is_protected: bool = False) -> Service:
    service = registered_services.register_service("exchange", ADDRESS)
    service.is_protected = is_protected
    return registered_services.save_service(service)


def asked_run(by: User | None, document: str = DOCUMENT, **options: Any) -> Run:
    return run_commands.start_run(document, {}, origin="admin", by=by, **options)


def read_approval(run: Run) -> Approval:
    return Approval.objects.get(run=run)


def scheduled(by: User | None, *, due: datetime | None = None, **fields: Any) -> Schedule:
    """A schedule of every minute; with `due`, that is its next time."""
    given = {"name": "nightly", "scenario_name": "break-exchange", "cron": "* * * * *", **fields}
    schedule = schedules.save_schedule(Schedule(**given), by=by)
    if due is not None:
        Schedule.objects.filter(pk=schedule.pk).update(next_at=due)
        schedule.refresh_from_db()
    return schedule


def minute(ago: int = 0) -> datetime:
    """So many minutes before the one in which the test has asked first: for a slow test, none begins."""
    test, _, _phase = os.environ["PYTEST_CURRENT_TEST"].rpartition(" ")
    return _find_minute(test) - timedelta(minutes=ago)


@cache
def _find_minute(_test: str) -> datetime:
    return timezone.now().replace(second=0, microsecond=0)
