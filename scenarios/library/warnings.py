"""Warnings about a valid plan: what a run would meet, although nothing forbids it."""

import asyncio
import re
from collections.abc import Iterator

from scenarios.domain.durations import format_duration
from scenarios.domain.plan import Plan, Step, accepts_any_certificate
from scenarios.domain.spelling import suggest
from scenarios.drivers.allow_lists import SWITCHED_OFF
from scenarios.drivers.installed import installed_drivers
from scenarios.drivers.platform import SitePlatform
from scenarios.engine import preflight
from scenarios.engine.clock import SystemClock
from scenarios.engine.preflight import Targets, find_problems, list_placed_steps
from scenarios.engine.steps import StepRunner
from scenarios.models import GlobalStop, Service
from scenarios.runs import admission, approval_gate

ENDING_SIGNALS = frozenset({"KILL", "TERM", "INT"})
# These have processes started by something that keeps running.
SUPERVISORS = frozenset(
    {
        "docker",
        "initctl",
        "kubectl",
        "launchctl",
        "podman",
        "rc-service",
        "service",
        "supervisorctl",
        "systemctl",
    }
    | {"systemd-run", "kill", "pkill", "killall"}
)
# In shell syntax: a single '&' at the end of a command, or a program that detaches from its terminal.
IN_BACKGROUND = re.compile(r"(?<![&>])&(?![&>])\s*(?:$|[;\n)])|\b(?:nohup|setsid)\s")


def find_warnings(plan: Plan) -> list[str]:
    """Likely mistakes: unknown services, what is switched off, and what `find_plan_warnings` finds."""
    return [*_find_unknown_services(plan), *_find_switched_off(plan), *find_plan_warnings(plan)]


def find_plan_warnings(plan: Plan) -> list[str]:
    """No checks at all, empty phases, actions without an undo, undos whose effect ends with them, single
    looks, and steps that accept any certificate.
    """
    return [
        *_find_missing_checks(plan),
        *_find_empty_phases(plan),
        *_find_actions_without_undo(plan),
        *_find_undos_that_start_processes(plan),
        *_find_single_looks(plan),
        *_find_unverified_servers(plan),
    ]


def find_start_delays(plan: Plan, environment: str = "") -> list[str]:
    """Why a run would not begin at once: the global stop, or a protected service."""
    stop = GlobalStop.objects.filter(pulled_at__isnull=False).first()
    found = [f"No run begins until {stop} is released"] if stop is not None else []
    if services := approval_gate.find_protected(approval_gate.find_touched_services(plan, environment)):
        found.append(f"A run waits: {admission.describe_missing_approval(services)}")
    return found


def find_refusals(plan: Plan, environment: str = "") -> list[str]:
    """What would end a run before anything is injected, as seen from this process."""
    return find_problems(plan, _build_runner(environment))


def look_for_targets(plan: Plan, environment: str = "") -> Targets:
    """Where nothing listens now, and where its faults would be. Waits a few seconds at most."""
    # A `tcp` probe of a port number often expects the port to be closed.
    placed = (
        placed_step
        for placed_step in list_placed_steps(plan)
        if placed_step.step.driver != "tcp" or "service" in placed_step.step.arguments
    )
    return asyncio.run(preflight.look_for_targets(placed, _build_runner(environment)))


def _build_runner(environment: str) -> StepRunner:
    return StepRunner(installed_drivers(), SitePlatform(environment=environment), SystemClock())


def _find_unknown_services(plan: Plan) -> Iterator[str]:
    named = {step.arguments.get("service") for step in plan.steps()}
    known = sorted(Service.objects.values_list("name", flat=True))
    for name in sorted(name for name in named if isinstance(name, str) and name not in known):
        hint = suggest(name, known) or f"choose one of {', '.join(known)}" if known else "register it first"
        yield f"Unknown service {name!r} ({hint}): a run would end as errored"


def _find_switched_off(plan: Plan) -> Iterator[str]:
    """What people have switched off within the settings, which a document is not invalid for."""
    runner = _build_runner("")
    if not runner.platform.allow_lists:  # type: ignore[attr-defined] # of the site's own platform
        return
    for sentence in find_problems(plan, runner):
        if SWITCHED_OFF in sentence:
            yield f"A run would end as errored: {sentence}"


def _find_missing_checks(plan: Plan) -> Iterator[str]:
    if not plan.checks_anything():
        yield (
            "Nothing is checked: there is no validation, no guard and no 'expect', so a run passes whatever "
            "its faults do"
        )


def _find_empty_phases(plan: Plan) -> Iterator[str]:
    for phase in plan.phases:
        if not (phase.hold or phase.actions or phase.validations):
            yield (
                f"Phase {phase.name!r} is empty and ends at once: give it actions, validations or 'hold', or "
                "remove it"
            )


def _find_actions_without_undo(plan: Plan) -> Iterator[str]:
    for phase in plan.phases:
        for action in phase.actions:
            if action.undo is None:
                yield f"{action.name!r} has no undo: its effect stays"


def _find_undos_that_start_processes(plan: Plan) -> Iterator[str]:
    """Undos that seem to restart a process, which would end together with the undo's command."""
    for phase in plan.phases:
        for action in phase.actions:
            undo = action.undo
            if undo is None or undo.driver != "command" or undo.arguments.get("keep_running"):
                continue
            if _starts(undo) or (_ends_a_process(action.do) and not _uses_supervisor(undo)):
                yield (
                    f"Processes that the undo of {action.name!r} starts end with it; if it restarts "
                    "something, add 'keep_running: true'"
                )


def _find_single_looks(plan: Plan) -> Iterator[str]:
    """Validations that are meant to look again and again, but whose time is shorter than 'every'."""
    for phase in plan.phases:
        for validation in phase.validations:
            seconds = phase.hold if validation.throughout else validation.within
            if seconds and validation.every > seconds:
                limit = "the 'hold' of its phase" if validation.throughout else "its 'within'"
                every = format_duration(validation.every)
                yield (
                    f"{validation.name!r} may look only once: 'every' is {every}, "
                    f"longer than {limit}, {format_duration(seconds)}"
                )


def _find_unverified_servers(plan: Plan) -> Iterator[str]:
    for placed in list_placed_steps(plan):
        if accepts_any_certificate(placed.step):
            place = placed.place[0].upper() + placed.place[1:]
            yield (
                f"{place} accepts any certificate ('verify: false'), also that of an impostor, who then "
                "reads what it sends; name the authority with 'ca' instead"
            )


def _list_words(step: Step) -> list[str]:
    run = step.arguments.get("run")
    return [word for word in run if isinstance(word, str)] if isinstance(run, list) else []


def _find_program(step: Step) -> str:
    return next(iter(_list_words(step)), "").rpartition("/")[2]


def _ends_a_process(step: Step) -> bool:
    if step.driver == "signal":
        return step.arguments.get("signal") in ENDING_SIGNALS
    return step.driver == "command" and _find_program(step) in {"kill", "killall", "pkill"}


def _starts(step: Step) -> bool:
    return _find_program(step) in {"nohup", "setsid", "start-stop-daemon"} or any(
        IN_BACKGROUND.search(word) for word in _list_words(step)
    )


def _uses_supervisor(step: Step) -> bool:
    return _find_program(step) in SUPERVISORS
