"""The control room: Django's admin, with pages of its own. One file per kind of page.

Every page is thin: what it shows is read in runs/history.py and control_room/home_queries.py, what it changes
goes through the functions of runs, library and planning.
"""

from scenarios.admin import (
    allow_list_pages,
    approval_pages,
    audit_pages,
    delivery_pages,
    environment_pages,
    fault_pages,
    host_pages,
    invitation_pages,
    people_pages,
    run_pages,
    scenario_pages,
    schedule_pages,
    service_pages,
    suite_pages,
    token_pages,
    webhook_pages,
)

__all__ = [
    "allow_list_pages",
    "approval_pages",
    "audit_pages",
    "delivery_pages",
    "environment_pages",
    "fault_pages",
    "host_pages",
    "invitation_pages",
    "people_pages",
    "run_pages",
    "scenario_pages",
    "schedule_pages",
    "service_pages",
    "suite_pages",
    "token_pages",
    "webhook_pages",
]
