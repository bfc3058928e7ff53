"""The state of the system: workers and the watchdog, from the database; targets, by asking them."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.conf import settings
from django.db.models import Model
from django.urls import reverse
from django.utils import timezone

from scenarios.domain.counts import format_count
from scenarios.drivers.platform import SitePlatform
from scenarios.library.target_looks import look_at_hosts, look_at_proxies
from scenarios.models import Fault, Host, Run, Service
from scenarios.ports import Platform
from scenarios.supervision import readiness

# Each is asked at the same time as the others; more would be too many connections for one page.
MAX_TARGETS = 100


@dataclass(frozen=True, slots=True)
class Part:
    """The workers, the watchdog, a fault proxy or a host; `row` is the service or host."""

    name: str
    is_well: bool
    sentence: str
    row: Model | None = None

    @property
    def address(self) -> str:
        """Of the row's page."""
        if self.row is None:
            return ""
        meta = self.row._meta  # noqa: SLF001 - documented: https://docs.djangoproject.com/en/5.2/ref/models/meta/
        return reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[self.row.pk])


def describe_processes() -> list[Part]:
    """The workers and the watchdog."""
    return [_describe_workers(), _describe_watchdog()]


def _describe_workers() -> Part:
    if problem := readiness.find_problem(readiness.worker):
        return Part("Workers", is_well=False, sentence=problem)
    running = Run.objects.alive(timezone.now()).count()
    places = f"{format_count(running, 'run')} now, at most {settings.MAX_CONCURRENT_RUNS}"
    return Part("Workers", is_well=True, sentence=places)


def _describe_watchdog() -> Part:
    if problem := readiness.find_problem(readiness.watchdog):
        return Part("Watchdog", is_well=False, sentence=problem)
    return Part("Watchdog", is_well=True, sentence="retries undos, starts schedules and sends messages")


def describe_retries(faults: Iterable[Fault]) -> str:
    """Which process retries the undo of these outstanding faults, if one does, as a sentence."""
    outstanding = list(faults)
    if not outstanding:
        return ""
    if problem := readiness.find_problem(readiness.watchdog):
        return _describe_missing_watchdog(outstanding, problem)
    if all(fault.is_retried_by_run for fault in outstanding):
        return "Its run retries the undo, and the watchdog will after the run."
    hosts = sorted({fault.host for fault in outstanding if fault.host})
    where = f" of host {', '.join(hosts)}" if hosts else ""
    if all(fault.is_awaited for fault in outstanding):
        return f"The watchdog{where} undoes it again when it can no longer arrive."
    return f"The watchdog{where} keeps trying."


def _describe_missing_watchdog(outstanding: Sequence[Fault], problem: str) -> str:
    if all(fault.is_awaited for fault in outstanding):
        return f"Nothing undoes what arrives late: {problem}."
    retried = [fault.is_retried_by_run for fault in outstanding]
    if not any(retried):
        return f"Nothing retries the undo: {problem}."
    if not all(retried):
        return f"Only runs that go on retry their undos; nothing retries the others: {problem}."
    return f"Its run retries the undo, but nothing will after the run: {problem}."


def describe_lost_worker(run: Run) -> str:
    """What happens next to a run whose worker is gone; "" for any other run."""
    if not run.has_lost_worker:
        return ""
    if problem := readiness.find_problem(readiness.watchdog):
        return f"Its worker is gone. Nothing ends the run or undoes what it has injected: {problem}."
    return "Its worker is gone. The watchdog is about to undo what it has injected and to end the run."


def describe_targets(*, with_services: bool, with_hosts: bool) -> list[Part]:
    """The registered fault proxies and hosts, each with how it responds now."""
    proxied = list(Service.objects.exclude(proxy="")[:MAX_TARGETS]) if with_services else []
    hosts = list(Host.objects.all()[:MAX_TARGETS]) if with_hosts else []
    # Reads the database, which no coroutine may do.
    platform = SitePlatform()
    return asyncio.run(_ask(proxied, hosts, platform))


async def _ask(proxied: Sequence[Service], hosts: Sequence[Host], platform: Platform) -> list[Part]:
    proxies, machines = await asyncio.gather(look_at_proxies(proxied), look_at_hosts(hosts, platform))
    return [
        *(Part(f"Fault proxy of {row.name}", found.is_well, found.sentence, row) for row, found in proxies),
        *(Part(f"Host {row.name}", found.is_well, found.sentence, row) for row, found in machines),
    ]
