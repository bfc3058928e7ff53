"""Fills what rows of the first version lack: what unfinished runs and open faults hold, and first versions."""

import re
from urllib.parse import urlsplit

import yaml
from django.db import migrations
from django.utils import timezone

OPEN = ("injecting", "active", "outstanding")
UNFINISHED = ("awaiting_approval", "queued", "running")
VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
MAX_NAME = 63


def endpoint(url):
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return None
    return (parts.hostname, port) if parts.hostname and port else None


def touched(steps, registered):
    """The services that the steps name, or whose address they name, as the first version would have found them."""
    names, endpoints = set(), set()
    for arguments in steps:
        if isinstance(name := arguments.get("service"), str) and 0 < len(name) <= MAX_NAME:
            names.add(name)
        if isinstance(url := arguments.get("url"), str):
            endpoints.add(endpoint(url))
        if "host" in arguments and "port" in arguments:
            endpoints.add((arguments["host"], arguments["port"]))
    endpoints |= {registered[name] for name in names if name in registered}
    return sorted(names | {name for name, place in registered.items() if place and place in endpoints})


def steps_of_actions(run):
    """Arguments of what the document's actions do and undo; none of one that is no document."""
    try:
        spec = yaml.safe_load(run.document)["spec"]
        defaults = {
            name: declared.get("default") if isinstance(declared, dict) else declared
            for name, declared in (spec.get("variables") or {}).items()
        }
        actions = [action for phase in spec["phases"] for action in phase.get("actions") or []]
        steps = [step for action in actions for part in ("do", "undo") if (step := action.get(part))]
    except (yaml.YAMLError, KeyError, TypeError, AttributeError):
        return
    values = {**defaults, **run.variables}
    for step in steps:
        for arguments in step.values() if isinstance(step, dict) else ():
            if isinstance(arguments, dict):
                yield {key: resolved(value, values) for key, value in arguments.items()}


def resolved(value, values):
    if not isinstance(value, str):
        return value
    return VARIABLE.sub(lambda found: str(values.get(found[1], found[0])), value)


def fill_holds(apps, _schema_editor):
    Run, Fault, Hold, Service = (apps.get_model("scenarios", name) for name in ("Run", "Fault", "Hold", "Service"))
    registered = {name: endpoint(url) for name, url in Service.objects.values_list("name", "base_url")}
    for run in Run.objects.filter(state__in=UNFINISHED, services=[]):
        run.services = touched(steps_of_actions(run), registered)
        run.save(update_fields=["services"])
        if run.state == "running":
            hold(Hold, run.services, run.pk)
    for fault in Fault.objects.filter(state__in=OPEN):
        if not fault.services:
            own = {"service": fault.service}
            fault.services = touched([own, fault.undo.get("arguments") or {}], registered)
            fault.save(update_fields=["services"])
        hold(Hold, fault.services, fault.run_id)


def hold(Hold, services, run_id):
    """Whoever holds a service keeps it: the rows of a running version are right already."""
    for service in services:
        Hold.objects.get_or_create(service=service, defaults={"run_id": run_id})


def write_first_versions(apps, _schema_editor):
    Scenario, Version = (apps.get_model("scenarios", name) for name in ("Scenario", "HistoricalScenario"))
    known = Version.objects.values("id")
    for scenario in Scenario.objects.exclude(pk__in=known).iterator():
        Version.objects.create(
            id=scenario.pk,
            name=scenario.name,
            title=scenario.title,
            description=scenario.description,
            tags=scenario.tags,
            document=scenario.document,
            history_date=scenario.changed_at or timezone.now(),
            history_type="+",
            history_user_id=scenario.changed_by_id,
        )


class Migration(migrations.Migration):
    dependencies = [("scenarios", "0022_retention_by_index")]

    operations = [
        migrations.RunPython(fill_holds, migrations.RunPython.noop),
        migrations.RunPython(write_first_versions, migrations.RunPython.noop),
    ]
