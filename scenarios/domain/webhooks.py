"""The messages to other systems, and the states of their delivery."""

from enum import StrEnum


class Message(StrEnum):
    """The `type` of a message. A webhook can subscribe to all but the last three."""

    RUN_AWAITING_APPROVAL = "run.awaiting_approval"
    RUN_STARTED = "run.started"
    RUN_FINISHED = "run.finished"
    FAULT_OUTSTANDING = "fault.outstanding"
    FAULT_RESOLVED = "fault.resolved"
    TEST = "webhook.test"
    ANNOTATION = "grafana.annotation"
    TRACE = "run.trace"


SUBSCRIBABLE = {
    Message.RUN_AWAITING_APPROVAL: "A run waits for a second person's approval",
    Message.RUN_STARTED: "A run starts (each attempt)",
    Message.RUN_FINISHED: "A run ends, whatever its outcome",
    Message.FAULT_OUTSTANDING: "A run ends and leaves a fault behind",
    Message.FAULT_RESOLVED: "A fault left behind is undone or acknowledged",
}


class WebhookKind(StrEnum):
    """What a webhook's receiver understands."""

    WEBHOOK = "webhook"
    SLACK = "slack"
    TEAMS = "teams"
    PAGERDUTY = "pagerduty"
    EMAIL = "email"


class DeliveryState(StrEnum):
    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"
