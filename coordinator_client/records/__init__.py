"""What a coordinator stores, under the names of its API. Times are aware, durations in seconds.

Every record has `raw`, the JSON object as the server sent it, with fields that this version does not know.
"""

from coordinator_client.records.decisions import (
    WEBHOOK_EVENTS,
    WEBHOOK_KINDS,
    Approval,
    Delivery,
    GlobalStop,
    Identity,
    Token,
    Webhook,
)
from coordinator_client.records.record import Record
from coordinator_client.records.registrations import (
    AllowList,
    Check,
    DiscoveredService,
    Discovery,
    Environment,
    Host,
    Schedule,
    Service,
)
from coordinator_client.records.runs import (
    EVENT_KINDS,
    OUTCOMES,
    REPORT_FORMATS,
    ROLLBACKS,
    STATES,
    STATES_TO_UNDO,
    UNBEGUN,
    Event,
    Fault,
    FeedEvent,
    Run,
)
from coordinator_client.records.scenarios import (
    Change,
    Deletion,
    LeftOut,
    PlannedRun,
    PlannedStep,
    Scenario,
    Translation,
    Version,
)
from coordinator_client.records.suites import ListedSuite, MatrixCell, SuiteMatrix, SuiteRun, TriedCell

__all__ = [
    "EVENT_KINDS",
    "OUTCOMES",
    "REPORT_FORMATS",
    "ROLLBACKS",
    "STATES",
    "STATES_TO_UNDO",
    "UNBEGUN",
    "WEBHOOK_EVENTS",
    "WEBHOOK_KINDS",
    "AllowList",
    "Approval",
    "Change",
    "Check",
    "Deletion",
    "Delivery",
    "DiscoveredService",
    "Discovery",
    "Environment",
    "Event",
    "Fault",
    "FeedEvent",
    "GlobalStop",
    "Host",
    "Identity",
    "LeftOut",
    "ListedSuite",
    "MatrixCell",
    "PlannedRun",
    "PlannedStep",
    "Record",
    "Run",
    "Scenario",
    "Schedule",
    "Service",
    "SuiteMatrix",
    "SuiteRun",
    "Token",
    "Translation",
    "TriedCell",
    "Version",
    "Webhook",
]
