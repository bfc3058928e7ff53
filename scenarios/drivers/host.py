"""Faults of machines, by the host program, which docs/host-faults.md describes."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from hashlib import sha256
from typing import Any, ClassVar

from django.conf import settings

from scenarios.domain.errors import FaultGone, StepFailed, StepImpossible, StepNotDone
from scenarios.drivers import host_calls
from scenarios.drivers.host_answers import forget_accepted, note_accepted, was_accepted
from scenarios.drivers.host_arguments import HostArguments, count_picked, find_kind
from scenarios.drivers.hosts import this_host
from scenarios.ports import FaultCall, Platform, RegisteredHost

Answer = Mapping[str, Any]


class Host:
    """Breaks processes, the network, memory, CPU or disk of registered hosts.

    The host program does it: on the worker's own host as a process of the worker, on others over ssh. Every
    fault but `kill` and `restart`, which leave nothing to undo, ends by itself a lease after its last
    renewal.
    """

    name: ClassVar[str] = "host"
    FaultArguments: ClassVar[type[HostArguments]] = HostArguments

    def is_leased(self, arguments: Mapping[str, Any]) -> bool:
        return find_kind(arguments) not in HostArguments.UNLEASED

    def check_fault(self, arguments: HostArguments, platform: Platform) -> None:
        for host in choose_hosts(arguments, platform.hosts()):
            _require_allowed(host, arguments)

    async def choose_target(self, arguments: HostArguments, platform: Platform) -> Mapping[str, Any]:
        hosts = choose_hosts(arguments, platform.hosts())
        for host in hosts:
            _require_allowed(host, arguments)
        request = {"do": "describe", "kind": arguments.kind, "arguments": arguments.to_wire()}
        asked = [host for host in hosts if not was_accepted(host, request)]
        answers, failures = await _call_all(asked, lambda host: host_calls.call(host, request, platform))
        note_accepted([host for host in asked if host.name in answers], request)
        if failures:
            sentence = _join(failures)
            is_impossible = any(isinstance(error, StepImpossible) for error in failures.values())
            raise StepImpossible(sentence) if is_impossible else StepFailed(sentence)
        target: dict[str, Any] = {
            "hosts": [{"name": host.name, "address": host.address} for host in hosts],
            "label": ", ".join(host.name for host in hosts),
        }
        if any(not host.address for host in hosts):
            target["host"] = this_host()
        return target

    async def inject(
        self, arguments: HostArguments, platform: Platform, fault: FaultCall
    ) -> Mapping[str, Any]:
        request = {
            "do": "inject",
            "id": fault.id,
            "lease": fault.lease,
            "kind": arguments.kind,
            "arguments": arguments.to_wire(),
        }
        hosts = _list_hosts(fault)
        forget_accepted(hosts)
        answers, failures = await _call_all(hosts, lambda host: host_calls.call(host, request, platform))
        if failures:
            await _remove_again(hosts, failures, arguments, platform, fault)
        return {"hosts": {name: answer.get("done") for name, answer in answers.items()}}

    async def renew(self, arguments: HostArguments, platform: Platform, fault: FaultCall) -> None:
        del arguments
        request = {"do": "renew", "id": fault.id, "lease": fault.lease}
        hosts = _list_hosts(fault)
        _, failures = await _call_all(hosts, lambda host: host_calls.call(host, request, platform))
        gone = {name: error for name, error in failures.items() if isinstance(error, FaultGone)}
        if gone:
            raise FaultGone(_join(gone))
        _raise_first(failures)

    async def remove(self, arguments: HostArguments, platform: Platform, fault: FaultCall) -> bool:
        del arguments
        request = {"do": "remove", "id": fault.id}
        hosts = _list_hosts(fault)
        answers, failures = await _call_all(hosts, lambda host: host_calls.call(host, request, platform))
        _raise_first(failures)
        return any(answer.get("was_there") for answer in answers.values())

    async def is_present(self, arguments: HostArguments, platform: Platform, fault: FaultCall) -> bool:
        del arguments
        request = {"do": "is_present", "id": fault.id}
        hosts = _list_hosts(fault)
        answers, failures = await _call_all(hosts, lambda host: host_calls.call(host, request, platform))
        if any(answer.get("present") for answer in answers.values()):
            return True
        _raise_first(failures)
        return False


async def describe_host(host: RegisteredHost, platform: Platform | None = None) -> Mapping[str, Any]:
    """What the host says about itself. `kinds` has each kind with '' or the reason why it cannot be injected.

    Raises:
        StepNotSent: the host cannot be reached.
        StepFailed: it did not answer.
    """
    return await host_calls.call(host, {"do": "describe"}, platform)


def choose_hosts(arguments: HostArguments, registered: Sequence[RegisteredHost]) -> list[RegisteredHost]:
    """The hosts that have the fault: the same for the same seed, also when others are registered.

    Raises:
        StepImpossible: there are none, or fewer than `pick` asks for.
    """
    if arguments.name is not None:
        found = [host for host in registered if host.name == arguments.name]
        if not found:
            known = ", ".join(sorted(host.name for host in registered)) or "none yet"
            raise StepImpossible(
                f"unknown host {arguments.name!r}; registered hosts: {known}. Register hosts in the admin, "
                f"or with 'manage.py scenario host add {arguments.name}'"
            )
        return found
    found = [host for host in registered if arguments.where.items() <= host.labels.items()]
    labels = ", ".join(f"{name}={value}" for name, value in sorted(arguments.where.items()))
    if not found:
        raise StepImpossible(f"no host has the labels {labels}; set them in the admin, or register hosts")
    count = count_picked(arguments.pick, len(found))
    if count > len(found):
        raise StepImpossible(f"pick={count} is more than the {len(found)} hosts with the labels {labels}")
    found.sort(key=lambda host: sha256(f"{arguments.seed}/{host.name}".encode()).digest())
    return sorted(found[:count], key=lambda host: host.name)


def _require_allowed(host: RegisteredHost, arguments: HostArguments) -> None:
    if not host.address and arguments.kind not in settings.ALLOWED_HOST_FAULTS:
        known = ", ".join(map(repr, settings.ALLOWED_HOST_FAULTS)) or "none"
        raise StepImpossible(
            f"{arguments.kind!r} is not allowed on {host.name!r}, the worker's own host: ALLOWED_HOST_FAULTS "
            f"names {known}"
        )


def _list_hosts(fault: FaultCall) -> list[RegisteredHost]:
    """Where the fault is, whatever is registered by now."""
    return [RegisteredHost(found["name"], found["address"], {}) for found in fault.target["hosts"]]


async def _call_all(
    hosts: Sequence[RegisteredHost], call: Callable[[RegisteredHost], Coroutine[Any, Any, Answer]]
) -> tuple[dict[str, Answer], dict[str, StepFailed]]:
    """The answers and the failures, each by the name of its host."""
    results = await asyncio.gather(*map(call, hosts), return_exceptions=True)
    answers: dict[str, Answer] = {}
    failures: dict[str, StepFailed] = {}
    for host, result in zip(hosts, results, strict=True):
        if isinstance(result, StepFailed):
            failures[host.name] = result
        elif isinstance(result, BaseException):
            raise result
        else:
            answers[host.name] = result
    return answers, failures


async def _remove_again(
    hosts: Sequence[RegisteredHost],
    failures: Mapping[str, StepFailed],
    arguments: HostArguments,
    platform: Platform,
    fault: FaultCall,
) -> None:
    """Remove the fault from the hosts that have it, and from those that may.

    Raises:
        StepNotDone: no host has the fault.
        StepFailed: one may have it.
    """
    done = [host for host in hosts if host.name not in failures]
    unsure = [host for host in hosts if not isinstance(failures.get(host.name, StepNotDone()), StepNotDone)]
    request = {"do": "remove", "id": fault.id}
    _, left = await _call_all([*done, *unsure], lambda host: host_calls.call(host, request, platform))
    sentence = _join(failures)
    if done and arguments.kind in HostArguments.UNLEASED:
        raise StepFailed(f"{sentence}; {arguments.kind!r} was done on {_name(done)}")
    if left:
        raise StepFailed(f"{sentence}; it could not be removed again: {_join(left)}")
    again = f"; it was removed again from {_name([*done, *unsure])}" if done or unsure else ""
    if unsure:
        raise StepFailed(sentence + again)
    if not again and len(failures) == 1:
        raise next(iter(failures.values()))
    raise StepNotDone(sentence + again)


def _raise_first(failures: Mapping[str, StepFailed]) -> None:
    """Raise what is known least of, with the sentences of all."""
    if len(failures) == 1:
        raise next(iter(failures.values()))
    if failures:
        is_not_done = all(isinstance(error, StepNotDone) for error in failures.values())
        raise StepNotDone(_join(failures)) if is_not_done else StepFailed(_join(failures))


def _join(failures: Mapping[str, StepFailed]) -> str:
    return "; ".join(str(error) for error in failures.values())


def _name(hosts: Sequence[RegisteredHost]) -> str:
    return ", ".join(repr(host.name) for host in hosts)
