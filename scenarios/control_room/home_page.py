"""What Home shows: what is broken now, what happens next, and what runs have shown lately."""

from collections.abc import Callable
from functools import partial
from typing import Any
from zlib import crc32

from django.http import HttpRequest

from scenarios.control_room import daily_runs, home_queries
from scenarios.control_room.system_state import Part, describe_processes, describe_retries
from scenarios.domain.outcomes import STATES_TO_UNDO, FaultState
from scenarios.domain.suite_states import ShownState
from scenarios.models import Fault, GlobalStop, Run, Scenario
from scenarios.pictures.days import days_chart
from scenarios.runs.recent_verdicts import list_recent_verdicts
from scenarios.suites.small_matrices import read_small_matrices

NEEDED = ("scenarios.view_run", "scenarios.view_fault", "scenarios.view_scenario")
MAX_SUITES = 6


def build_home(request: HttpRequest) -> dict[str, Any]:
    """The whole page, for those who may view runs, faults and scenarios."""
    days = daily_runs.runs_per_day()
    now = build_now(request)
    return {
        **now,
        "is_new": not now["unfinished"] and now["newest"] is None,
        "has_targets": home_queries.find_visible_targets(request.user),
        "global_stop": GlobalStop.objects.filter(pulled_at__isnull=False).first(),
        "matrices": read_small_matrices(MAX_SUITES),
        "states": list(ShownState),
        "chart": days_chart(days),
        "shares": daily_runs.compute_shares(days),
        "scenarios": home_queries.list_last_runs(),
        "scenario_count": Scenario.objects.count(),
    }


def build_now(request: HttpRequest) -> dict[str, Any]:
    """What changes by itself; `mark` is the same as long as nothing has changed."""
    unfinished, outstanding = home_queries.unfinished_runs(), home_queries.outstanding_faults()
    active = home_queries.injected_faults() if unfinished else []
    processes = describe_processes()
    may_view_approvals = request.user.has_perm("scenarios.view_approval")
    approvals = home_queries.pending_approvals() if may_view_approvals else []
    newest = home_queries.find_newest_verdict()
    seen = [_mark_run(run) for run in unfinished]
    seen += [_mark_fault(fault) for fault in (*outstanding, *active)]
    seen += [f"a{approval.pk}" for approval in approvals]
    seen += [f"v{newest}", f"p{_digest(processes)}"]
    # Called where the page is made, and not where the browser has the newest.
    verdicts: Callable[[], Any] = partial(list_recent_verdicts)
    return {
        "unfinished": unfinished,
        "outstanding": outstanding,
        "retries": describe_retries(outstanding),
        "active": active,
        "has_watchdog": processes[-1].is_well,
        "has_lost_worker": any(run.has_lost_worker for run in unfinished),
        "injected": sum(fault.state in STATES_TO_UNDO and not fault.has_expired for fault in outstanding),
        "expired": sum(fault.has_expired for fault in outstanding),
        "unverified": sum(fault.state == FaultState.UNVERIFIED for fault in outstanding),
        "approvals": approvals,
        "processes": processes,
        "is_well": all(part.is_well for part in processes),
        "newest": newest,
        "verdicts": verdicts,
        "mark": "_".join(seen),
    }


def _mark_run(run: Run) -> str:
    flags = f"{run.stop_requested_at is not None:d}{run.has_lost_worker:d}"
    return f"{str(run.pk)[:8]}.{run.last_event}.{flags}{crc32(run.waiting_for.encode()):x}"


def _mark_fault(fault: Fault) -> str:
    return f"{fault.pk}.{fault.state}.{fault.undo_tries}.{fault.is_retried_by_run:d}{fault.has_expired:d}"


def _digest(processes: list[Part]) -> str:
    return f"{crc32(repr(processes).encode()):x}"
