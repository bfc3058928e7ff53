"""What the parts of the system last reported: that they work, and what does not."""

from datetime import datetime

from django.utils import timezone

from scenarios.models import Heartbeat

MAX_DETAIL = 200


def record_heartbeat(name: str, detail: str) -> None:
    Heartbeat.objects.update_or_create(
        name=name, defaults={"seen_at": timezone.now(), "detail": detail[:MAX_DETAIL]}
    )


def note_trouble(name: str, sentence: str) -> None:
    """Have `ready` report it for a while. The trouble of a part is a row beside its heartbeat."""
    record_heartbeat(f"{name} trouble", sentence)


def find_trouble(name: str, *, since: datetime) -> str:
    """The trouble that a part has reported since then; "" if none."""
    row = Heartbeat.objects.filter(name=f"{name} trouble", seen_at__gte=since).first()
    return row.detail if row is not None else ""
