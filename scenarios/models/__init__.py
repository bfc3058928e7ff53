"""What is stored: one file per noun. Django finds every table here."""

from scenarios.models import access  # noqa: F401 - its tables, too
from scenarios.models.allow_lists import AllowList
from scenarios.models.audit import AuditEntry
from scenarios.models.charts import RunCharts, ServiceQuery
from scenarios.models.deletions import DeletionRequest
from scenarios.models.environments import Environment
from scenarios.models.faults import MAX_RETRY_DELAY, MIN_RETRY_DELAY, Fault, FaultQuerySet, Hold
from scenarios.models.figures import RunFigures
from scenarios.models.hosts import Host
from scenarios.models.invitations import Invitation
from scenarios.models.loads import LoadProgress
from scenarios.models.looks import LookChunk
from scenarios.models.named_services import NamedService
from scenarios.models.planning import Approval, ApprovalQuerySet, Schedule, ScheduledTime
from scenarios.models.runs import NEWEST_FIRST, WAYS_IN, Event, Run, RunQuerySet
from scenarios.models.saved_filters import SavedFilter
from scenarios.models.scenarios import Scenario
from scenarios.models.services import DEFAULT_HEALTH_PATH, DEFAULT_PROXY_SECRET, HEALTH_PATH, Service
from scenarios.models.suites import Suite, SuiteCell, SuiteCellQuerySet, SuiteRun, TriedCell
from scenarios.models.system import GlobalStop, Heartbeat
from scenarios.models.webhooks import Delivery, Webhook

__all__ = [
    "DEFAULT_HEALTH_PATH",
    "DEFAULT_PROXY_SECRET",
    "HEALTH_PATH",
    "MAX_RETRY_DELAY",
    "MIN_RETRY_DELAY",
    "NEWEST_FIRST",
    "WAYS_IN",
    "AllowList",
    "Approval",
    "ApprovalQuerySet",
    "AuditEntry",
    "DeletionRequest",
    "Delivery",
    "Environment",
    "Event",
    "Fault",
    "FaultQuerySet",
    "GlobalStop",
    "Heartbeat",
    "Hold",
    "Host",
    "Invitation",
    "LoadProgress",
    "LookChunk",
    "NamedService",
    "Run",
    "RunCharts",
    "RunFigures",
    "RunQuerySet",
    "SavedFilter",
    "Scenario",
    "Schedule",
    "ScheduledTime",
    "Service",
    "ServiceQuery",
    "Suite",
    "SuiteCell",
    "SuiteCellQuerySet",
    "SuiteRun",
    "TriedCell",
    "Webhook",
]
